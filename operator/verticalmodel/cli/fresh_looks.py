"""Which looks are newer than a request to measure, and which clauses hang on them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from verticalmodel.api import names
from verticalmodel.api.evidence import Evidence
from verticalmodel.api.operatingstandard import Clause, OperatingStandard
from verticalmodel.judge.judge import measured
from verticalmodel.judge.measures import cold_start

__all__ = ["Looks", "UnknownClauseError", "looks_since", "wanted"]


class UnknownClauseError(ValueError):
    """Somebody asks for a clause that is none, or that nothing measures."""


@dataclass(frozen=True)
class Looks:
    """What there is of a measurement that was asked for."""

    fresh: int
    stale: tuple[str, ...]
    """`MEASURE INSTANCE` of each look from before the request, in order."""

    @property
    def complete(self) -> bool:
        """Something was measured, and nothing is left of before."""
        return self.fresh > 0 and not self.stale


def wanted(standard: OperatingStandard, name: str | None) -> tuple[Clause, ...]:
    """The measured clauses, or the one of this number or condition type. Raises UnknownClauseError."""
    there = [one for one in standard.spec.clauses if measured(one) and one.measure != cold_start.NAME]
    if name is None:
        return tuple(there)
    chosen = [one for one in standard.spec.clauses if name in (str(one.id), one.condition)]
    if not chosen:
        raise UnknownClauseError(f"{name!r} is no clause of {standard.metadata.name}")
    if chosen[0] not in there:
        listed = ", ".join(str(one.id) for one in there)
        raise UnknownClauseError(
            f"clause {chosen[0].id} {chosen[0].condition} is not measured by this version; measured are {listed}"
        )
    return tuple(chosen)


def looks_since(evidence: Iterable[Evidence], asked_at: datetime, measures: frozenset[str] | None) -> Looks:
    """What the prober has recorded since `asked_at`; of all its measures where none are named.

    Events have happened once: nothing measures them anew.
    """
    entries = [
        entry
        for one in evidence
        if one.spec.measurer == names.MANAGER_PROBER
        for entry in one.spec.entries
        if entry.scope == "State" and (measures is None or entry.measure in measures)
    ]
    stale = sorted(f"{entry.measure} {entry.instance}" for entry in entries if entry.measured_at < asked_at)
    return Looks(len(entries) - len(stale), tuple(stale))
