"""All children of a model, in the order in which they are applied."""

from __future__ import annotations

from typing import Any

from verticalmodel.plan import Plan
from verticalmodel.render.certificate import certificate
from verticalmodel.render.deployment import deployment
from verticalmodel.render.network_policy import network_policy
from verticalmodel.render.pin import Pinned, controller_revision, egress, guard_config_map
from verticalmodel.render.pod_disruption_budget import pod_disruption_budget
from verticalmodel.render.resource_claim_template import resource_claim_template
from verticalmodel.render.route import route
from verticalmodel.render.service import service
from verticalmodel.render.service_account import service_account


def children(plan: Plan, pinned: Pinned) -> tuple[dict[str, Any], ...]:
    """Manifests in kind order: what confines a pod exists before the pod does.

    The certificate Secret is not among them: it holds key material, which is minted once and never rendered again.
    """
    budget, way, issued = pod_disruption_budget(plan), route(plan), certificate(plan)
    return (
        service_account(plan),
        network_policy(plan, egress(plan, pinned)),
        guard_config_map(plan, pinned),
        controller_revision(plan, pinned),
        *([resource_claim_template(plan.owner, pinned.pin.claim)] if pinned.pin.claim is not None else []),
        *([issued] if issued is not None else []),
        service(plan),
        *([way] if way is not None else []),
        *([budget] if budget is not None else []),
        deployment(plan, pinned),
    )
