"""One pass over one model (DESIGN section 5): gather, plan, render, apply, observe, judge, merge, one status write.

Level-triggered: a pass starts from the observed world and would be right if it were the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from verticalmodel import progress
from verticalmodel.api.model_status import CertificateStatus, VerticalModelStatus
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import Facts, Observed, ObservedPod, Pin, Platform
from verticalmodel.judge.judge import judge
from verticalmodel.judge.merge import next_look
from verticalmodel.judge.transitions import transitions
from verticalmodel.judge.verdict import Rollup
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import ApiError, Conflict, NotFound
from verticalmodel.kube.leader import NotLeader
from verticalmodel.kube.resources import Key
from verticalmodel.plan import Plan, owner_of, plan
from verticalmodel.preflight import Held, hold
from verticalmodel.refusals import Refusal
from verticalmodel.render.children import children
from verticalmodel.render.pin import Pinned, kept, pin
from verticalmodel.rollout import make_way
from verticalmodel.shell import gather
from verticalmodel.shell.caches import Caches
from verticalmodel.shell.certificates import Certificates
from verticalmodel.shell.children import ChildRefused, Waiting, any_missing, apply_children, end_preflights
from verticalmodel.shell.claim_retry import retry_claims
from verticalmodel.shell.event_recorder import EventRecorder
from verticalmodel.shell.routes import standing, withdraw
from verticalmodel.shell.serving_certificates import built_in, ensured, issued, outlives, renewal
from verticalmodel.shell.status import Work, status_of, write_status

# Nothing tells when a policy or a quota changes.
_REFUSED_SECONDS = 30.0


class _ModelGone(Exception):  # noqa: N818 - what happened
    """The model does not exist any more, or another one has its name."""


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

    def know_prober_by(self, authority: str) -> bool:
        """From now on guards are made to know the prober by this authority; True where it is another one."""
        changed = authority != self._platform.prober_authority
        self._platform = replace(self._platform, prober_authority=authority)
        return changed

    async def __call__(self, key: Key) -> float | None:
        """One pass; the seconds until the next one that no event calls for. Raises ApiError for the queue to retry."""
        body = self._caches.model(key)
        if body is None:
            return None
        model = VerticalModel.model_validate(body)
        facts = await gather.facts(self._api, self._caches, self._platform, model)
        planned = plan(model, facts)
        try:
            work = await self._act(model, planned, facts)
        except _ModelGone:
            self._caches.drop_model(key)
            return None
        seen = gather.observed(self._caches, model, self._clock())
        observed = seen if _all_up(seen) else await gather.looked_into(self._api, self._caches, seen)
        verdicts = judge(observed)
        status = status_of(observed, planned, work, verdicts, standing(self._caches, model))
        await self._publish(key, model, status, observed.now)
        if work.failure is not None:
            raise work.failure
        return self._next(work, next_look(status, verdicts))

    async def _publish(self, key: Key, model: VerticalModel, status: VerticalModelStatus, now: datetime) -> None:
        try:
            written = await write_status(self._api, self._caches, model, status)
        except (NotFound, Conflict):
            # No event told that the model is gone, or is another of that name: ask, or it would be reconciled for ever.
            live = await self._api.find(resources.VERTICAL_MODELS, key)
            if live is None:
                self._caches.drop_model(key)
                return
            self._caches.put_model(key, live)
            raise
        if written:
            await self._recorder.record(model.metadata, transitions(model.status, status), now)
        self._on_status(key, status)

    async def _act(self, model: VerticalModel, planned: Plan | Refusal, facts: Facts) -> Work:
        if model.metadata.deletion_timestamp is not None:
            # The garbage collector follows once the last finalizer is gone; until then it is judged as it is.
            return Work(model.status.template_digest, model.status.certificate, progress.deleting())
        if isinstance(planned, Refusal):
            return await self._refused(model, facts)
        seen, certificate = gather.observed(self._caches, model, self._clock()), model.status.certificate
        pods = tuple(pod for pod in seen.pods if pod.owned)
        doubtful = not all(pod.ready for pod in pods)
        try:
            pinned, waits = await self._let_through(planned, facts.pin, seen)
            # While a template waits, what serves has the certificate of the one before.
            settled = waits is None and all(pod.template_digest == pinned.digest for pod in pods)
            if not (waits and outlives(planned, certificate)):
                certificate = await ensured(
                    self._certificates, planned, certificate, doubtful=doubtful, settled=settled
                )
            manifests = (
                *children(make_way(planned, pinned.digest, pods), pinned),
                *(waits.children if waits is not None else ()),
            )
            await self._confirm(model, manifests)
            await apply_children(self._api, self._caches, planned.owner, manifests, settled=settled)
            certificate, said = await issued(self._api, planned, certificate, settled=settled)
            retries = await retry_claims(self._api, planned.owner.namespace, pods, self._clock())
        except Waiting as reason:
            held = progress.waiting(str(reason))
            return Work(model.status.template_digest, certificate, held, (reason.delay,))
        except ChildRefused as refusal:
            held = progress.child_refused(str(refusal))
            return Work(model.status.template_digest, certificate, held, (_REFUSED_SECONDS,))
        except NotLeader:
            raise
        except ApiError as error:
            # What was not done must not keep what is from being judged.
            held = progress.api_failed(str(error))
            return Work(model.status.template_digest, certificate, held, failure=error)
        looks = (*retries, *self._looks(planned, certificate, pods))
        # A pre-flight tells of the certificate itself where that is what its template waits for.
        rollups = progress.until_issued(self._rollups(planned, pinned, pods, waits), planned, None if waits else said)
        return Work(pinned.digest, certificate, rollups, looks)

    async def _let_through(self, planned: Plan, stored: Pin | None, seen: Observed) -> tuple[Pinned, Held | None]:
        """The template to make pods of, and the newer one that waits. Raises ApiError."""
        pinned = pin(planned, stored)
        if stored is None or pinned.pin == stored:
            return pinned, None
        waits = hold(planned, pinned.pin, stored, seen, await gather.trials(self._api, self._caches, planned))
        return (pinned, None) if waits is None else (kept(stored), waits)

    async def _refused(self, model: VerticalModel, facts: Facts) -> Work:
        """What runs keeps running, under the template and with the names that it has, for as long as that takes."""
        certificate = model.status.certificate
        failure: ApiError | None = None
        try:
            await withdraw(self._api, self._caches, model, taken=bool(facts.host_keeper))
            if certificate is not None and built_in(certificate):
                # A host that the model let go of, or that is another's, is in no certificate any more.
                asked = model.spec.exposure is not None and model.spec.exposure.host == certificate.host
                host = certificate.host if asked and not facts.host_keeper else None
                certificate = await self._certificates.ensure(owner_of(model), certificate, host=host, doubtful=False)
            await end_preflights(self._api, self._caches, owner_of(model))
        except NotLeader:
            raise
        except ApiError as error:
            failure = error
        return Work(
            model.status.template_digest, certificate, progress.refused(), renewal(certificate, self._clock()), failure
        )

    async def _confirm(self, model: VerticalModel, manifests: Sequence[Mapping[str, Any]]) -> None:
        """Before a child is made anew: it may be gone because the model is, and no event told. Raises _ModelGone."""
        meta = model.metadata
        seen_before = model.status.observed_generation is not None
        if seen_before and any_missing(self._caches, meta.namespace, manifests):
            live = await self._api.find(resources.VERTICAL_MODELS, Key(meta.namespace, meta.name), metadata_only=True)
            if live is None or live["metadata"]["uid"] != meta.uid:
                raise _ModelGone

    def _rollups(
        self, planned: Plan, pinned: Pinned, pods: tuple[ObservedPod, ...], waits: Held | None
    ) -> tuple[Rollup, ...]:
        nodes = gather.nodes(self._caches)
        going = waits.progressing if waits else progress.progressing(planned, pinned.digest, pods, nodes, self._clock())
        return going, progress.update_pending(pending=pinned.update_pending)

    def _looks(
        self, planned: Plan, certificate: CertificateStatus | None, pods: tuple[ObservedPod, ...]
    ) -> tuple[float, ...]:
        """Seconds until a start overruns its budget, and until the certificate is due."""
        ends = [progress.overruns_at(planned, pod) for pod in pods if pod.serving and not pod.ready]
        now = self._clock()
        return (*((end - now).total_seconds() for end in ends if end > now), *renewal(certificate, now))

    def _next(self, work: Work, look: datetime | None) -> float | None:
        waits = list(work.look_after)
        if look is not None:
            waits.append((look - self._clock()).total_seconds())
        return max(0.1, min(waits)) if waits else None


def _all_up(seen: Observed) -> bool:
    """Whether there is nothing to explain: as many pods as are wanted are Ready, or nothing is wanted any more."""
    ready = sum(pod.ready for pod in seen.pods if pod.serving)
    return seen.model.metadata.deletion_timestamp is not None or ready >= seen.model.spec.replicas
