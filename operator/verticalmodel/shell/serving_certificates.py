"""Which serving certificate a model has: the built-in authority's, or cert-manager's once no pod needs the former."""

from __future__ import annotations

from datetime import datetime

from verticalmodel.api.model_status import CertificateStatus
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import Key
from verticalmodel.plan import Plan
from verticalmodel.render.certificate import certificate_name
from verticalmodel.serving_certificate import Issued, read
from verticalmodel.shell.certificates import Certificates
from verticalmodel.shell.issuer import renew_after

__all__ = ["asked", "built_in", "ensured", "issued", "outlives", "renewal"]


def built_in(known: CertificateStatus | None) -> bool:
    """Whether the built-in authority signed it: such a one is the operator's to renew."""
    return known is not None and known.issuer is not None


def renewal(known: CertificateStatus | None, now: datetime) -> tuple[float, ...]:
    """Seconds until a built-in certificate is due; none for cert-manager's, whose Certificate wakes the model."""
    if known is None or not built_in(known):
        return ()
    return ((renew_after(known.not_after) - now).total_seconds(),)


def outlives(planned: Plan, known: CertificateStatus | None) -> bool:
    """Whether what serves has cert-manager's certificate while the plan asks the built-in authority for one."""
    return planned.issuer is None and known is not None and not built_in(known)


async def ensured(
    certificates: Certificates, planned: Plan, known: CertificateStatus | None, *, doubtful: bool, settled: bool
) -> CertificateStatus | None:
    """The certificate in force, before pods are made; `settled` says that no pod of an earlier template lives.

    A built-in one is renewed while such pods may serve it, and left alone afterwards. Raises ApiError.
    """
    if planned.issuer is not None and (settled or not built_in(known)):
        return known
    return await certificates.ensure(planned.owner, known, host=_host(planned), doubtful=doubtful)


async def asked(api: ApiClient, planned: Plan) -> Issued | None:
    """What cert-manager says of the certificate; None where the built-in authority signs. Raises ApiError."""
    if planned.issuer is None:
        return None
    return read(
        await api.find(resources.CERTIFICATES, Key(planned.owner.namespace, certificate_name(planned.owner.name)))
    )


async def issued(
    api: ApiClient, planned: Plan, known: CertificateStatus | None, *, settled: bool
) -> tuple[CertificateStatus | None, Issued | None]:
    """The certificate for the status, and what cert-manager says of it where it is asked. Raises ApiError.

    Its fingerprint stays empty: the Secret is not ours to read, and the prober sees what is served.
    """
    found = await asked(api, planned)
    if found is None:
        return known, None
    if built_in(known) and not settled:
        return known, found
    if found.not_after is None:
        return None, found
    before = known.host if known is not None and not built_in(known) else None
    status = CertificateStatus(
        not_after=found.not_after,
        renewal_time=found.renewal_time,
        issuer_ref=planned.issuer,
        host=_host(planned) if found.ready else before,
    )
    return status, found


def _host(planned: Plan) -> str | None:
    return planned.exposed.host if planned.exposed is not None else None
