"""The route from an ingress controller to the model's Service; TLS goes through it untouched."""

from __future__ import annotations

from typing import Any

from verticalmodel.api import names
from verticalmodel.exposure import Exposed
from verticalmodel.plan import Plan
from verticalmodel.render.metadata import ROLE_ROUTE, metadata

INGRESS, INGRESS_ROUTE_TCP = "Ingress", "IngressRouteTCP"
KINDS = (INGRESS, INGRESS_ROUTE_TCP)
_ENTRY_POINT = "websecure"


def route_name(model: str, host: str) -> str:
    """Another host is another object, so that a name alone tells whether a standing route is for a host."""
    return names.child_name(model, f"{ROLE_ROUTE}/{host}")


def route(plan: Plan) -> dict[str, Any] | None:
    """The route of an exposed model, in the kind that its controller reads; None for others."""
    if plan.exposed is None:
        return None
    render = {INGRESS: _ingress, INGRESS_ROUTE_TCP: _ingress_route_tcp}[plan.exposed.way.kind]
    return render(plan, plan.exposed)


def _made_for(exposed: Exposed) -> dict[str, str]:
    return {names.ANNOTATION_INGRESS_CLASS: exposed.class_name}


def _ingress(plan: Plan, exposed: Exposed) -> dict[str, Any]:
    backend = {"service": {"name": plan.owner.name, "port": {"number": names.SERVICE_PORT}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": INGRESS,
        "metadata": metadata(
            plan.owner,
            route_name(plan.owner.name, exposed.host),
            component=ROLE_ROUTE,
            annotations={**_made_for(exposed), **exposed.way.annotations},
        ),
        "spec": {
            "ingressClassName": exposed.class_name,
            "rules": [
                {
                    "host": exposed.host,
                    "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
                }
            ],
        },
    }


def _ingress_route_tcp(plan: Plan, exposed: Exposed) -> dict[str, Any]:
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": INGRESS_ROUTE_TCP,
        "metadata": metadata(
            plan.owner,
            route_name(plan.owner.name, exposed.host),
            component=ROLE_ROUTE,
            # In the place of spec.ingressClassName, which CRDs of Traefik before 3.7 do not have.
            annotations={**_made_for(exposed), "kubernetes.io/ingress.class": exposed.class_name},
        ),
        "spec": {
            "entryPoints": [_ENTRY_POINT],
            "routes": [
                {
                    "match": f"HostSNI(`{exposed.host}`)",
                    "services": [{"name": plan.owner.name, "port": names.SERVICE_PORT}],
                }
            ],
            "tls": {"passthrough": True},
        },
    }
