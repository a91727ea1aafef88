"""Which changes of a status people are told of by a Kubernetes Event."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from verticalmodel.api.conditions import Condition, Status
from verticalmodel.api.model_status import ClauseStatus, VerticalModelStatus
from verticalmodel.judge.transitions import transitions

NOW = datetime(2026, 11, 25, tzinfo=UTC)
CLAUSE = "TransportEncrypted"


def status(**conditions: Status) -> VerticalModelStatus:
    clauses = (ClauseStatus(id=13, condition=CLAUSE, verdict="Unknown", reason="NotMeasured"),)
    return VerticalModelStatus(
        conditions=tuple(
            Condition(type=type_, status=value, reason="Because", last_transition_time=NOW)
            for type_, value in conditions.items()
        ),
        clauses=clauses,
    )


@pytest.mark.parametrize("type_", ["Ready", "Compliant", CLAUSE, "Accepted", "Progressing", "UpdatePending"])
@pytest.mark.parametrize("before", ["True", "False", "Unknown", None])
@pytest.mark.parametrize("after", ["True", "False", "Unknown"])
def test_ready_and_compliant_at_every_change_clauses_between_true_and_false(
    type_: str, before: Status | None, after: Status
) -> None:
    old = VerticalModelStatus() if before is None else status(**{type_: before})

    found = [
        (one.condition.type, one.before, one.condition.status) for one in transitions(old, status(**{type_: after}))
    ]

    if type_ in ("Ready", "Compliant"):
        worth = after == "True" if before is None else before != after
    elif type_ in (CLAUSE, "Accepted"):
        worth = {before, after} == {"True", "False"}
    else:
        worth = False
    assert found == ([(type_, before or "Unknown", after)] if worth else [])


@pytest.mark.parametrize(("after", "bad"), [("True", False), ("False", True), ("Unknown", True)])
def test_whatever_is_not_true_is_bad_news(after: Status, bad: bool) -> None:  # noqa: FBT001 - an expectation
    before: Status = "False" if after == "True" else "True"
    [one] = transitions(status(Ready=before), status(Ready=after))
    assert one.is_bad is bad
