"""Who signs a model's serving certificate, and how far cert-manager has come with it. Pure.

Rendered and schema-checked against cert-manager's CRD; no cert-manager has ever run with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from verticalmodel.api.certificate import IssuerRef
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import Facts
from verticalmodel.refusals import Refusal, RefusalReason

__all__ = ["Issued", "issuer", "read"]

_MESSAGE_LIMIT = 512


@dataclass(frozen=True)
class Issued:
    """A Certificate of cert-manager, as its status shows it."""

    ready: bool
    """The stored certificate is valid and what the Certificate asks for now."""
    message: str = ""
    """Why it is not, in cert-manager's words."""
    not_after: datetime | None = None
    """Of the stored certificate; None where none was stored so far."""
    renewal_time: datetime | None = None


def issuer(model: VerticalModel, facts: Facts) -> IssuerRef | Refusal | None:
    """The issuer that signs, the reason why it cannot be asked, or None for the built-in authority."""
    wish = model.spec.certificate
    if wish is None:
        return None
    if wish.ca_bundle is not None and not _certificates(wish.ca_bundle):
        return _unreadable()
    return wish.issuer_ref if facts.cert_manager else _not_installed(wish.issuer_ref)


def read(certificate: Mapping[str, Any] | None) -> Issued:
    """What a Certificate's status says; a condition of an earlier spec says nothing of this one."""
    if certificate is None:
        return Issued(ready=False, message="the Certificate is gone and is made anew")
    status, generation = certificate.get("status") or {}, certificate["metadata"].get("generation")
    said = {
        one["type"]: one
        for one in status.get("conditions") or ()
        if one.get("observedGeneration") in (None, generation)
    }
    ready = said.get("Ready", {}).get("status") == "True"
    return Issued(
        ready=ready,
        message="" if ready else _why(said),
        not_after=_moment(status.get("notAfter")),
        renewal_time=_moment(status.get("renewalTime")),
    )


def _why(said: Mapping[str, Mapping[str, Any]]) -> str:
    """The words of the condition that tells most: what is being done, else what is missing."""
    told = (said.get(kind, {}) for kind in ("Issuing", "Ready"))
    words = [f"{one.get('reason', '')}: {one['message']}"[:_MESSAGE_LIMIT] for one in told if one.get("message")]
    return "; ".join(words) or "cert-manager has not said anything yet: is its controller running?"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _certificates(bundle: str) -> bool:
    try:
        return bool(x509.load_pem_x509_certificates(bundle.encode()))
    except ValueError:
        return False


def _unreadable() -> Refusal:
    return Refusal(
        RefusalReason.CA_BUNDLE_UNREADABLE,
        "spec.certificate.caBundle: it starts a certificate that cannot be read; write the authority's certificates in "
        "PEM form, each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, or leave it out",
    )


def _not_installed(wish: IssuerRef) -> Refusal:
    return Refusal(
        RefusalReason.CERT_MANAGER_NOT_INSTALLED,
        f"spec.certificate.issuerRef: {wish.kind} {wish.name!r} cannot be asked, since this cluster does not serve the "
        "kind Certificate of cert-manager.io/v1, or the operator may not list it; install cert-manager, or remove "
        "spec.certificate, and the built-in authority signs",
    )
