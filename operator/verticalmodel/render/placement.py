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
            affinity = _with_alternatives(affinity, _label_alternatives(plan.gpus))
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


def _label_alternatives(gpus: GpuRequest) -> list[list[dict[str, Any]]]:
    """Labels of GPU feature discovery, as alternatives of which one must hold. Gt is strict and takes one integer."""
    memory = _above("nvidia.com/gpu.memory", -(-gpus.memory_bytes // _MIB))
    if gpus.capability is None:
        return [[memory]]
    major, minor = gpus.capability
    label = "nvidia.com/gpu.compute"
    if minor == 0:
        return [[memory, _above(f"{label}.major", major)]]
    same = {"key": f"{label}.major", "operator": "In", "values": [str(major)]}
    return [[memory, _above(f"{label}.major", major + 1)], [memory, same, _above(f"{label}.minor", minor)]]


def _above(key: str, least: int) -> dict[str, Any]:
    return {"key": key, "operator": "Gt", "values": [str(least - 1)]}


def _with_alternatives(affinity: dict[str, Any], alternatives: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """The requirements on top of every term that a node may meet: terms are alternatives too."""
    result = copy.deepcopy(affinity)
    node = result.setdefault("nodeAffinity", {})
    terms = node.get(_REQUIRED, {}).get("nodeSelectorTerms") or [{}]
    node[_REQUIRED] = {
        "nodeSelectorTerms": [
            {**term, "matchExpressions": [*term.get("matchExpressions", ()), *requirements]}
            for term in terms
            for requirements in alternatives
        ]
    }
    return result
