"""The judge as a whole: every clause, in order, each on its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unit.builders import EDITION, clause, good_world, standard
from verticalmodel.api.conditions import MESSAGE_LIMIT, ClauseReason
from verticalmodel.api.model_status import ClauseStatus
from verticalmodel.api.operatingstandard import Clause, OperatingStandard, OperatingStandardStatus
from verticalmodel.facts import Observed
from verticalmodel.judge.judge import judge, judge_platform
from verticalmodel.judge.measures import MEASURES
from verticalmodel.judge.verdict import Verdict

SECRET = "hunter2"


def crash(_clause: Clause, _observed: Observed) -> Verdict:
    """A measure with a defect, whose error quotes a secret."""
    raise KeyError(SECRET)


def test_every_clause_has_a_verdict_in_the_order_of_the_standard() -> None:
    found = judge(good_world().observed())
    assert [(one.clause, one.condition) for one in found] == [(one.id, one.condition) for one in EDITION.clauses]


def test_a_good_world_meets_exactly_the_clauses_that_are_measured() -> None:
    assert [one.clause for one in judge(good_world().observed()) if one.status == "True"] == [
        1,
        5,
        6,
        13,
        30,
        31,
        33,
        34,
    ]


def test_nothing_is_judged_without_a_standard() -> None:
    assert judge(replace(good_world(), standard=None).observed()) == ()


def test_a_clause_without_a_measure_says_what_would_measure_it() -> None:
    found = judge(good_world().observed())
    for verdict, source in zip(found, EDITION.clauses, strict=True):
        if source.measure not in MEASURES and source.scope == "Model":
            assert (verdict.status, verdict.reason) == ("Unknown", ClauseReason.NOT_MEASURED)
            assert verdict.message == (
                f"{source.parameters['howMeasured']}; this version of the operator does not measure it yet"
            )


def test_a_clause_of_another_rulebook_without_a_measure_names_the_measure() -> None:
    foreign = clause(1).model_copy(update={"measure": "hand-washing", "parameters": {}})
    (found,) = judge(replace(good_world(), standard=standard(foreign)).observed())
    assert found.message == (
        "The measure 'hand-washing' would judge it; this version of the operator does not measure it yet"
    )


def test_a_platform_clause_refers_to_the_standard_on_which_it_is_judged() -> None:
    found = {one.clause: one for one in judge(good_world().observed())}
    place = (
        f"Judged once for the whole platform, on OperatingStandard {good_world().observed().standard.metadata.name}. "
    )
    for number in (11, 12, 17, 18, 19, 20):
        assert (found[number].status, found[number].reason) == ("Unknown", ClauseReason.NOT_MEASURED)
        assert found[number].message.startswith(place)
    for number in (11, 12, 17, 18, 19):
        assert found[number].message.endswith("; this version of the operator does not measure it yet")


def test_a_model_says_of_a_platform_clause_what_its_standard_says() -> None:
    world = good_world()
    old = world.observed().standard
    assert old is not None
    late = replace(world.observed(), standard=of_day(old, "2020-01-01"))
    on_standard = {one.clause: one for one in judge_platform(of_day(old, "2020-01-01"), late.now)}
    found = {one.clause: one for one in judge(late) if one.clause in on_standard}
    assert {number: replace(one, message="") for number, one in found.items()} == {
        number: replace(one, message="") for number, one in on_standard.items()
    }
    assert all(found[number].message.endswith(one.message) for number, one in on_standard.items())
    assert (found[20].status, found[20].value) == ("False", 0)


def test_what_stands_in_the_standards_status_is_not_believed() -> None:
    world = good_world()
    old = world.observed().standard
    assert old is not None
    forged = ClauseStatus(id=20, condition="StandardCurrent", verdict="True", reason="Measured", value=1.0)
    lying = old.model_copy(update={"status": OperatingStandardStatus(observed_generation=1, clauses=(forged,))})
    assert judge(replace(world.observed(), standard=lying)) == judge(world.observed())


def of_day(standard: OperatingStandard, effective: str) -> OperatingStandard:
    """The edition as if it had taken effect on that day."""
    return standard.model_copy(update={"spec": standard.spec.model_copy(update={"effective": effective})})


def test_a_platform_clause_is_never_measured_on_a_model() -> None:
    platform = clause(13).model_copy(update={"scope": "Platform"})
    (found,) = judge(replace(good_world(), standard=standard(platform)).observed())
    assert found.status == "Unknown"


def test_a_measure_that_crashes_leaves_the_other_clauses_alone() -> None:
    found = {one.clause: one for one in judge(good_world().observed(), {**MEASURES, "transport-encrypted": crash})}
    assert (found[13].status, found[13].reason) == ("Unknown", ClauseReason.JUDGE_FAILED)
    assert found[30].status == "True"


def test_a_crash_is_told_by_type_and_place_without_its_text() -> None:
    (found,) = judge(replace(good_world(), standard=standard(clause(13))).observed(), {"transport-encrypted": crash})
    assert "KeyError at test_judge.py:" in found.message
    assert SECRET not in found.message


def test_a_stricter_rulebook_needs_no_new_code() -> None:
    """The measure is the same; the limit is data."""
    stricter = clause(13).model_copy(update={"limit": 1.4})
    (found,) = judge(replace(good_world(), standard=standard(stricter)).observed())
    assert (found.status, found.value, found.limit) == ("False", 1.3, 1.4)


def test_a_looser_rulebook_is_judged_by_its_own_limit() -> None:
    world = good_world().changed("transport-encrypted", value=1.2, seen={"tls1.2": "accepted TLS 1.2 AES128-SHA256"})
    looser = clause(13).model_copy(update={"limit": 1.2})
    (found,) = judge(replace(world, standard=standard(looser)).observed())
    assert (found.status, found.value) == ("True", 1.2)


def test_a_rulebook_that_tolerates_a_missing_limit_is_judged_by_it() -> None:
    world = good_world().with_pod(0, shares_host=("hostPID",)).changed("sandbox-enforced", value=0)
    looser = clause(30).model_copy(update={"limit": 1})
    (found,) = judge(replace(world, standard=standard(looser)).observed())
    assert (found.status, found.value) == ("True", 1.0)


@pytest.mark.parametrize(
    ("number", "measure", "parameter", "figure"),
    [
        (13, "transport-encrypted", "controlGapSeconds", {"control.gapSeconds": "2.5"}),
        (30, "sandbox-enforced", "sampleAgeSeconds", {"sampleAgeSeconds": "250"}),
    ],
)
def test_a_parameter_of_the_clause_is_what_the_measure_goes_by(
    number: int, measure: str, parameter: str, figure: dict[str, str]
) -> None:
    world = good_world().changed(measure, seen=figure)
    verdicts = []
    for parameters in ({}, {parameter: "300"}):
        one = clause(number).model_copy(update={"parameters": parameters})
        verdicts += [found.status for found in judge(replace(world, standard=standard(one)).observed())]
    assert verdicts == ["Unknown", "True"]


def test_a_parameter_that_is_no_number_leaves_the_clause_unknown() -> None:
    odd = clause(13).model_copy(update={"parameters": {"controlGapSeconds": "soon"}})
    (found,) = judge(replace(good_world(), standard=standard(odd)).observed())
    assert (found.status, found.reason) == ("Unknown", ClauseReason.JUDGE_FAILED)


@pytest.mark.parametrize(("limit", "status"), [(1.3, "True"), (1.2, "False"), (1.4, "False")])
def test_equals_means_neither_above_nor_below(limit: float, status: str) -> None:
    exact = clause(13).model_copy(update={"comparator": "Equals", "limit": limit})
    (found,) = judge(replace(good_world(), standard=standard(exact)).observed())
    assert found.status == status


def test_every_message_is_one_bounded_line() -> None:
    for world in (good_world(), replace(good_world(), drafts=()), replace(good_world(), pods=(), service=None)):
        for verdict in judge(world.observed()):
            assert 0 < len(verdict.message) <= MESSAGE_LIMIT
            assert verdict.message.isprintable()
            assert not verdict.message.endswith(".")


def test_messages_hold_no_age() -> None:
    """The same world a minute later reads the same, so nothing is written."""
    world = good_world()
    later = replace(world, now=world.now.replace(minute=1))
    assert [one.message for one in judge(world.observed())] == [one.message for one in judge(later.observed())]
