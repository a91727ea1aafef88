"""The Service: the model's name, port 443, always TLS because only the guard listens."""

from __future__ import annotations

from typing import Any

from verticalmodel.api import names
from verticalmodel.plan import Owner, Plan, selector
from verticalmodel.render.metadata import ROLE_SERVER, metadata


def service(plan: Plan) -> dict[str, Any]:
    """The ClusterIP Service in front of the guards."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(plan.owner, plan.owner.name, component=ROLE_SERVER),
        "spec": {
            "type": "ClusterIP",
            "selector": selector(plan.owner),
            "ports": [
                {
                    "name": "https",
                    "port": names.SERVICE_PORT,
                    "targetPort": names.GUARD_PORT,
                    "protocol": "TCP",
                    "appProtocol": "https",
                }
            ],
        },
    }


def url(owner: Owner, host: str = "") -> str:
    """Where clients reach the model: at `host` where a route to it stands, else inside the cluster only."""
    return f"https://{host}" if host else f"https://{owner.name}.{owner.namespace}.svc"
