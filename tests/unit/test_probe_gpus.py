"""Which GPUs a pod was given, read from claims and slices as the API server serves them."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from fakegpu.driver.names import SIMULATED
from verticalmodel.api import names
from verticalmodel.probe.devices import Allotted, Claim, Device, Slice, claim_from, published, slice_from
from verticalmodel.probe.gpus import gpu_measurements
from verticalmodel.probe.measurement import GPU_MEMORY, MIXED_PRECISION, Measurement, gist
from verticalmodel.probe.world import Pod

NOW = datetime(2026, 11, 27, tzinfo=UTC)
PLACE = ("gpu.nvidia.com", "node-1", "gpu-0")
L4 = Device(24_152_899_584, "8.9", "NVIDIA L4", simulated=False)
POD = Pod("m-0", "uid-0", "m", "node-1", "10.0.0.1", ready=True, containers=(), claims=("m-0-gpu",))
CLAIM = Claim("uid-c", frozenset({"uid-0"}), (Allotted(PLACE),))

RAW_CLAIM: dict[str, Any] = {
    "metadata": {"name": "m-0-gpu", "namespace": "ns", "uid": "uid-c"},
    "status": {
        "reservedFor": [{"resource": "pods", "name": "m-0", "uid": "uid-0"}],
        "allocation": {
            "devices": {
                "results": [
                    {"request": "gpu", "driver": "gpu.nvidia.com", "pool": "node-1", "device": "gpu-0"},
                    {"request": "watch", "driver": "d", "pool": "p", "device": "x", "adminAccess": True},
                ]
            }
        },
    },
}
RAW_SLICE: dict[str, Any] = {
    "metadata": {"name": "s"},
    "spec": {
        "driver": "gpu.nvidia.com",
        "nodeName": "node-1",
        "pool": {"name": "node-1", "generation": 3, "resourceSliceCount": 1},
        "devices": [
            {
                "name": "gpu-0",
                "attributes": {
                    "cudaComputeCapability": {"version": "8.9.0"},
                    "productName": {"string": "NVIDIA L4"},
                },
                "capacity": {"memory": {"value": "23034Mi"}},
            }
        ],
    },
}


def looks(pod: Pod = POD, claim: Claim | None = CLAIM, device: Device | None = L4, **more: Any) -> list[Measurement]:
    """Both looks at one pod."""
    claims = {"m-0-gpu": claim} if claim else {}
    devices = {PLACE: device} if device else {}
    return list(gpu_measurements((pod,), claims | more.get("claims", {}), devices | more.get("devices", {}),
                                 more.get("fake", frozenset()), NOW))  # fmt: skip


def test_a_claim_is_read_with_the_devices_it_was_given_to_work_with() -> None:
    assert claim_from(RAW_CLAIM) == CLAIM


def test_a_claim_that_waits_has_no_devices() -> None:
    assert claim_from({"metadata": RAW_CLAIM["metadata"]}) == Claim("uid-c", frozenset(), ())


def test_a_share_of_a_device_counts_with_its_own_memory() -> None:
    raw = copy.deepcopy(RAW_CLAIM)
    raw["status"]["allocation"]["devices"]["results"][0]["consumedCapacity"] = {"memory": "8Gi"}
    shared = claim_from(raw)
    assert shared.devices == (Allotted(PLACE, 8 * 2**30),)
    assert looks(claim=shared)[0].value == pytest.approx(8.589934592)


def test_a_slice_is_read_as_nvidias_driver_publishes_it() -> None:
    assert slice_from(RAW_SLICE) == Slice("gpu.nvidia.com", "node-1", 3, {"gpu-0": L4})


def test_the_mark_of_fake_hardware_is_read_from_the_device() -> None:
    raw = copy.deepcopy(RAW_SLICE)
    raw["spec"]["devices"][0]["attributes"]["verticalmodel.io/simulated"] = {"bool": True}
    assert slice_from(raw).devices["gpu-0"].simulated


def test_names_with_the_drivers_domain_are_the_same() -> None:
    raw = copy.deepcopy(RAW_SLICE)
    device = raw["spec"]["devices"][0]
    device["capacity"] = {f"gpu.nvidia.com/{name}": value for name, value in device["capacity"].items()}
    device["attributes"] = {f"gpu.nvidia.com/{name}": value for name, value in device["attributes"].items()}
    assert slice_from(raw).devices["gpu-0"] == L4


def test_a_device_of_an_older_generation_of_its_pool_is_gone() -> None:
    new = Slice("gpu.nvidia.com", "node-1", 4, {"gpu-1": L4})
    assert published([slice_from(RAW_SLICE), new]) == {("gpu.nvidia.com", "node-1", "gpu-1"): L4}
    assert published([new, slice_from(RAW_SLICE)]) == {("gpu.nvidia.com", "node-1", "gpu-1"): L4}


def test_two_looks_tell_memory_and_capability_of_every_gpu() -> None:
    memory, precision = looks()
    told = {
        "claim.0": "m-0-gpu",
        "gpu.00": "gpu.nvidia.com/node-1/gpu-0: 24152899584 bytes, capability 8.9, NVIDIA L4",
    }
    assert (memory.measure, memory.value, memory.unit, dict(memory.observations)) == (
        GPU_MEMORY, 24.152899584, "GB", told,
    )  # fmt: skip
    assert (precision.measure, precision.value, dict(precision.observations)) == (MIXED_PRECISION, 1.0, told)
    assert {memory.instance, precision.instance} == {"pod/m-0"}
    assert [memory.simulated, precision.simulated] == [False, False]


def test_a_pod_without_claims_is_not_looked_at() -> None:
    assert looks(pod=Pod("m-0", "uid-0", "m", "node-1", "", ready=True, containers=())) == []


def test_the_smallest_gpu_counts() -> None:
    small = ("gpu.nvidia.com", "node-1", "gpu-1")
    both = Claim("uid-c", frozenset({"uid-0"}), (Allotted(PLACE), Allotted(small)))
    device = Device(16 * 10**9, "7.5", "T4", simulated=False)
    assert looks(claim=both, devices={small: device})[0].value == 16


@pytest.mark.parametrize(
    ("device", "fake"),
    [(Device(24 * 10**9, "8.9", "x", simulated=True), frozenset()), (L4, frozenset({"node-1"}))],
    ids=["marked at the device", "marked at the node"],
)
def test_fake_hardware_is_marked_in_the_measurement(device: Device, fake: frozenset[str]) -> None:
    found = looks(device=device, fake=fake)
    assert [one.simulated for one in found] == [True, True]
    assert [one.draft(source="s", load=0, lifetime=600)["simulated"] for one in found] == [True, True]


def test_a_mark_that_goes_is_news() -> None:
    marked = Device(L4.memory_bytes, L4.capability, L4.product, simulated=True)
    assert gist(looks()[0]) != gist(looks(device=marked)[0])


@pytest.mark.parametrize(
    ("found", "why", "lost"),
    [
        (looks(claim=None), "claim m-0-gpu is not known", False),
        (looks(claim=Claim("uid-c", frozenset(), CLAIM.devices)), "claim m-0-gpu is not reserved for the pod", False),
        (looks(claim=Claim("uid-c", frozenset({"uid-0"}), ())), "no device of its claims is a GPU", False),
        (looks(device=None), "device gpu.nvidia.com/node-1/gpu-0 is not published any more", True),
        (
            looks(device=Device(None, "8.9", "L4", simulated=False)),
            "device gpu.nvidia.com/node-1/gpu-0 publishes no memory",
            True,
        ),
        (
            looks(pod=Pod("m-0", "uid-0", "m", "node-1", "", ready=True, containers=(), claims=("",))),
            "claim without a name yet is not known",
            False,
        ),
    ],
    ids=["unknown claim", "reserved for another", "no devices", "device gone", "no memory", "claim not made"],
)
def test_what_is_not_known_of_a_pods_gpus_is_told(found: list[Measurement], why: str, lost: bool) -> None:  # noqa: FBT001
    assert [(one.value, dict(one.observations), one.unsettling) for one in found] == [
        (None, {"failure": why}, lost)
    ] * 2


def test_a_device_of_another_kind_is_no_gpu() -> None:
    nic = ("nic.example.com", "node-1", "nic-0")
    both = Claim("uid-c", frozenset({"uid-0"}), (Allotted(PLACE), Allotted(nic)))
    found = looks(claim=both, devices={nic: Device(None, "", "", simulated=False)})
    assert found[0].value == pytest.approx(24.152899584)


def test_a_gpu_without_a_capability_leaves_only_the_second_clause_open() -> None:
    memory, precision = looks(device=Device(24 * 10**9, "", "x", simulated=False))
    assert (memory.value, precision.value) == (24, None)
    assert precision.observations["failure"] == "1 of the GPUs tell no compute capability"


def test_the_mark_is_the_one_that_fake_hardware_bears() -> None:

    assert names.LABEL_SIMULATED == SIMULATED
