"""Names that others read: NVIDIA's, the kubelet's, and the mark that tells a simulated device from a real one."""

from __future__ import annotations

from typing import Final

DRIVER: Final = "gpu.nvidia.com"
"""DRA driver, DeviceClass and attribute domain, as in NVIDIA's driver."""
EXTENDED_RESOURCE: Final = "nvidia.com/gpu"
SIMULATED: Final = "verticalmodel.io/simulated"
"""Device attribute (DRA) or node label (device plugin): whoever measures must not take these devices for real ones."""
MANAGER: Final = "verticalmodel-fake-gpu"
VISIBLE_DEVICES: Final = "NVIDIA_VISIBLE_DEVICES"
SIMULATED_VARIABLE: Final = "VERTICALMODEL_SIMULATED"
