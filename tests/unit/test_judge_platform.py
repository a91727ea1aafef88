"""Clauses of the platform as a whole: judged on the OperatingStandard, which alone shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from unit.builders import EDITION
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.modelruntime import ClusterMeta
from verticalmodel.api.operatingstandard import Clause, OperatingStandard, OperatingStandardStatus
from verticalmodel.judge.judge import judge_platform
from verticalmodel.judge.merge import merge_platform
from verticalmodel.judge.verdict import Verdict

NOON = timedelta(hours=12)
PLATFORM = [11, 12, 17, 18, 19, 20]


def edition(effective: str = "2026-01-01") -> OperatingStandard:
    """The edition, as if it had taken effect on that day."""
    meta = ClusterMeta(name="vlm-2026", uid="u", generation=1)
    return OperatingStandard(metadata=meta, spec=EDITION.model_copy(update={"effective": effective}))


def on(day: str, effective: str = "2026-01-01") -> Verdict:
    """Clause 20 at noon of a day."""
    now = datetime.fromisoformat(day).replace(tzinfo=UTC) + NOON
    return {one.clause: one for one in judge_platform(edition(effective), now)}[20]


def test_only_the_clauses_of_the_platform_are_judged() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert [one.clause for one in judge_platform(edition(), now)] == PLATFORM


@pytest.mark.parametrize(
    ("effective", "last", "first"),
    [("2026-01-01", "2026-12-31", "2027-01-01"), ("2024-02-29", "2025-02-28", "2025-03-01")],
)
def test_an_edition_breaks_the_clause_from_the_day_on_which_it_is_a_year_old(
    effective: str, last: str, first: str
) -> None:
    assert on(last, effective).status == "Unknown"
    broken = on(first, effective)
    assert (broken.status, broken.reason, broken.value) == ("False", ClauseReason.THRESHOLD_EXCEEDED, 0)
    assert (broken.limit, broken.unit, broken.instance) == (1, "editions", "operatingstandard/vlm-2026")
    assert f"took effect on {effective}" in broken.message


@pytest.mark.parametrize(
    ("effective", "reason", "says"),
    [
        ("2026-01-01", ClauseReason.NOT_MEASURED, "a signed Attestation would show"),
        ("2026-11-26", ClauseReason.NOT_MEASURED, "a signed Attestation would show"),
        ("2026-11-27", ClauseReason.NOT_MEASURED, "until then it is not in force"),
        ("9999-12-31", ClauseReason.NOT_MEASURED, "until then it is not in force"),
        ("2026-02-30", ClauseReason.INCONSISTENT, "no day of the calendar"),
        ("0000-01-01", ClauseReason.INCONSISTENT, "no day of the calendar"),
    ],
)
def test_no_day_that_is_written_into_an_object_makes_the_clause_hold(
    effective: str, reason: ClauseReason, says: str
) -> None:
    found = on("2026-11-26", effective)
    assert (found.status, found.reason, found.valid_until) == ("Unknown", reason, None)
    assert says in found.message


def test_a_measure_that_crashes_leaves_the_other_clauses_of_the_platform_alone() -> None:
    def crash(_clause: Clause, _standard: OperatingStandard, _now: datetime) -> Verdict:
        raise KeyError("secret")

    found = judge_platform(edition(), datetime(2026, 6, 1, tzinfo=UTC), {"standard-current": crash})
    assert [(one.clause, one.reason) for one in found] == [
        *((number, ClauseReason.NOT_MEASURED) for number in PLATFORM[:-1]),
        (20, ClauseReason.JUDGE_FAILED),
    ]
    assert "secret" not in found[-1].message


def merged(old: OperatingStandardStatus, now: datetime) -> OperatingStandardStatus:
    return merge_platform(old, judge_platform(edition(), now), generation=1, now=now)


def test_the_status_of_a_standard_holds_its_platform_clauses_and_no_other() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    status = merged(OperatingStandardStatus(), now)
    assert [one.id for one in status.clauses] == PLATFORM
    assert [one.type for one in status.conditions] == [one.condition for one in status.clauses]
    assert {one.last_transition_time for one in status.conditions} == {now}
    assert status.observed_generation == 1


def test_the_status_stays_as_it_is_until_something_changes() -> None:
    status = merged(OperatingStandardStatus(), datetime(2026, 6, 1, tzinfo=UTC))
    assert merged(status, datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == status
    turned = datetime(2027, 1, 1, tzinfo=UTC)
    later = merged(status, turned)
    assert [one.type for one in later.conditions if one.last_transition_time == turned] == ["StandardCurrent"]
    assert merged(later, datetime(2027, 3, 1, tzinfo=UTC)) == later
