"""A request to measure: for which clauses, how far it is, and what it came to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from verticalmodel.api import conditions
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.operatingstandard import Clause, OperatingStandard
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.cli.status_report import Report
from verticalmodel.judge.measures import AT_WILL

__all__ = ["Progress", "UnknownClauseError", "exit_status", "progress", "still_to_come", "wanted"]

_OPEN = (ClauseReason.NOT_MEASURED, ClauseReason.EVIDENCE_EXPIRED, ClauseReason.PROBE_FAILED)
"""What the next look may settle."""


class UnknownClauseError(ValueError):
    """Somebody asks for a clause that is none, or that nothing can measure at will."""


@dataclass(frozen=True)
class Progress:
    """How far a request is."""

    answered: bool
    """The operator has judged, by looks that are all newer than the request, the present spec."""
    open: tuple[int, ...]
    """Clauses of which something was not measured yet, or not to any conclusion."""


def wanted(standard: OperatingStandard, chosen: Sequence[str]) -> tuple[Clause, ...]:
    """The clauses of these numbers or condition types; where none is named, all that can be measured at will.

    Raises UnknownClauseError.
    """
    there = [one for one in standard.spec.clauses if one.measure in AT_WILL]
    if not chosen:
        return tuple(there)
    found = [one for name in chosen for one in standard.spec.clauses if _is(one, name)]
    for name in chosen:
        if not any(_is(one, name) for one in standard.spec.clauses):
            raise UnknownClauseError(f"{name!r} is no clause of {standard.metadata.name}; {_there(there)}")
    for one in found:
        if one not in there:
            raise UnknownClauseError(f"clause {one.id} {one.condition} cannot be measured at will; {_there(there)}")
    return tuple(found)


def _is(clause: Clause, name: str) -> bool:
    return name.lower() in (str(clause.id), clause.condition.lower())


def _there(clauses: Iterable[Clause]) -> str:
    return f"what can is {', '.join(f'{one.id} {one.condition}' for one in clauses)}"


def progress(model: VerticalModel, asked_at: datetime, clauses: frozenset[int]) -> Progress:
    """How far a request of `asked_at` for these clauses is, by the model's status."""
    status = model.status
    answered = status.measured_since == asked_at and status.observed_generation == model.metadata.generation
    # Without an instance there is nothing to look at: a model without a GPU, say.
    unsettled = [
        one.id
        for one in status.clauses
        if one.verdict == "Unknown" and one.reason in _OPEN and one.instance is not None
    ]
    return Progress(answered, tuple(number for number in sorted(unsettled) if number in clauses))


def still_to_come(model: VerticalModel, found: Progress) -> str:
    """Why a request is not done, in words."""
    ready = next((one for one in model.status.conditions if one.type == conditions.READY), None)
    state = f"; Ready is {ready.status}, {ready.reason}: {ready.message}" if ready and ready.status != "True" else ""
    if not found.answered:
        return f"the prober has not measured all of it, or the operator has not judged it (`vmodel doctor` says){state}"
    return f"clauses {', '.join(map(str, found.open))} are still to come{state}"


def exit_status(told: Report, clauses: frozenset[int]) -> int:
    """3 where a clause is broken, else 1 where one is not known or was not judged at all, else 0."""
    verdicts = {one.verdict for one in told.clauses}
    if "False" in verdicts:
        return 3
    return 0 if verdicts == {"True"} and {one.id for one in told.clauses} >= clauses else 1
