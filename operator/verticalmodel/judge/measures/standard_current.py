"""Clause 20, the standard is revised every year (part III, section (3), item 2); judged once for the platform.

Reads: the day on which the edition says that it took effect, and the present day in UTC.

The value is the number of editions, this one or none, that took effect within the last year. An edition older than that
breaks the clause by its own words. A younger one does not make it hold: its day is what somebody wrote into an object.
That a committee published it, only a dated and signed statement can show, and this version takes none.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.operatingstandard import Clause, OperatingStandard
from verticalmodel.judge.instances import unknown
from verticalmodel.judge.verdict import Verdict

NAME = "standard-current"
HOW = (
    "The operator compares the day on which the edition took effect with today: one older than a year breaks the "
    "clause; none makes it hold before a signed Attestation can say that it was published"
)


def standard_current(clause: Clause, standard: OperatingStandard, now: datetime) -> Verdict:
    """Clause 20; False once the edition is older than a year, and never True."""
    told = standard.spec.effective
    try:
        effective = date.fromisoformat(told)
    except ValueError:
        return unknown(clause, ClauseReason.INCONSISTENT, f"spec.effective {told} is no day of the calendar")
    if effective > now.date():
        message = f"The edition takes effect on {told}; until then it is not in force"
        return unknown(clause, ClauseReason.NOT_MEASURED, message)
    if _a_year_after(effective) > now.date():
        message = (
            f"The edition says that it took effect on {told}. That it was published, a signed Attestation would show; "
            "this version of the operator takes none yet"
        )
        return unknown(clause, ClauseReason.NOT_MEASURED, message)
    message = (
        f"The edition took effect on {told}, a year ago or longer: publish the next one as an OperatingStandard, and "
        "name it in spec.standard of the models"
    )
    found = unknown(clause, ClauseReason.THRESHOLD_EXCEEDED, message)
    return replace(found, status="False", value=0.0, instance=f"operatingstandard/{standard.metadata.name}")


def _a_year_after(day: date) -> date:
    """The same day of the next year; 1 March where that has no 29 February."""
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return date(day.year + 1, 3, 1)
