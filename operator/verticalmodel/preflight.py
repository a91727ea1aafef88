"""Whether a new pod template is tried before a pod that serves is stopped for it, and what came of it. Pure.

A rollout without surge (GPUs above all) stops first and starts then: a misspelt image would take the service down. So
the template waits, and what serves goes on, until a pre-flight has shown that images and parameters are there. A
template that is stored (its ControllerRevision) was let through: the rollout has begun and is not held back again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from verticalmodel.api import conditions, names
from verticalmodel.facts import Observed, ObservedPod, Pin
from verticalmodel.judge.holdups import PODS_NOT_READY, UNSCHEDULABLE, holdup
from verticalmodel.judge.verdict import Rollup
from verticalmodel.plan import Plan
from verticalmodel.render.network_policy import preflight_policy
from verticalmodel.render.preflight import preflight

__all__ = ["Held", "hold"]

RUNNING, FAILED = "Preflight", "PreflightFailed"


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


def hold(plan: Plan, chosen: Pin, stored: Pin | None, seen: Observed, trials: Sequence[ObservedPod]) -> Held | None:
    """Whether `chosen` waits, and for what; None where the pods may be made of it.

    `stored` is the newest template that was let through, `trials` are the pods of the model's pre-flights, of any
    template.
    """
    serves = any(pod.ready and pod.serving and pod.owned for pod in seen.pods)
    new = stored is not None and stored != chosen
    if not (new and serves and plan.replicas > 0 and plan.preflight and not plan.surge):
        return None
    trial = preflight(plan)
    digest = trial["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_DIGEST]
    alive = [pod for pod in trials if pod.owned and pod.serving and pod.template_digest == digest]
    if any(_good(pod) for pod in alive):
        return None
    return Held(*_outcome(seen, alive), (preflight_policy(plan), trial))


def _good(pod: ObservedPod) -> bool:
    """Its images are on a node, and the parameters are where the source says."""
    pulled = {one.name for one in pod.containers if one.image_id}
    checked = pod.delivery is not None and pod.delivery.succeeded
    return checked and {names.CONTAINER_SERVER, names.CONTAINER_GUARD} <= pulled


def _outcome(seen: Observed, alive: Sequence[ObservedPod]) -> tuple[str, str]:
    if not alive:
        return RUNNING, "the pod for it is not there yet"
    for pod in alive:
        if pod.delivery is not None and not pod.delivery.succeeded:
            return FAILED, f"spec.source: {pod.delivery.reason.value}: {pod.delivery.message}"
    # What has its image has all that is wanted of it: that it does not run is how it is made.
    found = holdup(seen, [replace(pod, containers=tuple(c for c in pod.containers if not c.image_id)) for pod in alive])
    # A full cluster says nothing of the template, for which a pod of the model makes room.
    undecided = found.reason in (PODS_NOT_READY, UNSCHEDULABLE)
    return (RUNNING, found.clue) if undecided else (FAILED, f"{found.reason}: {found.clue}")
