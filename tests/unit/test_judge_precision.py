"""Clause 2: a GPU without the hardware breaks it, and no compute capability alone can make it hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unit.builders import MIXED_PRECISION, World, good_world, gpu, standard
from unit.fixture_changes import at, unknown_for
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.judge.judge import judge
from verticalmodel.judge.verdict import Verdict


def _pod(world: World) -> str:
    return f"pod/{world.pods[0].name}"


def verdict(world: World) -> Verdict:
    return next(one for one in judge(world.observed()) if one.clause == 2)


def sees(*gpus: str, value: float = 1.0) -> World:
    told = {f"gpu.{place:02}": text for place, text in enumerate(gpus)}
    return at(MIXED_PRECISION, _pod, value=value, seen=told)(good_world())


@pytest.mark.parametrize(
    "world",
    [
        sees(gpu(capability="6.1", product="P40")),
        sees(gpu(), gpu("gpu-1", capability="6.1")),
        sees(gpu(capability="6.9")),
        replace(
            sees(gpu(capability="6.1")).changed(MIXED_PRECISION, simulated=True), standard=standard(simulation=True)
        ),
    ],
    ids=["an old GPU", "one of two is old", "just below", "simulated under a simulation edition"],
)
def test_a_gpu_below_the_least_capability_breaks_the_clause(world: World) -> None:
    found = verdict(world)
    assert (found.status, found.reason, found.value) == ("False", ClauseReason.THRESHOLD_EXCEEDED, 0.0)


@pytest.mark.parametrize(
    "world",
    [good_world(), sees(gpu(capability="7.0")), sees(gpu(capability="12.0"))],
    ids=["capable", "exactly the least", "two digits"],
)
def test_capable_hardware_alone_shows_nothing(world: World) -> None:
    found = verdict(world)
    assert (found.status, found.reason, found.value) == ("Unknown", ClauseReason.NOT_MEASURED, None)
    assert "no computation on them has shown it yet" in found.message


@pytest.mark.parametrize(
    ("reason", "world"),
    [
        (ClauseReason.INCONSISTENT, sees(gpu(capability="unknown"))),
        (ClauseReason.INCONSISTENT, sees(gpu(), value=0.0)),
        (ClauseReason.INCONSISTENT, good_world().with_pod(0, claims=("another",))),
        (ClauseReason.NOT_MEASURED, replace(good_world(), pods=tuple(
            replace(one, claims=()) for one in good_world().pods
        ))),
        *((reason, change(good_world())) for reason, change in unknown_for(MIXED_PRECISION, _pod, 86400).values()),
    ],
)  # fmt: skip
def test_what_says_nothing_of_the_gpus_leaves_it_unknown(reason: ClauseReason, world: World) -> None:
    found = verdict(world)
    assert (found.status, found.reason) == ("Unknown", reason), found.message
