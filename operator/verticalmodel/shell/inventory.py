"""What the cluster offers, as small values: projections of Node, ResourceSlice and IngressClass. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from verticalmodel.api import names
from verticalmodel.api.schema import parse_quantity
from verticalmodel.facts import IngressClass, Node, NodeGpu
from verticalmodel.shell.projection import whole_number

_DRIVER = "gpu.nvidia.com"
_KEEPS_AWAY = ("NoSchedule", "NoExecute")
# More than any machine has; whoever may write a node's status may write any number.
_MOST_DEVICES = 64
_VERSION = re.compile(r"^(\d+)\.(\d+)")


def uid(obj: Mapping[str, Any]) -> str:
    """Identity of an object of which only the existence matters."""
    return str(obj["metadata"]["uid"])


def ingress_class(obj: Mapping[str, Any]) -> IngressClass:
    """Projection of an IngressClass."""
    meta = obj["metadata"]
    annotations: Mapping[str, str] = meta.get("annotations") or {}
    return IngressClass(
        name=meta["name"],
        controller=(obj.get("spec") or {}).get("controller") or "",
        is_default=annotations.get("ingressclass.kubernetes.io/is-default-class") == "true",
        created_at=meta.get("creationTimestamp") or "",
    )


def node(obj: Mapping[str, Any]) -> Node:
    """Projection of a Node; a heartbeat changes nothing in it."""
    meta, status = obj["metadata"], obj.get("status") or {}
    labels: Mapping[str, str] = meta.get("labels") or {}
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    return Node(
        name=meta["name"],
        ready=conditions.get("Ready") == "True",
        cordoned=bool((obj.get("spec") or {}).get("unschedulable")),
        labels=labels,
        handlers=_handlers(status.get("runtimeHandlers") or ()),
        plugin_devices=_plugin_devices(labels, (status.get("allocatable") or {}).get(names.GPU_PLUGIN_RESOURCE, "0")),
    )


def _handlers(listed: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    return {one.get("name", ""): bool((one.get("features") or {}).get("userNamespaces")) for one in listed}


def _plugin_devices(labels: Mapping[str, str], allocatable: str) -> tuple[NodeGpu, ...]:
    """The device plugin's GPUs by the labels of GPU feature discovery, which describe the node as a whole."""
    device = NodeGpu(
        product=labels.get("nvidia.com/gpu.product", "unlabelled GPU"),
        memory_bytes=whole_number(labels.get("nvidia.com/gpu.memory")) * 2**20,
        capability=(
            whole_number(labels.get("nvidia.com/gpu.compute.major")),
            whole_number(labels.get("nvidia.com/gpu.compute.minor")),
        ),
    )
    return (device,) * min(int(parse_quantity(allocatable)), _MOST_DEVICES)


def gpu_slice(obj: Mapping[str, Any]) -> tuple[str, tuple[NodeGpu, ...]] | None:
    """Node and usable GPUs of a ResourceSlice of the GPU driver; None for other slices."""
    spec = obj["spec"]
    if spec.get("driver") != _DRIVER or not spec.get("nodeName"):
        return None
    found = (_device(one) for one in spec.get("devices") or () if not _kept_away(one))
    return spec["nodeName"], tuple(one for one in found if one is not None)


def with_devices(nodes: Iterable[Node], slices: Iterable[tuple[str, tuple[NodeGpu, ...]]]) -> tuple[Node, ...]:
    """The nodes with the GPUs that all slices publish for them."""
    published: dict[str, list[NodeGpu]] = {}
    for name, devices in slices:
        published.setdefault(name, []).extend(devices)
    return tuple(replace(one, devices=tuple(published.get(one.name, ()))) for one in nodes)


def _kept_away(device: Mapping[str, Any]) -> bool:
    return any(taint.get("effect") in _KEEPS_AWAY for taint in device.get("taints") or ())


def _device(obj: Mapping[str, Any]) -> NodeGpu | None:
    attributes, capacity = obj.get("attributes") or {}, obj.get("capacity") or {}
    if "memory" not in capacity:
        return None
    version = _VERSION.match((attributes.get("cudaComputeCapability") or {}).get("version", ""))
    return NodeGpu(
        product=(attributes.get("productName") or {}).get("string", "GPU"),
        memory_bytes=int(parse_quantity(capacity["memory"]["value"])),
        capability=(int(version[1]), int(version[2])) if version else (0, 0),
    )
