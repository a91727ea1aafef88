"""Why a model's pods do not come up, from what the scheduler, the kubelet and the API server report of them. Pure.

Decided by their own typed words (reasons, exit codes, phases); their sentences are quoted for people and decide
nothing. No log is read: what a server prints may be secret.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from verticalmodel.api import names
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import Observed, ObservedClaim, ObservedContainer, ObservedPod
from verticalmodel.judge.verdict import shortened

__all__ = [
    "CLAIM_NOT_FOUND",
    "CONTAINER_EXITED",
    "CONTAINER_KILLED",
    "CONTAINER_NOT_CREATED",
    "IMAGE_NOT_PULLED",
    "OUT_OF_MEMORY",
    "PODS_NOT_READY",
    "UNSCHEDULABLE",
    "Holdup",
    "holdup",
]

PODS_NOT_READY = "PodsNotReady"
"""On the way up, as far as anybody says."""
IMAGE_NOT_PULLED = "ImageNotPulled"
CONTAINER_NOT_CREATED = "ContainerNotCreated"
OUT_OF_MEMORY = "OutOfMemory"
CONTAINER_EXITED = "ContainerExited"
CONTAINER_KILLED = "ContainerKilled"
CLAIM_NOT_FOUND = "ClaimNotFound"
UNSCHEDULABLE = "Unschedulable"

_QUOTE_LIMIT = 200
# The kubelet goes back and forth between the first two, so they are told as one.
_PULLING = ("ErrImagePull", "ImagePullBackOff")
_IMAGE = (*_PULLING, "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable")
_NEVER_RAN = ("StartError", "ContainerCannotRun")
_CREATING = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError")
# Where containers wait on their way up anyway; any other reason tells more.
_ON_THE_WAY = ("ContainerCreating", "PodInitializing", "")
_SIGNALLED = 128
"""An exit code above it is a signal's number on top of it (POSIX shells, runc)."""


@dataclass(frozen=True, order=True)
class Holdup:
    """What holds one pod back, the most telling first."""

    rank: int
    pod: str
    reason: str
    clue: str


def holdup(observed: Observed, pods: Sequence[ObservedPod]) -> Holdup:
    """The most telling of what holds `pods` back: what fails before what waits before what is on its way."""
    return min(found for pod in pods for found in _of_pod(pod, observed.model, observed.claim))


def _of_pod(pod: ObservedPod, model: VerticalModel, claim: ObservedClaim | None) -> Iterator[Holdup]:
    for container in pod.preparing:
        if container.exit_code != 0:
            yield _of(container, pod, model, _preparing(container))
    for container in (one for one in pod.containers if not one.ephemeral):
        yield _of(container, pod, model, _coming_up(container))
    if pod.node:
        yield Holdup(9, pod.name, PODS_NOT_READY, f"phase {pod.phase} on node {pod.node}")
    elif claim is not None and not claim.phase:
        yield Holdup(2, pod.name, CLAIM_NOT_FOUND, _no_claim(claim, model))
    elif pod.unscheduled:
        waits = f"; PersistentVolumeClaim {claim.name!r} is {claim.phase}" if claim and claim.phase != "Bound" else ""
        yield Holdup(3, pod.name, UNSCHEDULABLE, f"no node: {shortened(pod.unscheduled, 600).rstrip('.')}{waits}")
    else:
        yield Holdup(3, pod.name, PODS_NOT_READY, f"no node yet; `kubectl describe pod {pod.name}` says why")


def _no_claim(claim: ObservedClaim, model: VerticalModel) -> str:
    space = model.metadata.namespace
    return (
        f"spec.source.uri: {model.spec.source.uri} needs PersistentVolumeClaim {claim.name!r}, and there is none in "
        f"namespace {space!r}; create it, or name one that `kubectl get pvc -n {space}` lists"
    )


def _of(container: ObservedContainer, pod: ObservedPod, model: VerticalModel, on_the_way: tuple[int, str]) -> Holdup:
    waits, again = container.waiting_reason, _after(container)
    if waits in _IMAGE:
        return Holdup(0, pod.name, IMAGE_NOT_PULLED, _no_image(container, pod, model))
    if waits in _CREATING or container.exit_reason in _NEVER_RAN:
        what = f"container {container.name} cannot be made ({waits or container.exit_reason}){again}{_said(container)}"
        return Holdup(0, pod.name, CONTAINER_NOT_CREATED, f"{what}; `kubectl describe pod {pod.name}` says more")
    if container.exit_code is not None and not (container.running and container.started):
        return _ended(container, container.exit_code, pod, model)
    if waits not in _ON_THE_WAY:
        return Holdup(1, pod.name, PODS_NOT_READY, f"container {container.name} waits ({waits}){again}")
    rank, clue = on_the_way
    return Holdup(rank, pod.name, PODS_NOT_READY, clue)


def _no_image(container: ObservedContainer, pod: ObservedPod, model: VerticalModel) -> str:
    of = {names.CONTAINER_SERVER: f"spec.image of ModelRuntime {model.spec.runtime.name!r}"}
    field = of.get(container.name, "the operator's own setting")
    why = "cannot be pulled" if container.waiting_reason in _PULLING else f"cannot be used ({container.waiting_reason})"
    return (
        f"image {container.image!r} of container {container.name} ({field}) {why}; it must be one that node {pod.node} "
        f"can pull, with credentials in spec.pod.imagePullSecrets where its registry wants some; "
        f"`kubectl describe pod {pod.name}` quotes the registry"
    )


def _ended(container: ObservedContainer, code: int, pod: ObservedPod, model: VerticalModel) -> Holdup:
    name, tail = container.name, f"{_after(container)}{_said(container)}"
    log = f"`kubectl logs {pod.name} -c {name} --previous` shows what it printed"
    if container.exit_reason == "OOMKilled":
        guard = name == names.CONTAINER_GUARD
        field = "spec.guard.memory of the ModelRuntime" if guard else "spec.resources.memory"
        limit = container.limits.get("memory", "none") if guard else model.spec.resources.memory
        what = f"{field}: {limit} was not enough for container {name}{tail}; raise it"
        return Holdup(1, pod.name, OUT_OF_MEMORY, what)
    if code > _SIGNALLED:
        how = f"container {name} was ended by {_signal(code - _SIGNALLED)} (exit code {code}){tail}"
        return Holdup(1, pod.name, CONTAINER_KILLED, f"{how}; the kubelet does so where probes go unanswered; {log}")
    how = f"container {name} ended by itself with exit code {code}{tail}"
    return Holdup(1, pod.name, CONTAINER_EXITED, f"{how}; {log}")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _preparing(container: ObservedContainer) -> tuple[int, str]:
    """Rank and clue of an init container on its way: while it runs, the others cannot but wait."""
    if container.running:
        return 4, f"container {container.name} delivers the parameters"
    return 6, f"container {container.name} does not run yet"


def _coming_up(container: ObservedContainer) -> tuple[int, str]:
    if container.waiting_reason:
        return 5, f"container {container.name} waits ({container.waiting_reason})"
    if not container.running:
        return 5, f"container {container.name} does not run yet"
    if not container.started:
        return 7, f"container {container.name} runs and has not answered its startup probe yet"
    return 8, f"container {container.name} runs and is not ready"


def _said(container: ObservedContainer) -> str:
    return f": {shortened(container.exit_message, _QUOTE_LIMIT)}" if container.exit_message else ""


def _after(container: ObservedContainer) -> str:
    return f" after {container.restarts} restarts" if container.restarts else ""
