"""Ready: it serves. Decided by the pods, and by the last canary answer where there is one. Pure.

A prober that is down never takes Ready away: no canary, an expired one, an inconclusive one and one that cannot be
relied on all leave the decision to the pods' own readiness.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from verticalmodel.api import names
from verticalmodel.api.conditions import READY, ClauseReason
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import Observed, ObservedPod
from verticalmodel.judge.admissible import Admission, Instance, witnesses
from verticalmodel.judge.holdups import holdup
from verticalmodel.judge.instances import container_id
from verticalmodel.judge.verdict import Rollup, bounded, shortened
from verticalmodel.seal.reasons import Reason
from verticalmodel.seal.report import Report

__all__ = [
    "CANARY_FAILED",
    "DELETING",
    "NO_PODS",
    "PODS_REFUSED",
    "SCALED_TO_ZERO",
    "SERVING",
    "SUSPENDED",
    "ready",
]

SERVING = "Serving"
SUSPENDED = "Suspended"
DELETING = "Deleting"
SCALED_TO_ZERO = "ScaledToZero"
NO_PODS = "NoPods"
PODS_REFUSED = "PodsRefused"
CANARY_FAILED = "CanaryFailed"

CANARY = "canary-answer"
CANARY_LIFETIME = timedelta(seconds=600)
"""No canary answer counts for longer, whatever it claims; what a state measure of the default edition gets."""

_ADMISSION = Admission(CANARY, frozenset({names.MANAGER_PROBER}), CANARY_LIFETIME)
_CONCLUSIVE = (ClauseReason.MEASURED, ClauseReason.SIMULATED)
_QUOTE_LIMIT = 200
_OF_THE_KEY = (Reason.KEY_MISSING, Reason.KEY_INVALID, Reason.KEY_WRONG, Reason.NOT_SEALED)


def ready(observed: Observed, template_digest: str | None) -> Rollup:
    """Ready=True where a pod of the template `template_digest` is Ready and its last canary answer was not bad."""
    unwanted = _not_wanted(observed)
    if unwanted is not None:
        return unwanted
    spec = observed.model.spec
    serving = [pod for pod in observed.pods if pod.serving and pod.owned]
    current = [pod for pod in serving if template_digest is not None and pod.template_digest == template_digest]
    older = _older([pod for pod in serving if pod not in current])
    if not current:
        return _no_pods(observed, template_digest, older)
    up = sorted((pod for pod in current if pod.ready), key=lambda pod: pod.name)
    refused = [(pod.name, pod.delivery) for pod in current if pod.delivery is not None and not pod.delivery.succeeded]
    if not up and refused:
        return _not_delivered(*refused[0], observed.model, older)
    if not up:
        found = holdup(observed, current)
        told = f"0 of {spec.replicas} pods are Ready. Pod {found.pod}: {found.clue}"
        return _not_ready(found.reason, f"{told}.{older}")
    bad = _bad_answers(observed, up)
    if len(bad) == len(up):
        return _not_ready(CANARY_FAILED, f"{len(up)} of {spec.replicas} pods are Ready, but {_quoted(bad)}.{older}")
    but = f", but {_quoted(bad)}" if bad else ""
    message = f"{len(up)} of {spec.replicas} pods are Ready{but}"
    return Rollup(READY, "True", SERVING, bounded(message))


def _no_pods(observed: Observed, template_digest: str | None, older: str) -> Rollup:
    if observed.pods_refused:
        return _not_ready(PODS_REFUSED, f"The API server refuses the pods: {observed.pods_refused}.{older}")
    failed = [one for one in observed.pods if one.failure and one.owned and one.template_digest == template_digest]
    last = f" Pod {failed[0].name} failed: {failed[0].failure.rstrip('.')}." if failed else ""
    return _not_ready(NO_PODS, f"No pod of the current template exists yet.{last}{older}")


def _not_delivered(pod: str, report: Report, model: VerticalModel, older: str) -> Rollup:
    """The parameters were refused before one byte reached the server: the refusal's own reason is the condition's."""
    way_out = ""
    if report.reason is Reason.KEY_MISSING and model.spec.source.key is not None:
        key, space = model.spec.source.key, model.metadata.namespace
        command = f"kubectl -n {space} create secret generic {key.name} --from-file={key.key}=FILE"
        way_out = f"; `{command}` makes it, or name a Secret and an entry that are there"
    field = _refused_field(report, model)
    return _not_ready(report.reason.value, f"{field}: {report.message} (pod {pod}){way_out}.{older}")


def _refused_field(report: Report, model: VerticalModel) -> str:
    """The field whose value was refused, with the value."""
    source, reason = model.spec.source, report.reason
    if reason is Reason.TOO_LARGE:
        needed = f", {report.needed_bytes} bytes are needed" if report.needed_bytes else ""
        return f"spec.resources.memory: {model.spec.resources.memory}{needed}"
    if reason in _OF_THE_KEY and source.key is not None:
        return f"spec.source.key: entry {source.key.key!r} of Secret {source.key.name!r}"
    if reason is Reason.DIGEST_MISMATCH and source.digest is not None:
        return f"spec.source.digest: {source.digest}"
    if reason is Reason.SOURCE_DENIED and source.secret_ref is not None:
        return f"spec.source.secretRef: Secret {source.secret_ref.name!r} for {source.uri}"
    return f"spec.source.uri: {source.uri}"


def _not_wanted(observed: Observed) -> Rollup | None:
    """Why nothing is meant to serve; None where something is."""
    spec = observed.model.spec
    if observed.model.metadata.deletion_timestamp is not None:
        return _not_ready(DELETING, "The model is being deleted; nobody repairs or measures it any more")
    if spec.suspend:
        return _not_ready(SUSPENDED, "Suspended by spec.suspend; everything but the pods is kept")
    if spec.replicas == 0:
        return _not_ready(SCALED_TO_ZERO, "spec.replicas is 0; scale up to serve")
    return None


def _not_ready(reason: str, message: str) -> Rollup:
    return Rollup(READY, "False", reason, bounded(message))


def _older(pods: Sequence[ObservedPod]) -> str:
    """What pods of an earlier template do meanwhile: this condition is about the present one."""
    serving = sum(pod.ready for pod in pods)
    if serving:
        are = "is" if serving == 1 else "are"
        return f" The earlier version goes on serving: {serving} of its pods {are} Ready."
    return f" An earlier version does not serve either: {', '.join(pod.name for pod in pods)}." if pods else ""


def _bad_answers(observed: Observed, pods: Sequence[ObservedPod]) -> list[tuple[str, str]]:
    """Name of each pod whose last canary answer was bad, with what was wrong."""
    heard = witnesses(observed, _ADMISSION)
    found = []
    for pod in pods:
        server = container_id(pod, names.CONTAINER_SERVER)
        instance = Instance(f"pod/{pod.name}", pod_uid=pod.uid, container_id=server)
        entries = [
            witness.entry
            for witness in heard.get(instance.name, ())
            if witness.reason in _CONCLUSIVE and instance.is_subject_of(witness.entry)
        ]
        if entries:
            last = max(entries, key=lambda entry: (entry.measured_at, entry.sequence, entry.digest))
            answer = next((one.value for one in last.observations if one.name == "answer"), "")
            if answer == "bad" or answer.startswith("bad "):
                found.append((pod.name, answer.removeprefix("bad").strip()))
    return found


def _quoted(bad: Sequence[tuple[str, str]]) -> str:
    name, what = bad[0]
    others = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    detail = f": {shortened(what, _QUOTE_LIMIT)}" if what else ""
    return f"the last canary answer of pod {name}{others} was bad{detail}"
