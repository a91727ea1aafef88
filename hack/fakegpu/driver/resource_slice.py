"""The ResourceSlice of a node, with the names that NVIDIA's DRA driver gives to a full GPU. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from fakegpu.driver.names import DRIVER, SIMULATED
from fakegpu.driver.profile import Device, Profile


def slice_name(node: str) -> str:
    """One slice per node holds its whole pool, so that a repeated publication overwrites instead of adding."""
    return f"{node}-{DRIVER}"


def device_name(index: int) -> str:
    """The device's name in its pool."""
    return f"gpu-{index}"


def resource_slice(node: str, node_uid: str, profile: Profile, *, taints: bool) -> dict[str, Any]:
    """The slice that offers the node's devices; it goes when the Node goes.

    An unhealthy device is tainted; where the API server knows no device taints (`taints` off), it is left out.
    """
    devices = [
        _device(index, device, profile)
        for index, device in enumerate(profile.devices)
        if taints or device.state.health == "Healthy"
    ]
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {
            "name": slice_name(node),
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node_uid, "controller": True}
            ],
        },
        "spec": {
            "driver": DRIVER,
            "nodeName": node,
            # The generation tells slices of an old and a new pool apart; a pool of one slice changes in one write.
            "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
            "devices": devices,
        },
    }


def published(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A slice's spec as it compares with a wanted one: without the time that the API server adds to a taint."""
    comparable = copy.deepcopy(dict(spec))
    for device in comparable.get("devices") or ():
        for taint in device.get("taints") or ():
            taint.pop("timeAdded", None)
    # An empty list is not kept by the API server.
    comparable.setdefault("devices", [])
    return comparable


def taints_dropped(wanted: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Whether the API server kept the slice and not its taints, as one without the feature does without a word."""
    return any(device.get("taints") for device in wanted["devices"]) and not any(
        device.get("taints") for device in answer.get("devices") or ()
    )


def quantity(mebibytes: int) -> str:
    """Memory in the canonical form that the API server answers with: the largest binary unit without a fraction."""
    units = iter(("Mi", "Gi", "Ti"))
    unit, number = next(units), mebibytes
    while number % 1024 == 0 and unit != "Ti":
        unit, number = next(units), number // 1024
    return f"{number}{unit}"


def _device(index: int, device: Device, profile: Profile) -> dict[str, Any]:
    major, minor = device.compute_capability
    entry: dict[str, Any] = {
        "name": device_name(index),
        "attributes": {
            "type": {"string": device.type},
            "uuid": {"string": device.uuid},
            "productName": {"string": device.product},
            "brand": {"string": device.brand},
            "architecture": {"string": device.architecture},
            "cudaComputeCapability": {"version": f"{major}.{minor}.0"},
            "driverVersion": {"version": profile.driver_version},
            "cudaDriverVersion": {"version": profile.cuda_driver_version},
            # One root per device: no two of them share a switch.
            "resource.kubernetes.io/pcieRoot": {"string": f"pci0000:{index:02x}"},
            SIMULATED: {"bool": True},
        },
        "capacity": {"memory": {"value": quantity(device.memory_mib)}},
    }
    if device.state.health == "Unhealthy":
        entry["taints"] = [_taint(device.state.xid)]
    return entry


def _taint(xid: int) -> dict[str, str]:
    """As NVIDIA's driver taints: it never evicts, it only keeps new claims away."""
    if xid:
        return {"key": f"{DRIVER}/xid", "value": str(xid), "effect": "NoSchedule"}
    return {"key": f"{DRIVER}/gpu-lost", "effect": "NoSchedule"}
