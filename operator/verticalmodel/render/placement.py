"""Where the pods may run: the user's wishes, and what GPU pods need on top. Pure."""

from __future__ import annotations

import copy
from typing import Any

from verticalmodel.api import names
from verticalmodel.gpus import GpuRequest
from verticalmodel.plan import Plan

_MIB = 2**20
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def placement(plan: Plan) -> dict[str, Any]:
    """The scheduling fields of the pod's spec."""
    wishes = plan.pod
    found: dict[str, Any] = {"nodeSelector": {"kubernetes.io/os": "linux", **wishes.node_selector}}
    tolerations = [_toleration(one.wire()) for one in wishes.tolerations]
    affinity = _affinity(wishes.affinity.wire() if wishes.affinity else {})
    if plan.gpus is not None:
        # Nodes with GPUs are usually tainted to keep everybody else away.
        tolerations.append({"key": names.GPU_PLUGIN_RESOURCE, "operator": "Exists", "effect": "NoSchedule"})
        if not plan.gpus.by_claim:
            affinity = _with_requirements(affinity, _label_requirements(plan.gpus))
    found |= {
        "tolerations": tolerations,
        "affinity": affinity,
        "priorityClassName": wishes.priority_class_name,
        "runtimeClassName": wishes.runtime_class_name,
        "imagePullSecrets": [one.wire() for one in wishes.image_pull_secrets],
    }
    return {field: value for field, value in found.items() if value}


def _toleration(wire: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in wire.items() if value != ""}


def _affinity(wire: dict[str, Any]) -> dict[str, Any]:
    """As core/v1 writes it: what is empty is left out."""
    return {
        kind: {field: _pruned(value) for field, value in terms.items() if value}
        for kind, terms in wire.items()
        if any(terms.values())
    }


def _pruned(value: Any) -> Any:
    """Without empty lists and maps: server-side apply would own fields that the server drops."""
    if isinstance(value, dict):
        return {key: _pruned(item) for key, item in value.items() if item not in ([], {})}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def _label_requirements(gpus: GpuRequest) -> list[dict[str, Any]]:
    """Labels of GPU feature discovery. Gt is strict and takes one integer."""
    least = -(-gpus.memory_bytes // _MIB)
    found = [{"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": [str(least - 1)]}]
    if gpus.capability is not None:
        found.append({"key": "nvidia.com/gpu.compute.major", "operator": "Gt", "values": [str(gpus.capability[0] - 1)]})
    return found


def _with_requirements(affinity: dict[str, Any], requirements: list[dict[str, Any]]) -> dict[str, Any]:
    """The requirements on top of every term that a node may meet: terms are alternatives."""
    result = copy.deepcopy(affinity)
    node = result.setdefault("nodeAffinity", {})
    terms = node.get(_REQUIRED, {}).get("nodeSelectorTerms") or [{}]
    node[_REQUIRED] = {
        "nodeSelectorTerms": [
            {**term, "matchExpressions": [*term.get("matchExpressions", ()), *requirements]} for term in terms
        ]
    }
    return result
