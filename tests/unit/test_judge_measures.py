"""Each measure against everything that must pass, must fail and must stay unknown."""

from __future__ import annotations

from typing import Any

import pytest

from unit.builders import NOW, World, good_world
from unit.clause_fixtures import FIXTURES, Change
from verticalmodel import standard
from verticalmodel.api import names
from verticalmodel.api.conditions import MESSAGE_LIMIT, ClauseReason
from verticalmodel.judge.judge import judge
from verticalmodel.judge.measures import MEASURES
from verticalmodel.judge.verdict import Verdict


def verdict_of(number: int, world: World) -> Verdict:
    """The verdict of one clause of the default edition."""
    return next(one for one in judge(world.observed()) if one.clause == number)


def cases(kind: str) -> list[Any]:
    """Parameters from the fixtures of one kind, by clause and name."""
    return [
        pytest.param(number, *(change if isinstance(change, tuple) else (change,)), id=f"{number}: {name}")
        for number, fixtures in FIXTURES.items()
        for name, change in getattr(fixtures, kind).items()
    ]


@pytest.mark.parametrize(("number", "change"), cases("passing"))
def test_the_clause_holds_where(number: int, change: Change) -> None:
    found = verdict_of(number, change(good_world()))
    assert found.status == "True", found.message
    assert found.reason in (ClauseReason.MEASURED, ClauseReason.SIMULATED)
    assert None not in (found.value, found.instance)
    assert found.valid_until is not None
    assert found.valid_until > NOW
    assert len(found.message) <= MESSAGE_LIMIT


@pytest.mark.parametrize(("number", "change"), cases("failing"))
def test_the_clause_is_broken_where(number: int, change: Change) -> None:
    found = verdict_of(number, change(good_world()))
    assert (found.status, found.reason) == ("False", ClauseReason.THRESHOLD_EXCEEDED), found.message
    assert None not in (found.value, found.instance)
    assert found.valid_until is None
    assert len(found.message) <= MESSAGE_LIMIT


@pytest.mark.parametrize(("number", "reason", "change"), cases("unknown"))
def test_the_clause_is_unknown_where(number: int, reason: ClauseReason, change: Change) -> None:
    found = verdict_of(number, change(good_world()))
    assert (found.status, found.reason) == ("Unknown", reason), found.message
    assert (found.value, found.valid_until) == (None, None)
    assert len(found.message) <= MESSAGE_LIMIT


NEVER_TRUE = {2, 7, 8, 14}
"""Clauses that can be found broken and, so far, not kept: test_judge_{precision,cold_start,restart,parameters}.py."""


def test_every_clause_with_a_measure_has_fixtures_that_pass_fail_and_stay_unknown() -> None:
    measured = {one.id for one in standard.load(names.DEFAULT_STANDARD).clauses if one.measure in MEASURES}
    assert set(FIXTURES) | NEVER_TRUE == measured
    for fixtures in FIXTURES.values():
        assert fixtures.passing
        assert len(fixtures.failing) >= 3
        assert len(fixtures.unknown) >= 3


def test_every_measure_of_the_registry_is_asked_for_by_the_default_edition() -> None:
    asked = {one.measure for one in standard.load(names.DEFAULT_STANDARD).clauses}
    assert set(MEASURES) <= asked


def test_a_pod_below_tls_13_is_named_with_value_limit_and_next_step() -> None:
    change = FIXTURES[13].failing["a pod accepts TLS 1.2"]
    assert verdict_of(13, change(good_world())) == Verdict(
        clause=13,
        condition="TransportEncrypted",
        status="False",
        reason=ClauseReason.THRESHOLD_EXCEEDED,
        message=(
            "pod/breast-screening-a:8443: 1.2 TLS, limit at least 1.3: tls1.2 accepted TLS 1.2 "
            "ECDHE-ECDSA-AES256-GCM-SHA384. 1 of 3 instances break the limit. Find what listens there beside the "
            "guard, which speaks TLS 1.3 only, and remove it"
        ),
        value=1.2,
        unit="TLS",
        limit=1.3,
        instance="pod/breast-screening-a:8443",
        lifetime_seconds=600,
    )


def test_a_container_above_its_limit_is_named_with_both_figures() -> None:
    change = FIXTURES[30].failing["the memory limit is above what the pod declares"]
    found = verdict_of(30, change(good_world()))
    assert (found.value, found.instance) == (1.0, "pod/breast-screening-a/server")
    assert "memory up to 1099511627776 bytes where the pod declares 1Gi" in found.message


def test_an_expired_look_is_told_without_an_age() -> None:
    _, change = FIXTURES[13].unknown["the evidence has expired"]
    assert verdict_of(13, change(good_world())).message == (
        "pod/breast-screening-a:8443: the last measurement has expired. 1 of 3 instances are not known. If this stays, "
        "check that the measurer runs: kubectl -n verticalmodel-system get pods"
    )


def test_an_inconclusive_look_says_what_the_measurer_said() -> None:
    _, change = FIXTURES[30].unknown["the last attempt was inconclusive"]
    assert "came to no conclusion (failure: timeout)" in verdict_of(30, change(good_world())).message
