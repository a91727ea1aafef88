"""`vmodel measure`: what it is asked for, how far it is, and what it came to."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from unit.builders import MEASURED_AT, NOW, evidence, good_world, model, standard
from verticalmodel.api import names
from verticalmodel.api.conditions import Condition, Status
from verticalmodel.api.model_status import ClauseStatus, VerticalModelStatus
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.cli.request import Progress, UnknownClauseError, exit_status, progress, still_to_come, wanted
from verticalmodel.cli.status_report import report
from verticalmodel.judge.request import measured_since

AT_WILL = [1, 2, 5, 6, 13, 30, 31, 33, 34]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [((), AT_WILL), (("13",), [13]), (("sandboxenforced", "31"), [30, 31])],
    ids=["none", "a number", "a type and a number"],
)
def test_clauses_are_named_by_number_or_condition_in_any_case(chosen: tuple[str, ...], expected: list[int]) -> None:
    assert [one.id for one in wanted(standard(), chosen)] == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("99", "'99' is no clause of vlm-2026; what can is 1 GPUMemorySufficient, 2 "),
        ("transport", "'transport' is no clause of vlm-2026"),
        ("9", "clause 9 TelemetryCollected cannot be measured at will; what can is 1 "),
        ("7", "clause 7 ColdStartWithinBudget cannot be measured at will"),
    ],
)
def test_what_cannot_be_measured_at_will_is_said_and_not_waited_for(name: str, message: str) -> None:
    with pytest.raises(UnknownClauseError, match=message):
        wanted(standard(), ["13", name])


def judged(
    *verdicts: tuple[int, Status, str], since: datetime | None = NOW, generation: int = 1, ready: Status = "True"
) -> VerticalModel:
    """A model with these clauses (number, verdict, reason) in its status."""
    said = {"type": "Ready", "status": ready, "reason": "Suspended", "message": "as asked", "last_transition_time": NOW}
    clauses = tuple(
        ClauseStatus(id=number, condition=f"C{number}", verdict=verdict, reason=reason, instance="pod/a")
        for number, verdict, reason in verdicts
    )
    status = VerticalModelStatus(
        observed_generation=generation,
        measured_since=since,
        clauses=clauses,
        conditions=(Condition.model_validate(said),),
    )
    return model().model_copy(update={"status": status})


GOOD, BAD = (13, "True", "Measured"), (31, "False", "ThresholdExceeded")
NEW, DOUBTFUL = (30, "Unknown", "NotMeasured"), (6, "Unknown", "ProbeFailed")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (judged(GOOD, BAD), Progress(answered=True, open=())),
        (judged(GOOD, NEW), Progress(answered=True, open=(30,))),
        (judged(GOOD, DOUBTFUL), Progress(answered=True, open=(6,))),
        (judged(GOOD, since=NOW - timedelta(seconds=1)), Progress(answered=False, open=())),
        (judged(GOOD, since=None), Progress(answered=False, open=())),
        (judged(GOOD, generation=0), Progress(answered=False, open=())),
    ],
    ids=["all judged", "one not measured", "one in doubt", "an earlier request", "never", "an earlier spec"],
)
def test_a_request_is_answered_once_the_operator_has_judged_by_newer_looks(
    found: VerticalModel, expected: Progress
) -> None:
    assert progress(found, NOW, frozenset({6, 13, 30, 31})) == expected


def test_clauses_that_nobody_asked_about_keep_nobody_waiting() -> None:
    assert progress(judged(GOOD, NEW), NOW, frozenset({13})).open == ()


@pytest.mark.parametrize(
    ("verdicts", "status"), [((GOOD,), 0), ((GOOD, BAD), 3), ((GOOD, NEW), 1), ((BAD, DOUBTFUL), 3), ((), 1)]
)
def test_only_what_holds_is_a_success(verdicts: tuple[tuple[int, Status, str], ...], status: int) -> None:
    assert exit_status(report(judged(*verdicts), standard(), NOW), frozenset({13})) == status


def test_a_clause_that_was_asked_for_and_is_not_judged_is_no_success() -> None:
    """The model was given another standard meanwhile."""
    assert exit_status(report(judged(GOOD), standard(), NOW), frozenset({13, 31})) == 1


def test_why_it_is_not_done_is_told_with_what_the_model_says_of_itself() -> None:
    suspended = judged(NEW, ready="False")
    assert still_to_come(suspended, Progress(answered=True, open=(30,))) == (
        "clauses 30 are still to come; Ready is False, Suspended: as asked"
    )
    assert "`vmodel doctor`" in still_to_come(judged(GOOD), Progress(answered=False, open=()))


def asked(moment: str, **changes: Any) -> datetime | None:
    """What the operator makes of a request of this moment."""
    world = good_world()
    meta = world.model.metadata.model_copy(update={"annotations": {names.ANNOTATION_MEASURE: moment}})
    fields = {"model": world.model.model_copy(update={"metadata": meta}), **changes}
    return measured_since(good_world(**fields).observed())


def test_the_operator_answers_a_request_once_every_look_is_newer() -> None:
    assert asked(MEASURED_AT.isoformat()) == MEASURED_AT
    assert asked((MEASURED_AT + timedelta(seconds=1)).isoformat()) is None


def test_what_the_status_keeps_of_a_request_reads_back_as_it_was() -> None:
    """Else each pass would write again."""
    found = asked("2026-11-23T10:59:00+00:00:30")
    status = VerticalModelStatus(measured_since=found)
    assert VerticalModelStatus.model_validate(status.wire()) == status


@pytest.mark.parametrize(
    "moment", ["", "now", MEASURED_AT.replace(tzinfo=None).isoformat(), "0001-01-01T00:00:00+23:59"]
)
def test_what_is_no_moment_is_no_request(moment: str) -> None:
    assert asked(moment) is None


def test_a_look_of_a_clock_that_is_ahead_answers_nothing_that_was_asked_after_it_was_written() -> None:
    later = MEASURED_AT + timedelta(seconds=2)
    ahead = [{**one, "measuredAt": (later + timedelta(seconds=3)).isoformat()} for one in good_world().drafts]
    assert asked(later.isoformat(), drafts=tuple(ahead)) is None


def test_where_nothing_was_measured_nothing_is_answered_and_other_measurers_do_not_count() -> None:
    looks = good_world().drafts
    old = [{**one, "measuredAt": (MEASURED_AT - timedelta(hours=1)).isoformat()} for one in looks]
    assert asked(MEASURED_AT.isoformat(), others=(evidence(old, measurer="verticalmodel-tester"),)) == MEASURED_AT
    assert asked(MEASURED_AT.isoformat(), others=(evidence(old),)) is None
    assert asked(MEASURED_AT.isoformat(), measurer="verticalmodel-tester") is None
