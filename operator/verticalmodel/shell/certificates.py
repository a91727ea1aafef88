"""Serving certificates: minted once, renewed after two thirds of their life, never read back.

The operator may write a model's certificate Secret but not read it: what it knows stands in the model's status (public
facts), and whether the Secret still exists is asked by a dry-run create.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog

from verticalmodel.api.model_status import CertificateStatus
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import AlreadyExists, Forbidden, Invalid
from verticalmodel.plan import Owner
from verticalmodel.render.certificate_secret import certificate_secret, server_names
from verticalmodel.shell.issuer import Authority, issue, renew_after

_LOG = structlog.get_logger(__name__)


class Certificates:
    """Issues the models' serving certificates from the authority that signs."""

    def __init__(
        self, api: ApiClient, authority: Authority, cluster_domain: str, clock: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._authority = authority
        self._cluster_domain = cluster_domain
        self._clock = clock

    def sign_with(self, authority: Authority) -> bool:
        """From now on this authority signs; True where it is another one, whose certificates all models need."""
        changed = authority.fingerprint != self._authority.fingerprint
        self._authority = authority
        return changed

    async def ensure(
        self, owner: Owner, known: CertificateStatus | None, *, host: str | None, doubtful: bool
    ) -> CertificateStatus:
        """The certificate in force, for the Service's names and the exposed `host`.

        Issues one where there is none, it is due, it bears another host, or `doubtful` and found missing. Raises
        ApiError, of which Conflict where somebody else has stored one in the meantime.
        """
        held = known is not None and known.host == host and not self._due(known)
        if known is not None and held and not (doubtful and await self._missing(owner)):
            return known
        # Another may sign from now on while this one's certificate is stored: the status must name who signed it.
        authority = self._authority
        serving = issue(authority, server_names(owner, self._cluster_domain, host), self._clock())
        await self._store(certificate_secret(owner, serving.certificate_pem, serving.key_pem))
        _LOG.info("certificate issued", model=owner.name, namespace=owner.namespace, fingerprint=serving.fingerprint)
        return CertificateStatus(
            not_after=serving.not_after,
            fingerprint=serving.fingerprint,
            issuer=authority.fingerprint,
            host=host,
        )

    async def _store(self, secret: dict[str, Any]) -> None:
        # By create and update, never by patch: a patch that fails validation quotes what the Secret holds, so the right
        # to patch would be the right to read (docs/decisions/0003).
        try:
            await self._api.create(resources.SECRETS, secret)
        except AlreadyExists:
            # A leader that was replaced while this was under way must not write over its successor's: the dry run shows
            # which version there is, and of the Secret nothing but what is sent.
            seen = await self._api.replace(resources.SECRETS, secret, dry_run=True)
            version = {"resourceVersion": seen["metadata"]["resourceVersion"]}
            await self._api.replace(resources.SECRETS, {**secret, "metadata": {**secret["metadata"], **version}})

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
