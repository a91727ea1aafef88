"""The ResourceClaimTemplate of GPU pods (dynamic resource allocation, resource.k8s.io/v1, KEP-4381).

Its spec is immutable, so its name is its content: another request is another object, and pods keep theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verticalmodel.api import names
from verticalmodel.evidence import sha256_of
from verticalmodel.gpus import GpuRequest
from verticalmodel.plan import Owner
from verticalmodel.render.metadata import ROLE_GPUS, metadata

REQUEST = "gpu"
DRIVER = "gpu.nvidia.com"


def claim_template(owner: Owner, gpus: GpuRequest) -> dict[str, Any]:
    """Name and spec of the template, as they are pinned."""
    spec = {"devices": _devices(gpus)}
    return {"name": names.child_name(owner.name, f"{ROLE_GPUS}/{sha256_of(spec)}"), "spec": spec}


def resource_claim_template(owner: Owner, pinned: Mapping[str, Any]) -> dict[str, Any]:
    """The object for a pinned template."""
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": metadata(owner, pinned["name"], component=ROLE_GPUS),
        "spec": {"spec": pinned["spec"]},
    }


def _devices(gpus: GpuRequest) -> dict[str, Any]:
    exactly = {
        "deviceClassName": names.GPU_DEVICE_CLASS,
        "allocationMode": "ExactCount",
        "count": gpus.count,
        "selectors": [{"cel": {"expression": expression}} for expression in _selectors(gpus)],
    }
    devices: dict[str, Any] = {"requests": [{"name": REQUEST, "exactly": exactly}]}
    if gpus.count > 1:
        # One model's GPUs work in step: the slowest product would set the pace of all.
        devices["constraints"] = [{"requests": [REQUEST], "matchAttribute": f"{DRIVER}/productName"}]
    return devices


def _selectors(gpus: GpuRequest) -> list[str]:
    """CEL over one device. A look at a missing attribute would abort the allocation, so each is asked for first."""
    memory = (
        f"device.driver == '{DRIVER}' && 'memory' in device.capacity['{DRIVER}'] && "
        f"device.capacity['{DRIVER}'].memory.compareTo(quantity('{gpus.memory_bytes}')) >= 0"
    )
    found = [memory]
    if gpus.capability is not None:
        version = f"{gpus.capability[0]}.{gpus.capability[1]}.0"
        found.append(
            f"device.driver == '{DRIVER}' && 'cudaComputeCapability' in device.attributes['{DRIVER}'] && "
            f"device.attributes['{DRIVER}'].cudaComputeCapability.compareTo(semver('{version}')) >= 0"
        )
    return found
