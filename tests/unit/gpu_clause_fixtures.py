"""What must pass, fail and stay unknown for clause 1, by the devices that the claims of a pod were given."""

from __future__ import annotations

from dataclasses import replace

from unit.builders import GPU_MEMORY, World, container, gpu, standard
from unit.fixture_changes import Change, Fixtures, at, passing_for, unknown_for
from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason

SMALL = 16_106_127_360
A10 = 23_835_181_056
"""22 731 MiB: short of 24 GB by 0.7 %."""


def _pod(world: World) -> str:
    return f"pod/{world.pods[0].name}"


def sees(*gpus: str, value: float, **seen: str | None) -> Change:
    """The GPUs of the first pod, and what is claimed of them."""
    told = {f"gpu.{place:02}": text for place, text in enumerate(gpus)}
    return at(GPU_MEMORY, _pod, value=value, seen=told | {name.replace("_", "."): text for name, text in seen.items()})


def _without_gpus(world: World) -> World:
    """No pod has a claim, and nobody measured one."""
    pods = tuple(replace(one, claims=()) for one in world.pods)
    return replace(world.without(GPU_MEMORY), pods=pods)


def _by_plugin(world: World) -> World:
    bare = _without_gpus(world)
    box = container(limits={names.GPU_PLUGIN_RESOURCE: "1", "cpu": "1", "memory": "1Gi"})
    return bare.with_pod(0, containers=(*bare.pods[0].containers, replace(box, name="plugin")))


MEMORY_FIXTURES = Fixtures(
    passing={
        **passing_for(GPU_MEMORY),
        "a device of the nominal class falls short by less than the tolerance": sees(gpu(memory=A10), value=23.8352),
        "a device falls short by exactly the tolerance": sees(gpu(memory=23_760_000_000), value=23.76),
        "two GPUs have more than enough": sees(
            gpu(memory=85_899_345_920), gpu("gpu-1", memory=85_899_345_920), value=85.8993
        ),
        "nobody says what they compute": sees(gpu(capability="unknown"), value=24.1529),
        "a second claim is for something else": lambda world: world.with_pod(
            0, claims=(*world.pods[0].claims, "nic")
        ).changed(GPU_MEMORY, _pod(world), seen={"claim.1": "nic"}),
    },
    failing={
        "a GPU has 16 GB": sees(gpu(memory=SMALL), value=16.1061),
        "one of two GPUs has 16 GB": sees(gpu(), gpu("gpu-1", memory=SMALL), value=16.1061),
        "a GPU falls short by more than the tolerance": sees(gpu(memory=23_759_999_999), value=23.76),
        "a GPU has no memory": sees(gpu(memory=0), value=0),
        "a pod that is not ready has a small GPU": lambda world: sees(gpu(memory=SMALL), value=16.1061)(
            world.with_pod(0, ready=False)
        ),
        "one pod has a small GPU and the other was not measured": lambda world: sees(gpu(memory=SMALL), value=16.1061)(
            world.without(GPU_MEMORY, f"pod/{world.pods[1].name}")
        ),
        "a small GPU was simulated under a simulation edition": lambda world: replace(
            sees(gpu(memory=SMALL), value=16.1061)(world.changed(GPU_MEMORY, simulated=True)),
            standard=standard(simulation=True),
        ),
    },
    unknown={
        **unknown_for(GPU_MEMORY, _pod),
        "no pod has a GPU": (ClauseReason.NOT_MEASURED, _without_gpus),
        "the GPUs come from the device plugin": (ClauseReason.NOT_MEASURED, _by_plugin),
        "one pod has no claim": (
            ClauseReason.NOT_MEASURED,
            lambda world: world.without(GPU_MEMORY, _pod(world)).with_pod(0, claims=()),
        ),
        "the pod has another claim": (
            ClauseReason.INCONSISTENT,
            lambda world: world.with_pod(0, claims=("another",)),
        ),
        "a second claim was left out": (
            ClauseReason.INCONSISTENT,
            lambda world: world.with_pod(0, claims=(*world.pods[0].claims, "nic")),
        ),
        "the pod's claim has not been made yet": (
            ClauseReason.INCONSISTENT,
            lambda world: world.with_pod(0, claims=("",)),
        ),
        "no claim is told": (ClauseReason.INCONSISTENT, sees(gpu(), value=24.1529, claim_0=None)),
        "no GPU is told": (ClauseReason.INCONSISTENT, sees(value=24.1529, gpu_00=None)),
        "a GPU is told in words that nobody knows": (ClauseReason.INCONSISTENT, sees("24 GB", value=24.1529)),
        "a GPU's memory is no number": (
            ClauseReason.INCONSISTENT,
            sees("gpu.nvidia.com/node-1/gpu-0: nan bytes, capability 8.9, L4", value=24.1529),
        ),
        "more is claimed than the GPUs have": (ClauseReason.INCONSISTENT, sees(gpu(memory=SMALL), value=24.1529)),
        "it was measured in another unit": (ClauseReason.INCONSISTENT, at(GPU_MEMORY, _pod, unit="GiB")),
    },
)
