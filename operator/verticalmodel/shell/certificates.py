"""Serving certificates: minted once, renewed after two thirds of their life, never read back.

The operator may write a model's certificate Secret but not read it: what it knows stands in the model's status (public
facts), and whether the Secret still exists is asked by a dry-run create.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog

from verticalmodel.api import names
from verticalmodel.api.model_status import CertificateStatus
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import AlreadyExists, Forbidden, Invalid
from verticalmodel.kube.resources import Key
from verticalmodel.plan import Owner
from verticalmodel.render.certificate_secret import certificate_secret, server_names
from verticalmodel.shell.issuer import Authority, issue, load_authority, new_authority, renew_after

_LOG = structlog.get_logger(__name__)


async def ensure_authority(api: ApiClient, namespace: str, now: datetime) -> Authority:
    """The built-in authority: from its Secret, or a new one; its public half in the ConfigMap of the same name.

    Raises ApiError, and ValueError where the Secret holds no usable authority: it is never overwritten, because every
    client trusts it.
    """
    authority = await _stored_authority(api, namespace)
    if authority is None:
        fresh = new_authority(now)
        try:
            await api.create(resources.SECRETS, _authority_secret(fresh, namespace))
            authority = fresh
            _LOG.info("certificate authority created", fingerprint=fresh.fingerprint)
        except AlreadyExists:  # another replica was first
            authority = await _stored_authority(api, namespace)
    if authority is None:
        raise ValueError(f"Secret {namespace}/{names.CA_NAME} vanished while it was read")
    await api.apply(
        resources.CONFIG_MAPS,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": names.CA_NAME, "namespace": namespace, "labels": _labels()},
            "data": {"ca.crt": authority.certificate_pem.decode()},
        },
    )
    return authority


class Certificates:
    """Issues the models' serving certificates from one authority."""

    def __init__(
        self, api: ApiClient, authority: Authority, cluster_domain: str, clock: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._authority = authority
        self._cluster_domain = cluster_domain
        self._clock = clock

    async def ensure(
        self, owner: Owner, known: CertificateStatus | None, *, host: str | None, doubtful: bool
    ) -> CertificateStatus:
        """The certificate in force, for the Service's names and the exposed `host`.

        Issues one where there is none, it is due, it bears another host, or `doubtful` and found missing. Raises
        ApiError.
        """
        held = known is not None and known.host == host and not self._due(known)
        if known is not None and held and not (doubtful and await self._missing(owner)):
            return known
        serving = issue(self._authority, server_names(owner, self._cluster_domain, host), self._clock())
        await self._store(certificate_secret(owner, serving.certificate_pem, serving.key_pem))
        _LOG.info("certificate issued", model=owner.name, namespace=owner.namespace, fingerprint=serving.fingerprint)
        return CertificateStatus(
            not_after=serving.not_after,
            fingerprint=serving.fingerprint,
            issuer=self._authority.fingerprint,
            host=host,
        )

    async def _store(self, secret: dict[str, Any]) -> None:
        # By create and update, never by patch: a patch that fails validation quotes what the Secret holds, so the right
        # to patch would be the right to read (docs/decisions/0003).
        try:
            await self._api.create(resources.SECRETS, secret)
        except AlreadyExists:
            await self._api.replace(resources.SECRETS, secret)

    def _due(self, known: CertificateStatus) -> bool:
        return known.issuer != self._authority.fingerprint or self._clock() >= renew_after(known.not_after)

    async def _missing(self, owner: Owner) -> bool:
        try:
            await self._api.create(resources.SECRETS, certificate_secret(owner, b"", b""), dry_run=True)
        except AlreadyExists:
            return False
        except (Forbidden, Invalid):
            # A quota or a policy has the first word, so the answer tells nothing of the Secret.
            return False
        return True


async def _stored_authority(api: ApiClient, namespace: str) -> Authority | None:
    secret = await api.find(resources.SECRETS, Key(namespace, names.CA_NAME))
    if secret is None:
        return None
    data: Mapping[str, str] = secret.get("data") or {}
    if not {"tls.crt", "tls.key"} <= data.keys():
        raise ValueError(f"Secret {namespace}/{names.CA_NAME} must hold tls.crt and tls.key; it holds {sorted(data)}")
    return load_authority(base64.b64decode(data["tls.crt"]), base64.b64decode(data["tls.key"]))


def _authority_secret(authority: Authority, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": names.CA_NAME, "namespace": namespace, "labels": _labels()},
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": base64.b64encode(authority.certificate_pem).decode(),
            "tls.key": base64.b64encode(authority.key_pem).decode(),
        },
    }


def _labels() -> dict[str, str]:
    return {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_COMPONENT: "certificate-authority"}
