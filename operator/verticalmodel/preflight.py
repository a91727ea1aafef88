"""Whether a new pod template is tried before a pod that serves is stopped for it, and what came of it. Pure.

A rollout without surge (GPUs above all) stops first and starts then: a misspelt image would take the service down. So
the template waits, and what serves goes on, until a pre-flight has shown that images and parameters are there. A
template that is stored (its ControllerRevision) was let through: the rollout has begun and is not held back again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from verticalmodel.api import conditions, names
from verticalmodel.facts import Observed, ObservedContainer, ObservedPod, Pin
from verticalmodel.judge.holdups import PODS_NOT_READY, UNSCHEDULABLE, holdup
from verticalmodel.judge.verdict import Rollup
from verticalmodel.plan import Plan
from verticalmodel.render.network_policy import preflight_policy
from verticalmodel.render.preflight import preflight
from verticalmodel.rollout import has_served
from verticalmodel.serving_certificate import Issued

__all__ = ["Held", "Trials", "hold"]

RUNNING, FAILED = "Preflight", "PreflightFailed"


# How the kubelet says that a container's image is there and its command is not: some runtimes make it first.
_NOT_MADE = ("CreateContainerError", "RunContainerError")
_NOT_STARTED = "StartError"


@dataclass(frozen=True)
class Trials:
    """What is known of a model's pre-flights, of any template."""

    pods: Sequence[ObservedPod] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    """By name of the Deployment, what the API server said when it refused its pod."""
    issued: Issued | None = None
    """What cert-manager says of the serving certificate; None where the built-in authority signs."""
    begun: frozenset[str] = frozenset()
    """Names of their Deployments that stand."""
    unread: str = ""
    """Why refusals and the certificate could not be looked at; empty where they were."""


@dataclass(frozen=True)
class Held:
    """A template that waits."""

    reason: str
    clue: str
    children: tuple[dict[str, Any], ...]
    """What tries it, to be applied after everything else."""

    @property
    def progressing(self) -> Rollup:
        """What Progressing says meanwhile."""
        if self.reason == RUNNING:
            message = (
                f"the new images and parameters are looked for before a pod that serves stops: {self.clue}; "
                "spec.rollout.preflight: Skip goes on without"
            )
            return Rollup(conditions.PROGRESSING, "True", RUNNING, message)
        message = (
            f"what serves goes on as it is, because the new template would not come up: {self.clue}; it is tried on "
            "until it would, or until spec.rollout.preflight is Skip"
        )
        return Rollup(conditions.PROGRESSING, "False", FAILED, message)


def hold(plan: Plan, chosen: Pin, stored: Pin | None, seen: Observed, trials: Trials) -> Held | None:
    """Whether `chosen` waits, and for what; None where the pods may be made of it.

    `stored` is the newest template that was let through.
    """
    # Where it is no node's wish that a pod stops first, a node that comes back may make it one before the rollout ends.
    stops = not plan.surge or (plan.gpus is not None and seen.model.spec.rollout.surge is None)
    new = stored is not None and stored != chosen
    if not (new and stops and plan.replicas > 0 and plan.preflight):
        return None
    trial = preflight(plan)
    name = trial["metadata"]["name"]
    # Once it is being tried, the verdict outlives the pod that served: what replaces that pod would serve again.
    if name not in trials.begun and not any(has_served(pod) for pod in seen.pods):
        return None
    digest = trial["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_DIGEST]
    alive = [pod for pod in trials.pods if pod.owned and pod.serving and pod.template_digest == digest]
    if trials.unread:
        outcome = RUNNING, f"it cannot be looked at: {trials.unread}"
    elif not any(_good(pod) for pod in alive):
        outcome = _outcome(seen, alive, trials.refused.get(name, ""))
    elif trials.issued is None or (trials.issued.not_after or seen.now) > seen.now:
        return None
    else:
        why = trials.issued.message or "the last one has expired"
        outcome = RUNNING, f"spec.certificate.issuerRef: there is no serving certificate: {why}"
    return Held(*outcome, (preflight_policy(plan), trial))


def _good(pod: ObservedPod) -> bool:
    """Its images are on a node, and the parameters are where the source says."""
    pulled = {one.name for one in pod.containers if _pulled(one)}
    checked = pod.delivery is not None and pod.delivery.succeeded
    return checked and {names.CONTAINER_SERVER, names.CONTAINER_GUARD} <= pulled


def _pulled(container: ObservedContainer) -> bool:
    """Its image is on the node; where a runtime looks for the command before it makes a container, nothing names it."""
    told = container.waiting_reason in _NOT_MADE or container.exit_reason == _NOT_STARTED
    return bool(container.image_id) or told


def _outcome(seen: Observed, alive: Sequence[ObservedPod], refused: str) -> tuple[str, str]:
    if not alive and refused:
        return RUNNING, f"it cannot be tried, since the API server refuses the pod for it: {refused}"
    if not alive:
        return RUNNING, "the pod for it is not there yet"
    for pod in alive:
        if pod.delivery is not None and not pod.delivery.succeeded:
            return FAILED, f"spec.source: {pod.delivery.reason.value}: {pod.delivery.message}"
    # What has its image has all that is wanted of it: that it does not run is how it is made.
    found = holdup(seen, [replace(pod, containers=tuple(c for c in pod.containers if not _pulled(c))) for pod in alive])
    # A full cluster says nothing of the template, for which a pod of the model makes room.
    undecided = found.reason in (PODS_NOT_READY, UNSCHEDULABLE)
    return (RUNNING, found.clue) if undecided else (FAILED, f"{found.reason}: {found.clue}")
