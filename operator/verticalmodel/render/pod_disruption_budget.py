"""The PodDisruptionBudget: a drained node takes one serving pod at a time."""

from __future__ import annotations

from typing import Any

from verticalmodel.api import names
from verticalmodel.plan import Plan, selector
from verticalmodel.render.metadata import ROLE_SERVER, metadata


def pod_disruption_budget(plan: Plan) -> dict[str, Any] | None:
    """The budget of a model with two pods or more; None below, where it could only block every drain."""
    if plan.replicas < 2:
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(plan.owner, names.child_name(plan.owner.name, ROLE_SERVER), component=ROLE_SERVER),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(plan.owner)},
            # A pod that is not ready serves nobody: it must not hold a drain up.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
