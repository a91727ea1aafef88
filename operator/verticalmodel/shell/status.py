"""What a model's status says after a pass, and its one writer: one server-side apply, none when nothing changed."""

from __future__ import annotations

from dataclasses import dataclass

from verticalmodel import progress
from verticalmodel.api import names
from verticalmodel.api.model_status import CertificateStatus, VerticalModelStatus
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import Observed
from verticalmodel.judge.measures.cold_start import last_start
from verticalmodel.judge.merge import Seen, merge
from verticalmodel.judge.ready import ready
from verticalmodel.judge.request import measured_since
from verticalmodel.judge.rollup import compliance
from verticalmodel.judge.verdict import Rollup, Verdict
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import ApiError
from verticalmodel.kube.resources import Key
from verticalmodel.plan import Plan, owner_of, selector
from verticalmodel.refusals import Refusal
from verticalmodel.render.service import url
from verticalmodel.shell.caches import Caches

__all__ = ["Work", "status_of", "write_status"]


@dataclass(frozen=True)
class Work:
    """What acting on a plan came to."""

    digest: str | None
    certificate: CertificateStatus | None
    rollups: tuple[Rollup, ...]
    look_after: tuple[float, ...] = ()
    """Seconds after which the pass should be repeated without an event."""
    failure: ApiError | None = None
    """What ended the work early; raised once the rest of the pass is done."""


def status_of(
    observed: Observed, planned: Plan | Refusal, work: Work, verdicts: tuple[Verdict, ...], host: str
) -> VerticalModelStatus:
    """The status after a pass that came to `work`; `host` is the one that a route stands for, or empty."""
    model, pods = observed.model, [pod for pod in observed.pods if pod.serving and pod.owned]
    old = model.status
    known = isinstance(planned, Plan) or old.url is not None
    reachable = url(owner_of(model), host) if known else None
    return merge(
        old,
        verdicts,
        (
            ready(observed, work.digest),
            *compliance(verdicts),
            progress.accepted(planned),
            *work.rollups,
            *((progress.exposed(reachable, routed=bool(host)),) if reachable else ()),
            progress.failover_armed(pods),
        ),
        Seen(
            url=reachable,
            replicas=len(pods),
            ready_replicas=sum(pod.ready for pod in pods),
            selector=(
                ",".join(f"{name}={value}" for name, value in sorted(selector(planned.owner).items()))
                if isinstance(planned, Plan)
                else old.selector
            ),
            template_digest=work.digest,
            certificate=work.certificate,
            last_start=last_start(observed) or old.last_start,
            measured_since=measured_since(observed) or old.measured_since,
        ),
        generation=model.metadata.generation,
        now=observed.now,
    )


async def write_status(api: ApiClient, caches: Caches, model: VerticalModel, status: VerticalModelStatus) -> bool:
    """Write the status where it differs from the model's; True where it did. Raises ApiError.

    The uid makes a namesake that was created in the meantime a conflict instead of a wrong status.
    """
    if status == model.status:
        return False
    meta = model.metadata
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "VerticalModel",
        "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
        "status": status.wire(),
    }
    answer = await api.apply(resources.VERTICAL_MODELS, body, manager=names.MANAGER_STATUS, subresource="status")
    caches.answered(Key(meta.namespace, meta.name), answer)
    return True
