"""From the GPUs asked for to the least that a device must offer, and what nodes lack."""

from __future__ import annotations

from typing import Any

import pytest

from unit.builders import standard as edition
from unit.test_plan import facts, model, planned
from verticalmodel.facts import Node, NodeGpu
from verticalmodel.gpus import GpuRequest
from verticalmodel.node_fit import lacks
from verticalmodel.plan import plan
from verticalmodel.refusals import Refusal, RefusalReason
from verticalmodel.shell import inventory

DRA = frozenset({"gpu.nvidia.com"})
MIB = 2**20
L4 = NodeGpu("NVIDIA L4", 23034 * MIB, (8, 9))
A10_WITH_ECC = NodeGpu("NVIDIA A10", 22731 * MIB, (8, 6))
T4 = NodeGpu("Tesla T4", 15360 * MIB, (7, 5))
P40 = NodeGpu("Tesla P40", 24576 * MIB, (6, 1))


def request(wish: dict[str, Any], **known: Any) -> GpuRequest:
    resolved = planned(model(resources={"gpu": wish}), facts(standard=edition(), **known)).gpus
    assert resolved is not None
    return resolved


def test_the_standards_tolerance_lets_every_card_of_the_24_gb_class_in_and_no_smaller_one() -> None:
    asked = request({})
    assert asked.memory_bytes == 23_760_000_000
    assert [asked.fits(device) for device in (L4, A10_WITH_ECC, T4, P40)] == [True, True, False, False]
    assert request({"mixedPrecision": False}).fits(P40)


@pytest.mark.parametrize(
    ("allocation", "classes", "by_claim"),
    [
        ("Auto", DRA, True),
        ("Auto", frozenset(), False),
        ("DRA", DRA, True),
        ("DevicePlugin", DRA, False),
        ("DevicePlugin", frozenset(), False),
    ],
)
def test_claims_are_used_where_their_class_exists_unless_the_user_says_otherwise(
    allocation: str,
    classes: frozenset[str],
    by_claim: bool,  # noqa: FBT001 - an expectation
) -> None:
    assert request({"allocation": allocation}, device_classes=classes).by_claim is by_claim


def test_claims_without_their_class_are_refused_with_what_to_do() -> None:
    refusal = plan(model(resources={"gpu": {"allocation": "DRA"}}), facts())
    assert isinstance(refusal, Refusal)
    assert refusal.reason is RefusalReason.DEVICE_CLASS_NOT_FOUND
    assert "spec.resources.gpu.allocation" in refusal.message
    assert "DevicePlugin" in refusal.message


def test_less_memory_than_the_standard_asks_for_is_refused() -> None:
    refusal = plan(model(resources={"gpu": {"memory": "23G"}}), facts(standard=edition()))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is RefusalReason.LOOSER_THAN_STANDARD
    assert all(word in refusal.message for word in ("spec.resources.gpu.memory", "23G", "24G"))


def node(name: str, *devices: NodeGpu, **changes: Any) -> Node:
    return Node(**{"name": name, "ready": True, "cordoned": False, "devices": devices, **changes})


def test_each_node_says_what_it_lacks_and_equal_ones_stand_together() -> None:
    nodes = [
        node("b1"),
        node("a1", T4),
        node("a2", T4, T4),
        node("c", P40),
        node("d", L4),
        node("e", ready=False),
        node("f", L4, cordoned=True),
        node("g", plugin_devices=(L4,)),
        node("h", L4, A10_WITH_ECC),
        node("i", L4, L4),
    ]
    assert lacks(request({"count": 2}, device_classes=DRA), nodes) == (
        "a1, a2: largest GPU Tesla T4 has 16.11 GB of 23.76 GB; b1: no GPU; "
        "c: GPUs of compute capability 6.1, needed 7.0; d, h: 1 of 2 GPUs that fit; e: not Ready; f: cordoned; "
        "g: its GPUs are offered by the device plugin only; "
        "i: has what is needed, so it is full or kept away by taints, affinity, CPU or memory"
    )


def test_a_resource_slice_tells_its_usable_gpus() -> None:
    def device(name: str, memory: str, **more: Any) -> dict[str, Any]:
        attributes = {"productName": {"string": name}, "cudaComputeCapability": {"version": "8.9.0"}}
        return {"name": name, "attributes": attributes, "capacity": {"memory": {"value": memory}}, **more}

    spec = {
        "driver": "gpu.nvidia.com",
        "nodeName": "node1",
        "devices": [
            device("NVIDIA L4", "23034Mi"),
            device("broken", "80Gi", taints=[{"key": "gpu.nvidia.com/gpu-lost", "effect": "NoExecute"}]),
            {"name": "mystery"},
        ],
    }
    assert inventory.gpu_slice({"spec": spec}) == ("node1", (L4,))
    assert inventory.gpu_slice({"spec": {**spec, "driver": "other.example.com"}}) is None


def test_a_node_of_the_device_plugin_tells_its_gpus_by_label() -> None:
    labels = {"nvidia.com/gpu.product": "NVIDIA-A10", "nvidia.com/gpu.memory": "22731"}
    capability = {"nvidia.com/gpu.compute.major": "8", "nvidia.com/gpu.compute.minor": "6"}
    obj = {
        "metadata": {"name": "node3", "labels": {**labels, **capability}},
        "spec": {},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"nvidia.com/gpu": "2", "cpu": "8"},
        },
    }
    device = NodeGpu("NVIDIA-A10", 22731 * MIB, (8, 6))
    assert inventory.node(obj) == Node(
        "node3",
        ready=True,
        cordoned=False,
        plugin_devices=(device, device),
        labels=labels | capability,
    )
