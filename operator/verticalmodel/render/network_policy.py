"""The NetworkPolicy: default deny both ways; in by the guard port only, out not at all.

A model from a claim needs nothing from the network, DNS included: a resolver is a way out for data. Remote sources will
bring their own egress.
"""

from __future__ import annotations

from typing import Any

from verticalmodel.api import names
from verticalmodel.plan import Plan, selector
from verticalmodel.render.metadata import ROLE_POLICY, metadata


def network_policy(plan: Plan) -> dict[str, Any]:
    """Ingress to the guard from the prober and the granted namespaces; no egress."""
    prober = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": plan.platform.system_namespace}},
        "podSelector": {"matchLabels": {names.LABEL_NAME: names.ACCOUNT_PROBER}},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(plan.owner, names.child_name(plan.owner.name, ROLE_POLICY), component=ROLE_POLICY),
        "spec": {
            "podSelector": {"matchLabels": selector(plan.owner)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [prober, {"namespaceSelector": _clients(plan)}],
                    "ports": [{"port": names.GUARD_PORT, "protocol": "TCP"}],
                }
            ],
        },
    }


def _clients(plan: Plan) -> dict[str, Any]:
    wire = plan.clients.wire()
    return {key: value for key, value in wire.items() if value}
