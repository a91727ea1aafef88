"""Whether what a new template takes the place of is worth keeping meanwhile. Pure.

The first version of a model may be one that never comes up. Its pod keeps its room while it fails, and on a full node
the corrected one would wait for that room without end. So pods that serve nobody, and never did, make way at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from verticalmodel.api import names
from verticalmodel.facts import ObservedPod
from verticalmodel.plan import Plan

__all__ = ["has_served", "make_way"]


def make_way(plan: Plan, digest: str, pods: Sequence[ObservedPod]) -> Plan:
    """The plan, and where no pod of an earlier template than `digest` ever served, one that stops them all first.

    A pod that is leaving or has failed still tells that its version served. A model whose spec.rollout.surge says true
    is left as it is.
    """
    earlier = [pod for pod in pods if pod.owned and pod.template_digest != digest]
    if not any(pod.serving for pod in earlier) or plan.surge_wished:
        return plan
    if any(has_served(pod) or pod.was_ready for pod in earlier):
        return plan
    return replace(plan, makes_way=True)


def has_served(pod: ObservedPod) -> bool:
    """It serves, or did and has missed a probe, or is on its way out: no reason to hurry."""
    servers = (one for one in pod.containers if one.name == names.CONTAINER_SERVER)
    there = pod.owned and pod.phase not in ("Succeeded", "Failed")
    return there and (pod.ready or any(one.started for one in servers))
