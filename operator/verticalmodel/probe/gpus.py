"""Clauses 1 and 2, the GPUs of a pod: which devices its claims were given, and what their driver publishes of them.

Memory and compute capability are the driver's word (NVIDIA's reads them from the device by NVML). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from verticalmodel.api.evidence import Binding
from verticalmodel.probe.devices import Allotted, Claim, Device, Place
from verticalmodel.probe.measurement import GPU_MEMORY, MIXED_PRECISION, Measurement
from verticalmodel.probe.world import Pod

__all__ = ["gpu_measurements"]

METHOD = "allocation of the pod's ResourceClaims, and the devices in its drivers' ResourceSlices"
_NVIDIA = "gpu.nvidia.com"
# Claims and GPUs share 32 observations; more is told as a look without a conclusion.
_MOST_CLAIMS, _MOST_GPUS = 8, 20


class _UnknownError(Exception):
    """Why nothing can be said of a pod's GPUs; `lost` where what was known of them holds no longer."""

    def __init__(self, why: str, *, lost: bool = False) -> None:
        super().__init__(why)
        self.lost = lost


@dataclass(frozen=True)
class _Gpu:
    place: Place
    memory_bytes: int
    device: Device

    def __str__(self) -> str:
        capability = self.device.capability or "unknown"
        name = "/".join(self.place)
        return f"{name}: {self.memory_bytes} bytes, capability {capability}, {self.device.product or 'unnamed'}"


def gpu_measurements(
    pods: Iterable[Pod],
    claims: Mapping[str, Claim],
    published: Mapping[Place, Device],
    simulated_nodes: frozenset[str],
    now: datetime,
) -> Iterator[Measurement]:
    """Two looks for each pod with claims: the least memory of its GPUs in GB, and whether all tell their capability.

    `claims` by name, all of the pods' namespace. Which figures suffice is the judge's to say.
    """
    for pod in pods:
        if not pod.claims:
            continue
        try:
            found = _gpus(pod, claims, published)
        except _UnknownError as error:
            told = {"failure": str(error)}
            for measure in (GPU_MEMORY, MIXED_PRECISION):
                yield _look(pod, measure, None, told, now=now, unsettling=error.lost)
            continue
        told = {f"claim.{place}": name for place, name in enumerate(pod.claims)}
        told |= {f"gpu.{place:02}": str(gpu) for place, gpu in enumerate(found)}
        fake = pod.node in simulated_nodes or any(gpu.device.simulated for gpu in found)
        least = min(gpu.memory_bytes for gpu in found) / 1e9
        yield _look(pod, GPU_MEMORY, least, told, now=now, simulated=fake)
        mute = [gpu for gpu in found if not gpu.device.capability]
        failure = {"failure": f"{len(mute)} of the GPUs tell no compute capability"} if mute else {}
        yield _look(pod, MIXED_PRECISION, None if mute else 1.0, told | failure, now=now, simulated=fake)


def _gpus(pod: Pod, claims: Mapping[str, Claim], published: Mapping[Place, Device]) -> tuple[_Gpu, ...]:
    if len(pod.claims) > _MOST_CLAIMS:
        raise _UnknownError(f"the pod has {len(pod.claims)} claims, at most {_MOST_CLAIMS} are looked at")
    allotted = [one for name in pod.claims for one in _allotted(pod, name, claims)]
    found = {one.place: gpu for one in allotted if (gpu := _gpu(one, published)) is not None}
    if not found:
        raise _UnknownError("no device of its claims is a GPU")
    if len(found) > _MOST_GPUS:
        raise _UnknownError(f"the pod has {len(found)} GPUs, at most {_MOST_GPUS} are looked at")
    return tuple(found[place] for place in sorted(found))


def _allotted(pod: Pod, name: str, claims: Mapping[str, Claim]) -> tuple[Allotted, ...]:
    claim = claims.get(name)
    if claim is None:
        raise _UnknownError(f"claim {name or 'without a name yet'} is not known")
    if pod.uid not in claim.reserved_for:
        raise _UnknownError(f"claim {name} is not reserved for the pod")
    return claim.devices


def _gpu(allotted: Allotted, published: Mapping[Place, Device]) -> _Gpu | None:
    """The GPU that was given; None for a device of another kind."""
    device = published.get(allotted.place)
    name = "/".join(allotted.place)
    if device is None:
        raise _UnknownError(f"device {name} is not published any more", lost=True)
    memory = device.memory_bytes
    if memory is None:
        if allotted.place[0] == _NVIDIA:
            raise _UnknownError(f"device {name} publishes no memory", lost=True)
        return None
    share = allotted.share_bytes
    return _Gpu(allotted.place, memory if share is None else min(share, memory), device)


def _look(  # noqa: PLR0913 - what differs between looks, named
    pod: Pod,
    measure: str,
    value: float | None,
    told: Mapping[str, str],
    *,
    now: datetime,
    simulated: bool = False,
    unsettling: bool = False,
) -> Measurement:
    return Measurement(
        measure=measure,
        instance=f"pod/{pod.name}",
        unit="GB" if measure == GPU_MEMORY else "capable",
        value=value,
        samples=1,
        window_seconds=0.0,
        method=METHOD,
        binding=Binding(pod_uid=pod.uid),
        observations=told,
        measured_at=now,
        unsettling=unsettling,
        simulated=simulated,
    )
