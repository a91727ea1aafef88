"""`vmodel measure`: what it waits for, and which clause it is asked about."""

from __future__ import annotations

from datetime import timedelta

import pytest

from unit.builders import MEASURED_AT, SANDBOX, TRANSPORT, evidence, good_world, standard
from verticalmodel.cli.fresh_looks import Looks, UnknownClauseError, looks_since, wanted

DRAFTS = [one for one in good_world().drafts if one["measure"] in (TRANSPORT, SANDBOX)]


def test_looks_from_before_the_request_are_still_to_come() -> None:
    asked_at = MEASURED_AT + timedelta(seconds=1)
    newer = {"measuredAt": asked_at.isoformat()}
    [first, *others] = [one for one in DRAFTS if one["measure"] == TRANSPORT]
    found = looks_since([evidence([*others, {**first, **newer}])], asked_at, frozenset({TRANSPORT}))

    assert found == Looks(1, tuple(sorted(f"{TRANSPORT} {one['instance']}" for one in others)))
    assert not found.complete


def test_other_measures_and_other_measurers_are_not_waited_for() -> None:
    asked_at = MEASURED_AT
    later = [{**one, "measuredAt": (asked_at - timedelta(seconds=9)).isoformat()} for one in DRAFTS]
    seen = [evidence(DRAFTS), evidence(later, measurer="verticalmodel-tester")]

    assert looks_since(seen, asked_at, None) == Looks(len(DRAFTS), ())
    assert looks_since(seen, asked_at, frozenset({TRANSPORT})).complete


def test_where_nothing_was_measured_nothing_is_complete() -> None:
    assert not looks_since([], MEASURED_AT, None).complete
    assert not looks_since([evidence(DRAFTS)], MEASURED_AT, frozenset({"cold-start"})).complete


@pytest.mark.parametrize(("name", "expected"), [(None, [5, 6, 13, 30, 31]), ("13", [13]), ("SandboxEnforced", [30])])
def test_a_clause_is_named_by_its_number_or_condition(name: str | None, expected: list[int]) -> None:
    assert [one.id for one in wanted(standard(), name)] == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("99", "'99' is no clause of vlm-2026"),
        ("transport", "'transport' is no clause of vlm-2026"),
        ("9", "clause 9 TelemetryCollected is not measured by this version; measured are 5, 6, 13, 30, 31"),
    ],
)
def test_what_is_not_measured_is_said_and_not_waited_for(name: str, message: str) -> None:
    with pytest.raises(UnknownClauseError, match=message):
        wanted(standard(), name)
