"""The Deployment that runs the serving pods."""

from __future__ import annotations

from typing import Any

from verticalmodel.api import names
from verticalmodel.plan import Plan, selector
from verticalmodel.render.metadata import ROLE_SERVER, metadata
from verticalmodel.render.pin import Pinned


def deployment(plan: Plan, pinned: Pinned) -> dict[str, Any]:
    """The Deployment; replicas are ours, because the model's scale subresource is the only knob."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(plan.owner, names.child_name(plan.owner.name, ROLE_SERVER), component=ROLE_SERVER),
        "spec": {
            "replicas": plan.replicas,
            "selector": {"matchLabels": selector(plan.owner)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": _rolling_update(plan)},
            "progressDeadlineSeconds": plan.start_budget_seconds,
            "revisionHistoryLimit": 1,
            "template": pinned.template,
        },
    }


def _rolling_update(plan: Plan) -> dict[str, int | str]:
    if plan.makes_way:
        return {"maxSurge": 0, "maxUnavailable": "100%"}
    # Without surge one goes before one comes: on the last free GPU a surge would wait for itself.
    return {"maxSurge": 1, "maxUnavailable": 0} if plan.surge else {"maxSurge": 0, "maxUnavailable": 1}
