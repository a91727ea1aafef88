"""The Certificate that asks cert-manager for a model's serving certificate, in place of the built-in authority."""

from __future__ import annotations

from typing import Any

from verticalmodel.api import names
from verticalmodel.plan import Plan
from verticalmodel.render.certificate_secret import SERVING_DAYS, server_names
from verticalmodel.render.metadata import ROLE_CERTIFICATE, ROLE_ISSUED, metadata

__all__ = ["certificate", "certificate_name", "secret_name"]


def certificate_name(model: str) -> str:
    """Name of the Certificate, and of the Secret that cert-manager keeps for it."""
    return names.child_name(model, ROLE_ISSUED)


def secret_name(plan: Plan) -> str:
    """The Secret that the guard's certificate is in: two writers never share one."""
    role = ROLE_CERTIFICATE if plan.issuer is None else ROLE_ISSUED
    return names.child_name(plan.owner.name, role)


def certificate(plan: Plan) -> dict[str, Any] | None:
    """The Certificate; None where the built-in authority signs."""
    if plan.issuer is None:
        return None
    host = plan.exposed.host if plan.exposed is not None else None
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": metadata(plan.owner, certificate_name(plan.owner.name), component=ROLE_CERTIFICATE),
        "spec": {
            "secretName": secret_name(plan),
            "dnsNames": list(server_names(plan.owner, plan.platform.cluster_domain, host)),
            "issuerRef": plan.issuer.wire(),
            # As the built-in authority does it: renewed after two thirds of its life.
            "duration": f"{24 * SERVING_DAYS}h",
            "renewBefore": f"{24 * SERVING_DAYS // 3}h",
            "privateKey": {"algorithm": "ECDSA", "size": 256, "encoding": "PKCS8", "rotationPolicy": "Always"},
            "usages": ["digital signature", "server auth"],
        },
    }
