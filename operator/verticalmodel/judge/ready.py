"""Ready: it serves. Decided by the pods, and by the last canary answer where there is one. Pure.

A prober that is down never takes Ready away: no canary, an expired one, an inconclusive one and one that cannot be
relied on all leave the decision to the pods' own readiness.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from verticalmodel.api import names
from verticalmodel.api.conditions import READY, ClauseReason
from verticalmodel.facts import Observed, ObservedContainer, ObservedPod
from verticalmodel.judge.admissible import Admission, Instance, witnesses
from verticalmodel.judge.instances import container_id
from verticalmodel.judge.verdict import Rollup, bounded, shortened
from verticalmodel.seal.report import Report

__all__ = [
    "CANARY_FAILED",
    "DELETING",
    "NO_PODS",
    "PODS_NOT_READY",
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
PODS_NOT_READY = "PodsNotReady"
CANARY_FAILED = "CanaryFailed"

CANARY = "canary-answer"
CANARY_LIFETIME = timedelta(seconds=600)
"""No canary answer counts for longer, whatever it claims; what a state measure of the default edition gets."""

_ADMISSION = Admission(CANARY, frozenset({names.MANAGER_PROBER}), CANARY_LIFETIME)
_CONCLUSIVE = (ClauseReason.MEASURED, ClauseReason.SIMULATED)
_QUOTE_LIMIT = 200
# Where containers wait on their way up anyway; any other reason tells more.
_ON_THE_WAY = ("ContainerCreating", "PodInitializing", "")


def ready(observed: Observed, template_digest: str | None) -> Rollup:
    """Ready=True where a pod of the template `template_digest` is Ready and its last canary answer was not bad."""
    unwanted = _not_wanted(observed)
    if unwanted is not None:
        return unwanted
    spec = observed.model.spec
    serving = [pod for pod in observed.pods if pod.serving and pod.owned]
    current = [pod for pod in serving if template_digest is not None and pod.template_digest == template_digest]
    older = _older(len(serving) - len(current))
    if not current:
        return _not_ready(NO_PODS, f"No pod of the current template exists yet.{older}")
    up = sorted((pod for pod in current if pod.ready), key=lambda pod: pod.name)
    refused = [(pod.name, pod.delivery) for pod in current if pod.delivery is not None and not pod.delivery.succeeded]
    if not up and refused:
        return _not_delivered(*refused[0], older)
    if not up:
        return _not_ready(PODS_NOT_READY, f"0 of {spec.replicas} pods are Ready. {_most_telling(current)}.{older}")
    bad = _bad_answers(observed, up)
    if len(bad) == len(up):
        return _not_ready(CANARY_FAILED, f"{len(up)} of {spec.replicas} pods are Ready, but {_quoted(bad)}.{older}")
    but = f", but {_quoted(bad)}" if bad else ""
    message = f"{len(up)} of {spec.replicas} pods are Ready{but}"
    return Rollup(READY, "True", SERVING, bounded(message))


def _not_delivered(pod: str, report: Report, older: str) -> Rollup:
    """The parameters were refused before one byte reached the server: the refusal's own reason is the condition's."""
    return _not_ready(report.reason.value, f"Parameters of pod {pod}: {report.message}.{older}")


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


def _older(count: int) -> str:
    return f" {count} of an earlier template still run." if count else ""


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


def _most_telling(pods: Sequence[ObservedPod]) -> str:
    """What holds the pods back: a container that fails before one that is on its way before a pod without a node."""
    clues = sorted(
        (rank, pod.name, clue)
        for pod in pods
        for rank, clue in [*(_of(pod, one) for one in pod.containers), _of_pod(pod)]
    )
    _, pod, clue = clues[0]
    return f"Pod {pod}: {clue}"


def _of(pod: ObservedPod, container: ObservedContainer) -> tuple[int, str]:
    said = f": {shortened(container.exit_message, _QUOTE_LIMIT)}" if container.exit_message else ""
    restarts = f" after {container.restarts} restarts" if container.restarts else ""
    if container.waiting_reason not in _ON_THE_WAY:
        return (
            0,
            f"container {container.name} waits ({container.waiting_reason}){restarts}{said or _look(pod, container)}",
        )
    if container.exit_message:
        return 1, f"container {container.name} last ended{said}{restarts}"
    if container.waiting_reason:
        return 3, f"container {container.name} waits ({container.waiting_reason})"
    if container.running:
        return 4, f"container {container.name} runs and is not ready yet{restarts}"
    return 3, f"container {container.name} does not run yet"


def _look(pod: ObservedPod, container: ObservedContainer) -> str:
    """Where to read what a container without a termination message said: a server has none (render/pod_template.py)."""
    if not container.restarts:
        return ""
    return f"; `kubectl logs {pod.name} -c {container.name} --previous` says why"


def _of_pod(pod: ObservedPod) -> tuple[int, str]:
    if not pod.node:
        return 2, f"no node yet; `kubectl describe pod {pod.name}` says why"
    return 5, f"phase {pod.phase} on node {pod.node}"
