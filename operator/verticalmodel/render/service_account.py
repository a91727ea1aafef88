"""The ServiceAccount of the serving pods: an identity without rights and without a token."""

from __future__ import annotations

from typing import Any

from verticalmodel.api import names
from verticalmodel.plan import Plan
from verticalmodel.render.metadata import ROLE_ACCOUNT, metadata


def service_account(plan: Plan) -> dict[str, Any]:
    """No RoleBinding names it, and nothing mounts its token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(plan.owner, names.child_name(plan.owner.name, ROLE_ACCOUNT), component=ROLE_ACCOUNT),
        "automountServiceAccountToken": False,
    }
