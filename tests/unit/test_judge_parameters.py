"""Clause 14: plain parameters break it, and sealed ones do not make it hold while nobody searches the disks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from unit.builders import World, good_world, pod
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.judge.judge import judge
from verticalmodel.judge.verdict import Verdict
from verticalmodel.seal.report import Reason, Report

PLAIN = Report(reason=Reason.DELIVERED, sealed=False, bytes=1152)
SEALED = Report(reason=Reason.UNSEALED, sealed=True, bytes=1152)
REFUSED = Report(reason=Reason.KEY_MISSING, sealed=False)


def world(*reports: Report | None, **changes: Any) -> World:
    """A pod for each report."""
    pods = tuple(pod(f"breast-screening-{number}", delivery=one, **changes) for number, one in enumerate(reports))
    return replace(good_world(), pods=pods)


def verdict(found: World) -> Verdict:
    return next(one for one in judge(found.observed()) if one.clause == 14)


@pytest.mark.parametrize("reports", [(PLAIN,), (SEALED, PLAIN), (None, PLAIN)], ids=["all", "one of two", "the first"])
def test_parameters_that_came_plain_break_the_clause(reports: tuple[Report | None, ...]) -> None:
    found = verdict(world(*reports))
    assert (found.status, found.reason, found.value) == ("False", ClauseReason.THRESHOLD_EXCEEDED, 0)
    assert found.instance == f"pod/breast-screening-{len(reports) - 1}"
    assert "spec.source.key" in found.message


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (world(SEALED, SEALED), "2 of 2 pods were given parameters from a sealed artifact"),
        (world(SEALED, None), "1 of 2 pods"),
        (world(REFUSED), "0 of 1 pods"),
        (world(PLAIN, deleting=True), "0 of 1 pods"),
        (world(), "0 of 0 pods"),
    ],
    ids=["sealed", "one not delivered", "refused", "on its way out", "no pods"],
)
def test_nothing_else_says_more_than_that_it_is_not_known(found: World, told: str) -> None:
    said = verdict(found)
    assert (said.status, said.reason, said.value) == ("Unknown", ClauseReason.NOT_MEASURED, None)
    assert said.message.startswith(told)
