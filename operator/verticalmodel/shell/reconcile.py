"""One pass over one model (DESIGN section 5): gather, plan, render, apply, observe, judge, merge, one status write.

Level-triggered: a pass starts from the observed world and would be right if it were the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from verticalmodel import progress
from verticalmodel.api.model_status import CertificateStatus, VerticalModelStatus
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import Facts, Observed, ObservedPod, Platform
from verticalmodel.judge.judge import judge
from verticalmodel.judge.merge import Seen, merge, next_look
from verticalmodel.judge.ready import ready
from verticalmodel.judge.rollup import compliance
from verticalmodel.judge.transitions import transitions
from verticalmodel.judge.verdict import Rollup, Verdict
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import Key
from verticalmodel.plan import Plan, plan, selector
from verticalmodel.refusals import Refusal
from verticalmodel.render.children import children
from verticalmodel.render.pin import Pinned, pin
from verticalmodel.render.service import url
from verticalmodel.shell import gather
from verticalmodel.shell.caches import Caches
from verticalmodel.shell.certificates import Certificates
from verticalmodel.shell.children import ChildRefused, Waiting, apply_children
from verticalmodel.shell.event_recorder import EventRecorder
from verticalmodel.shell.issuer import renew_after
from verticalmodel.shell.status import write_status

# Nothing tells when a policy or a quota changes.
_REFUSED_SECONDS = 30.0


@dataclass(frozen=True)
class Work:
    """What acting on a plan came to."""

    digest: str | None
    certificate: CertificateStatus | None
    rollups: tuple[Rollup, ...]
    look_after: tuple[float, ...] = ()
    """Seconds after which the pass should be repeated without an event."""


class Reconciler:
    """Brings one model's children to its spec and its status to what was observed; `work` of the queue."""

    def __init__(  # noqa: PLR0913 - what a pass needs, named
        self,
        *,
        api: ApiClient,
        caches: Caches,
        platform: Platform,
        certificates: Certificates,
        recorder: EventRecorder,
        clock: Callable[[], datetime],
        on_status: Callable[[Key, VerticalModelStatus], None] = lambda _key, _status: None,
    ) -> None:
        self._api = api
        self._caches = caches
        self._platform = platform
        self._certificates = certificates
        self._recorder = recorder
        self._clock = clock
        self._on_status = on_status

    async def __call__(self, key: Key) -> float | None:
        """One pass; the seconds until the next one that no event calls for. Raises ApiError for the queue to retry."""
        body = self._caches.model(key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            return None  # the garbage collector follows the owner references
        model = VerticalModel.model_validate(body)
        facts = await gather.facts(self._api, self._caches, self._platform, model)
        planned = plan(model, facts)
        work = await self._act(model, planned, facts)
        observed = gather.observed(self._caches, model, self._clock())
        verdicts = judge(observed)
        status = _status(observed, planned, work, verdicts)
        if await write_status(self._api, self._caches, model, status):
            await self._recorder.record(model.metadata, transitions(model.status, status), observed.now)
        self._on_status(key, status)
        return self._next(work, next_look(status, verdicts))

    async def _act(self, model: VerticalModel, planned: Plan | Refusal, facts: Facts) -> Work:
        if isinstance(planned, Refusal):
            # What runs keeps running, under the template it has.
            return Work(model.status.template_digest, model.status.certificate, progress.refused())
        pinned = pin(planned, facts.pin)
        pods = gather.observed(self._caches, model, self._clock()).pods
        try:
            certificate = await self._certificates.ensure(
                planned.owner, model.status.certificate, doubtful=not all(pod.ready for pod in pods)
            )
            settled = all(pod.template_digest == pinned.digest for pod in pods)
            await apply_children(self._api, self._caches, planned.owner, children(planned, pinned), settled=settled)
        except Waiting as reason:
            held = progress.waiting(str(reason))
            return Work(model.status.template_digest, model.status.certificate, held, (reason.delay,))
        except ChildRefused as refusal:
            held = progress.child_refused(str(refusal))
            return Work(model.status.template_digest, model.status.certificate, held, (_REFUSED_SECONDS,))
        return self._worked(planned, pinned, certificate, pods)

    def _worked(
        self, planned: Plan, pinned: Pinned, certificate: CertificateStatus, pods: tuple[ObservedPod, ...]
    ) -> Work:
        now = self._clock()
        overruns = [
            (progress.overruns_at(planned, pod) - now).total_seconds()
            for pod in pods
            if pod.serving and not pod.ready and progress.overruns_at(planned, pod) > now
        ]
        return Work(
            pinned.digest,
            certificate,
            (
                progress.progressing(planned, pinned.digest, pods, gather.nodes(self._caches), now),
                progress.update_pending(pending=pinned.update_pending),
            ),
            (*overruns, (renew_after(certificate.not_after) - now).total_seconds()),
        )

    def _next(self, work: Work, look: datetime | None) -> float | None:
        waits = list(work.look_after)
        if look is not None:
            waits.append((look - self._clock()).total_seconds())
        return max(0.1, min(waits)) if waits else None


def _status(
    observed: Observed, planned: Plan | Refusal, work: Work, verdicts: tuple[Verdict, ...]
) -> VerticalModelStatus:
    model, pods = observed.model, [pod for pod in observed.pods if pod.serving]
    old = model.status
    reachable = url(planned) if isinstance(planned, Plan) else old.url
    return merge(
        old,
        verdicts,
        (
            ready(observed, work.digest),
            *compliance(verdicts),
            progress.accepted(planned),
            *work.rollups,
            *((progress.exposed(reachable),) if reachable else ()),
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
            last_start=old.last_start,
        ),
        generation=model.metadata.generation,
        now=observed.now,
    )
