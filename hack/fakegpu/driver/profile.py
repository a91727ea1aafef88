"""Which devices a node pretends to have, and what each of them reports right now. Pure: text in, values out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

DEFAULT: Final = "default"
"""The ConfigMap's key for every node that has none of its own."""

_NAMESPACE: Final = uuid.UUID("a7b0b0f0-6f5b-4c5c-9b0e-5d1f7c0e6a55")
"""Any fixed value: it makes a device's uuid follow from its node and index."""

Share = Annotated[float, Field(ge=0, le=100)]
Amount = Annotated[float, Field(ge=0)]


class ProfileError(ValueError):
    """The profile does not say what a node has; the message names the key and the field."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class State(_Part):
    """What a device reports right now; the part of a profile that one changes while it runs."""

    health: Literal["Healthy", "Unhealthy"] = "Healthy"
    xid: Annotated[int, Field(ge=0)] = 0
    """NVIDIA's error code behind Unhealthy; 0 stands for a device that no longer answers."""
    utilization_percent: Share = 0
    memory_used_mib: Annotated[int, Field(ge=0, alias="memoryUsedMiB")] = 0
    temperature_celsius: float = 35
    power_watts: Amount = 20
    claims: Literal["Prepared", "Refused"] = "Prepared"
    """Refused: the driver fails whenever the kubelet asks it to prepare a claim of the device."""


class Device(_Part):
    """One device. `uuid` follows from the node and the index where it is not given."""

    product: Annotated[str, Field(min_length=1, max_length=64)]
    memory_mib: Annotated[int, Field(gt=0, alias="memoryMiB")]
    cuda_compute_capability: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+$")]
    architecture: Annotated[str, Field(min_length=1, max_length=64)]
    brand: str = "Nvidia"
    type: Literal["gpu"] = "gpu"
    uuid: str = ""
    state: State = State()

    @property
    def compute_capability(self) -> tuple[int, int]:
        """Major and minor."""
        major, minor = self.cuda_compute_capability.split(".")
        return int(major), int(minor)


class Profile(_Part):
    """All devices of one node and the one way in which it offers them: never both ways at once."""

    mode: Literal["dra", "devicePlugin"] = "dra"
    driver_version: str = "580.126.20"
    cuda_driver_version: str = "13.0.0"
    devices: Annotated[tuple[Device, ...], Field(max_length=64)] = ()


def parse(data: Mapping[str, str], node: str) -> Profile:
    """The profile of a node in the ConfigMap's data: its own key, else `default`, else no devices.

    Raises ProfileError.
    """
    key = next((name for name in (node, DEFAULT) if name in data), None)
    if key is None:
        return Profile()
    try:
        profile = Profile.model_validate(yaml.safe_load(data[key]) or {})
    except yaml.YAMLError as error:
        raise ProfileError(f"{key}: not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ProfileError(f"{key}: {where}: {first['msg']}") from error
    named = tuple(_with_uuid(device, node, index) for index, device in enumerate(profile.devices))
    return profile.model_copy(update={"devices": named})


def _with_uuid(device: Device, node: str, index: int) -> Device:
    if device.uuid:
        return device
    return device.model_copy(update={"uuid": f"GPU-{uuid.uuid5(_NAMESPACE, f'{node}/{index}')}"})
