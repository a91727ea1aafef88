"""The file in which a node's devices report their state, for a node agent to read in place of NVML. Pure.

Schema (version 1): {"schemaVersion": 1, "simulated": true, "node", "mode", "driverVersion", "cudaDriverVersion",
"devices": [{"index", "uuid", "product", "architecture", "cudaComputeCapability", "memoryMiB", "health", "xid",
"utilizationPercent", "memoryUsedMiB", "temperatureCelsius", "powerWatts", "claims"}]}. The file is replaced as a whole.
"""

from __future__ import annotations

from typing import Any

from fakegpu.driver.profile import Profile

SCHEMA_VERSION = 1
FILE_NAME = "devices.json"


def readings(node: str, profile: Profile) -> dict[str, Any]:
    """What the node's devices report right now."""
    devices = [
        {
            "index": index,
            **device.model_dump(by_alias=True, include={"uuid", "product", "architecture", "memory_mib"}),
            "cudaComputeCapability": device.cuda_compute_capability,
            **device.state.model_dump(by_alias=True),
        }
        for index, device in enumerate(profile.devices)
    ]
    return {
        "schemaVersion": SCHEMA_VERSION,
        "simulated": True,
        "node": node,
        **profile.model_dump(by_alias=True, include={"mode", "driver_version", "cuda_driver_version"}),
        "devices": devices,
    }
