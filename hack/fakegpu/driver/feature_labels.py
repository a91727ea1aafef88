"""Node labels as NVIDIA's GPU feature discovery writes them. Pure.

They describe a node, not a device: on a node with several products they are the first one's.
"""

from __future__ import annotations

from typing import Final

from fakegpu.driver.names import SIMULATED
from fakegpu.driver.profile import Profile

_PREFIX: Final = "nvidia.com/gpu"
LABELS: Final = (
    *(f"{_PREFIX}.{name}" for name in ("product", "memory", "count", "replicas", "family")),
    *(f"{_PREFIX}.compute.{name}" for name in ("major", "minor")),
    SIMULATED,
)
"""Every label that is ours to set and to remove."""

_FAMILIES: Final = {5: "maxwell", 6: "pascal", 9: "hopper", 10: "blackwell", 12: "blackwell"}


def feature_labels(profile: Profile) -> dict[str, str]:
    """The labels of a node of mode devicePlugin; none for any other node, or without devices."""
    if profile.mode != "devicePlugin" or not profile.devices:
        return {}
    first = profile.devices[0]
    major, minor = first.compute_capability
    values = {
        "product": first.product.replace(" ", "-"),
        "memory": first.memory_mib,
        "count": len(profile.devices),
        "replicas": 1,
        "family": _family(major, minor),
        "compute.major": major,
        "compute.minor": minor,
    }
    return {f"{_PREFIX}.{name}": str(value) for name, value in values.items()} | {SIMULATED: "true"}


def _family(major: int, minor: int) -> str:
    if major == 7:
        return "volta" if minor < 5 else "turing"
    if major == 8:
        return "ampere" if minor < 9 else "ada-lovelace"
    return _FAMILIES.get(major, "undefined")
