"""Metadata of every child: deterministic name, labels, and the model as controlling owner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verticalmodel.api import names
from verticalmodel.plan import Owner, labels

ROLE_ACCOUNT = "account"
ROLE_CERTIFICATE = "certificate"
ROLE_GPUS = "gpus"
ROLE_GUARD = "guard"
ROLE_ISSUED = "issued"
ROLE_POLICY = "policy"
ROLE_PREFLIGHT = "preflight"
ROLE_ROUTE = "route"
ROLE_SERVER = "server"
ROLE_TEMPLATE = "template"


def metadata(
    owner: Owner,
    name: str,
    *,
    component: str,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Metadata of a child in the model's namespace."""
    rendered: dict[str, Any] = {
        "name": name,
        "namespace": owner.namespace,
        "labels": {**labels(owner), names.LABEL_COMPONENT: component},
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": "VerticalModel",
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
            }
        ],
    }
    if annotations:
        rendered["annotations"] = dict(annotations)
    return rendered
