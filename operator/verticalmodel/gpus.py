"""From the GPUs that a model asks for to the least that a device must offer. Pure.

The least memory is the asked-for class less the tolerance of the standard's clause 1, so that a device is never turned
away by placement which the judge would count as good: an A10 with ECC reports 22 731 MiB, 23.8e9 bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from verticalmodel.api import names
from verticalmodel.api.gpu import Gpu
from verticalmodel.api.operatingstandard import Clause, OperatingStandard
from verticalmodel.api.schema import parse_quantity
from verticalmodel.facts import NodeGpu

MEMORY_MEASURE = "gpu-memory-sufficient"
PRECISION_MEASURE = "mixed-precision-supported"
_CAPABILITY = (7, 0)
"""Volta: the first with tensor cores; where the standard names none."""
_TOLERANCE = re.compile(r"[0-9]{1,2}(\.[0-9]{1,4})?")
_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}")


@dataclass(frozen=True)
class GpuRequest:
    """What the pods of one model need, resolved."""

    count: int
    memory_bytes: int
    """The least that a device must report."""
    capability: tuple[int, int] | None
    """The least CUDA compute capability; None where any will do."""
    by_claim: bool
    """By dynamic resource allocation, else by the device plugin's resource."""

    def fits(self, device: NodeGpu) -> bool:
        """Whether a device has what is needed."""
        return device.memory_bytes >= self.memory_bytes and device.capability >= (self.capability or (0, 0))


def looser(wish: Gpu, standard: OperatingStandard) -> str:
    """What is wrong with a wish that is below the standard; empty where nothing is."""
    limits = [clause.limit for clause in _clauses(standard, MEMORY_MEASURE)]
    limit = Decimal(str(max(limits, default=0.0))) * 10**9
    if parse_quantity(wish.memory) < limit:
        least = f"{float(limit / 10**9):g}G of {standard.metadata.name!r}"
        return f"spec.resources.gpu.memory: {wish.memory} is below the {least}"
    return ""


def unusable(standard: OperatingStandard) -> str:
    """Which parameter of the standard's GPU clauses cannot be used; empty where all can."""
    for clause in _clauses(standard, MEMORY_MEASURE):
        text = clause.parameters.get("tolerancePercent", "0")
        if not _TOLERANCE.fullmatch(text):
            return (
                f"tolerancePercent {text!r} of clause {clause.id} must be a number from 0 to 99, for example 1 or 0.5"
            )
    for clause in _clauses(standard, PRECISION_MEASURE):
        text = clause.parameters.get("minimumComputeCapability", "7.0")
        if not _VERSION.fullmatch(text):
            return f"minimumComputeCapability {text!r} of clause {clause.id} must be MAJOR.MINOR, for example 7.0"
    return ""


def resolve(wish: Gpu, standard: OperatingStandard, *, by_claim: bool) -> GpuRequest:
    """The request for a wish that a usable standard allows."""
    tolerances = [Decimal(one.parameters.get("tolerancePercent", "0")) for one in _clauses(standard, MEMORY_MEASURE)]
    share = 1 - min(tolerances, default=Decimal(0)) / 100
    return GpuRequest(
        count=wish.count,
        memory_bytes=math.ceil(parse_quantity(wish.memory) * share),
        capability=_capability(standard) if wish.mixed_precision else None,
        by_claim=by_claim,
    )


def by_claim(wish: Gpu, device_classes: Iterable[str]) -> bool | None:
    """Whether to ask by claim; None where the wish insists on a DeviceClass that does not exist."""
    exists = names.GPU_DEVICE_CLASS in device_classes
    if wish.allocation == "DRA" and not exists:
        return None
    return exists if wish.allocation == "Auto" else wish.allocation == "DRA"


def _clauses(standard: OperatingStandard, measure: str) -> list[Clause]:
    return [clause for clause in standard.spec.clauses if clause.measure == measure]


def _capability(standard: OperatingStandard) -> tuple[int, int]:
    asked = [one.parameters.get("minimumComputeCapability", "") for one in _clauses(standard, PRECISION_MEASURE)]
    versions = [tuple(int(part) for part in text.split(".")) for text in asked if text]
    major, minor = max(versions, default=_CAPABILITY)[:2]
    return major, minor
