"""Compliant, NoKnownBreach, the count and the validity over all clauses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.builders import NOW
from verticalmodel.api.conditions import MESSAGE_LIMIT, ClauseReason, Status
from verticalmodel.judge.rollup import compliance, met, valid_until
from verticalmodel.judge.verdict import Rollup, Verdict


def verdict(status: Status, clause: int = 1, **changes: Any) -> Verdict:
    """A verdict with a reason that fits."""
    reasons = {
        "True": ClauseReason.MEASURED,
        "False": ClauseReason.THRESHOLD_EXCEEDED,
        "Unknown": ClauseReason.NOT_MEASURED,
    }
    good = {"condition": f"Clause{clause}", "status": status, "reason": reasons[status], "message": "m"}
    return Verdict(**{"clause": clause, **good, **changes})


TRUE, FALSE, UNKNOWN = verdict("True"), verdict("False"), verdict("Unknown")
WAIVED = verdict("False", reason=ClauseReason.WAIVED)
NOT_APPLICABLE = verdict("Unknown", reason=ClauseReason.NOT_APPLICABLE)
OPTIONAL_FALSE, OPTIONAL_UNKNOWN = verdict("False", mandatory=False), verdict("Unknown", mandatory=False)


@pytest.mark.parametrize(
    ("verdicts", "compliant", "no_known_breach"),
    [
        pytest.param([TRUE, TRUE], ("True", "AllClausesMet"), ("True", "NothingBroken"), id="all hold"),
        pytest.param([TRUE, FALSE], ("False", "ClausesBroken"), ("False", "ClausesBroken"), id="one is broken"),
        pytest.param([UNKNOWN, FALSE], ("False", "ClausesBroken"), ("False", "ClausesBroken"), id="broken and unknown"),
        pytest.param([TRUE, UNKNOWN], ("Unknown", "ClausesUnknown"), ("True", "NothingBroken"), id="one is unknown"),
        pytest.param([UNKNOWN], ("Unknown", "ClausesUnknown"), ("Unknown", "NotMeasured"), id="nothing was measured"),
        pytest.param([], ("Unknown", "NoStandard"), ("Unknown", "NoStandard"), id="there is no clause"),
        pytest.param([TRUE, WAIVED], ("True", "AllClausesMet"), ("True", "NothingBroken"), id="one is waived"),
        pytest.param([UNKNOWN, WAIVED], ("Unknown", "ClausesUnknown"), ("True", "NothingBroken"), id="waived, unknown"),
        pytest.param([TRUE, NOT_APPLICABLE], ("True", "AllClausesMet"), ("True", "NothingBroken"), id="not applicable"),
        pytest.param([NOT_APPLICABLE], ("Unknown", "NoStandard"), ("Unknown", "NoStandard"), id="none is applicable"),
        pytest.param(
            [TRUE, OPTIONAL_FALSE], ("True", "AllClausesMet"), ("True", "NothingBroken"), id="an optional is broken"
        ),
        pytest.param(
            [TRUE, OPTIONAL_UNKNOWN], ("True", "AllClausesMet"), ("True", "NothingBroken"), id="an optional is unknown"
        ),
    ],
)
def test_the_roll_ups_where(
    verdicts: list[Verdict], compliant: tuple[str, str], no_known_breach: tuple[str, str]
) -> None:
    first, second = compliance(verdicts)
    assert (first.type, first.status, first.reason) == ("Compliant", *compliant)
    assert (second.type, second.status, second.reason) == ("NoKnownBreach", *no_known_breach)


def test_broken_clauses_are_named() -> None:
    broken, _ = compliance([verdict("False", 13), TRUE, verdict("False", 30)])
    assert broken == Rollup(
        "Compliant", "False", "ClausesBroken", "2 of 3 mandatory clauses are broken: 13 Clause13, 30 Clause30"
    )


def test_a_long_list_of_clauses_is_cut_with_a_count() -> None:
    _, rollup = compliance([verdict("False", number) for number in range(1, 35)])
    assert rollup.message.endswith("12 Clause12 and 22 more")
    assert len(rollup.message) <= MESSAGE_LIMIT


@pytest.mark.parametrize(
    ("verdicts", "count"),
    [
        ([TRUE, FALSE, UNKNOWN], "1/3"),
        ([], "0/0"),
        ([TRUE, NOT_APPLICABLE], "1/1"),
        ([TRUE, WAIVED], "1/2"),
        ([TRUE, OPTIONAL_FALSE], "1/2"),
    ],
)
def test_met_counts_true_against_all_that_apply(verdicts: list[Verdict], count: str) -> None:
    assert met(verdicts) == count


def test_validity_is_the_earliest_expiry_behind_any_true() -> None:
    soon, late = NOW + timedelta(seconds=10), NOW + timedelta(seconds=600)
    assert valid_until([verdict("True", valid_until=late), verdict("True", valid_until=soon), UNKNOWN]) == soon
    assert valid_until([verdict("False", valid_until=soon), verdict("True", valid_until=late)]) == late
    assert valid_until([FALSE, UNKNOWN]) is None


ANY = st.lists(
    st.builds(
        lambda status, reason, mandatory: verdict(status, reason=reason, mandatory=mandatory),
        st.sampled_from(["True", "False", "Unknown"]),
        st.sampled_from(list(ClauseReason)),
        st.booleans(),
    ),
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(ANY)
def test_a_compliant_model_has_no_known_breach_and_a_breach_is_never_compliant(verdicts: list[Verdict]) -> None:
    compliant, no_known_breach = compliance(verdicts)
    assert compliant.status != "True" or no_known_breach.status == "True"
    assert (no_known_breach.status == "False") == (compliant.status == "False")
