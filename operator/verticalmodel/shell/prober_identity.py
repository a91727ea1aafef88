"""The certificate by which guards know the prober, and the authority that signs it and nothing else (clause 33).

Both stand in one Secret of the system namespace, so that a step is one write; the prober mounts the certificate alone.
The authority is pinned with each model's guard, so it stays as long as it can: only the certificate is renewed, until
the authority's own ten years are nearly over. Only the leader writes.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

import structlog
from cryptography import x509

from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden
from verticalmodel.kube.leader import NotLeader
from verticalmodel.kube.resources import Key
from verticalmodel.render.certificate_secret import SERVING_DAYS
from verticalmodel.shell.issuer import Authority, issue_to_client, load_authority, new_authority, renew_after

_LOG = structlog.get_logger(__name__)
_LOOK_SECONDS = 600.0
_LABELS = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_COMPONENT: "prober-client"}


@dataclass(frozen=True)
class _Stored:
    body: Mapping[str, Any]
    authority: Authority
    not_after: datetime

    def __repr__(self) -> str:
        return f"_Stored({self.authority})"


async def ensure_prober_identity(api: ApiClient, namespace: str, now: datetime) -> str:
    """The authority of the prober's certificate in PEM form; the certificate is there and not due for renewal.

    Raises ApiError, and ValueError where the Secret holds something else: it is not overwritten.
    """
    stored = _read(await api.find(resources.SECRETS, Key(namespace, names.PROBER_CLIENT)))
    if stored is None:
        fresh = new_authority(now)
        try:
            await api.create(resources.SECRETS, _secret({}, fresh, namespace, now))
            _LOG.info("identity of the prober created", authority=fresh.fingerprint)
        except AlreadyExists:  # another replica was first
            pass
        stored = _read(await api.find(resources.SECRETS, Key(namespace, names.PROBER_CLIENT)))
    if stored is None:
        raise ValueError(f"Secret {namespace}/{names.PROBER_CLIENT} vanished while it was read")
    authority = stored.authority
    if authority.certificate.not_valid_after_utc - now < timedelta(days=SERVING_DAYS):
        authority = new_authority(now)
    if authority is not stored.authority or now >= renew_after(stored.not_after):
        try:
            await api.replace(resources.SECRETS, _secret(stored.body, authority, namespace, now))
            _LOG.info("certificate of the prober renewed", authority=authority.fingerprint)
        except Conflict:  # somebody else renewed it, or the next look will
            return stored.authority.certificate_pem.decode()
    return authority.certificate_pem.decode()


async def first_prober_authority(api: ApiClient, namespace: str, now: datetime) -> str:
    """As `ensure_prober_identity`, and empty where the Secret holds something else or may not be written.

    Then guards know no prober; an installation that lacks a grant serves all the same. Raises other ApiErrors.
    """
    try:
        return await ensure_prober_identity(api, namespace, now)
    except (ValueError, Forbidden) as error:
        _LOG.error("guards will know no prober, so that clause 33 cannot hold", error=str(error))
        return ""


async def keep_prober_identity(
    api: ApiClient, namespace: str, clock: Callable[[], datetime], on_authority: Callable[[str], None]
) -> NoReturn:
    """Renew it as it comes due, until cancelled; `on_authority` runs at each look. What goes wrong is tried again."""
    while True:
        try:
            on_authority(await ensure_prober_identity(api, namespace, clock()))
        except NotLeader:
            raise
        except (ApiError, ValueError) as error:
            _LOG.warning("identity of the prober not looked after", error=str(error))
        await asyncio.sleep(_LOOK_SECONDS)


def _read(secret: Mapping[str, Any] | None) -> _Stored | None:
    if secret is None:
        return None
    content = {name: base64.b64decode(value) for name, value in (secret.get("data") or {}).items()}
    wanted = {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    if not wanted <= content.keys():
        raise ValueError(f"Secret {names.PROBER_CLIENT} must hold {sorted(wanted)}; delete it, and a new one is made")
    certificate = x509.load_pem_x509_certificate(content["tls.crt"])
    return _Stored(secret, load_authority(content["ca.crt"], content["ca.key"]), certificate.not_valid_after_utc)


def _secret(body: Mapping[str, Any], authority: Authority, namespace: str, now: datetime) -> dict[str, Any]:
    certificate = issue_to_client(authority, names.PROBER_IDENTITY, now)
    content = {
        "ca.crt": authority.certificate_pem,
        "ca.key": authority.key_pem,
        "tls.crt": certificate.certificate_pem,
        "tls.key": certificate.key_pem,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": names.PROBER_CLIENT, "namespace": namespace, "labels": _LABELS},
        "type": "kubernetes.io/tls",
        **body,
        "data": {name: base64.b64encode(value).decode() for name, value in content.items()},
    }
