"""What a model asks of GPUs (clauses 1 and 2)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from verticalmodel.api.schema import Object, Quantity, at_least, at_most, validations


class Gpu(Object):
    """The GPUs of each serving pod."""

    count: int = Field(default=1, ge=1, le=16, description="GPUs of each pod, all of one product.")
    memory: Quantity = Field(
        default="24G",
        description="Memory of each GPU in decimal bytes, for example 24G or 80G; at least the 24G of clause 1. "
        "A device of that nominal class counts where it falls short by no more than the standard's tolerance.",
    )
    mixed_precision: bool = Field(
        default=True, description="Only GPUs that compute in mixed precision (clause 2), by compute capability."
    )
    allocation: Literal["Auto", "DRA", "DevicePlugin"] = Field(
        default="Auto",
        description="How GPUs are asked for. Auto: by dynamic resource allocation where DeviceClass gpu.nvidia.com "
        "exists, else by the device plugin's resource nvidia.com/gpu.",
    )
    sharing: Literal["Exclusive"] = Field(default="Exclusive", description="Exclusive: no other pod uses these GPUs.")

    model_config = {"json_schema_extra": validations(at_least("memory", "24G"), at_most("memory", "4T"))}
