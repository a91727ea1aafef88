"""What `vmodel status` says of a model: what is broken first, then what nobody knows, then what holds. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from verticalmodel.api import conditions
from verticalmodel.api.conditions import ClauseReason, Condition, Status
from verticalmodel.api.operatingstandard import COMPARISONS, Clause, OperatingStandard
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.judge.judge import measured

__all__ = ["ClauseLine", "Report", "as_json", "as_text", "only", "report"]

_HEAD = (conditions.ACCEPTED, conditions.READY, conditions.PROGRESSING, conditions.COMPLIANT)
"""What a model needs to serve at all, in the order in which one hangs on the other, and the sum of its clauses."""
_RESTS_ON_EVIDENCE = (conditions.READY, conditions.COMPLIANT)
_NOT_RENEWED = "the operator or the prober has not renewed it"
_COMMITTEE = frozenset(("review-group-current", "industry-consulted", "efficiency-evaluated", "standard-current"))
"""Measures of what only a committee can do: meet, consult, evaluate, publish (clauses 17 to 20)."""
_RANK: Mapping[Status, int] = {"False": 0, "Unknown": 1, "True": 2}


@dataclass(frozen=True)
class ClauseLine:
    """One clause as a reader may take it at this moment."""

    id: int
    condition: str
    title: str
    verdict: Status
    """A True whose evidence has expired is Unknown, whatever is stored."""
    reason: str
    message: str
    value: float | None
    unit: str | None
    comparator: str
    limit: float | None
    instance: str | None
    valid_until: datetime | None
    acts: str
    """Who has to act where it is not True: `platform` or `model team`."""
    measured: bool
    """Whether this version of `vmodel` knows a measure for it."""


@dataclass(frozen=True)
class Report:
    """A model as it stands at a moment."""

    namespace: str
    name: str
    url: str | None
    standard: str
    """Name of the OperatingStandard that judges it."""
    head: tuple[Condition, ...]
    """Accepted, Ready, Progressing and Compliant, as far as they are stored."""
    stale: bool
    """The status belongs to an earlier spec."""
    clauses: tuple[ClauseLine, ...]
    """False first, then Unknown, then True, each by number."""
    now: datetime

    @property
    def met(self) -> int:
        """Clauses that are True now."""
        return sum(line.verdict == "True" for line in self.clauses)

    @property
    def healthy(self) -> bool:
        """It serves its present spec, and no clause is broken."""
        serves = any(one.type == conditions.READY and one.status == "True" for one in self.head)
        return serves and not self.stale and all(line.verdict != "False" for line in self.clauses)


def report(model: VerticalModel, standard: OperatingStandard | None, now: datetime) -> Report:
    """Read a model's stored status at `now`; titles, limits and who acts come from the standard, where there is one."""
    known = {one.type: _as_of(one, model.status.valid_until, now) for one in model.status.conditions}
    clauses = {one.condition: one for one in standard.spec.clauses} if standard is not None else {}
    serves = conditions.READY not in known or known[conditions.READY].status == "True"
    lines = []
    for one in model.status.clauses:
        clause, said = clauses.get(one.condition), known.get(one.condition)
        lapsed = one.verdict == "True" and one.valid_until is not None and one.valid_until <= now
        lines.append(
            ClauseLine(
                id=one.id,
                condition=one.condition,
                title=clause.title if clause else "",
                verdict="Unknown" if lapsed else one.verdict,
                reason=ClauseReason.EVIDENCE_EXPIRED if lapsed else one.reason,
                message=_NOT_RENEWED if lapsed else (said.message if said else ""),
                value=one.value,
                unit=one.unit,
                comparator=clause.comparator if clause else "",
                limit=one.limit,
                instance=one.instance,
                valid_until=one.valid_until,
                acts=_acts(clause, one.reason, serves=serves),
                measured=clause is not None and measured(clause),
            )
        )
    return Report(
        namespace=model.metadata.namespace,
        name=model.metadata.name,
        url=model.status.url,
        standard=model.spec.standard.name,
        head=tuple(known[kind] for kind in _HEAD if kind in known),
        stale=model.status.observed_generation != model.metadata.generation,
        clauses=tuple(sorted(lines, key=lambda line: (_RANK[line.verdict], line.id))),
        now=now,
    )


def only(told: Report, clauses: frozenset[int]) -> Report:
    """The report without the other clauses."""
    return replace(told, clauses=tuple(line for line in told.clauses if line.id in clauses))


def _as_of(one: Condition, valid_until: datetime | None, now: datetime) -> Condition:
    """A condition as a reader may take it: what rests on measurements lapses with the first of them."""
    lapsed = valid_until is not None and valid_until <= now
    if not lapsed or one.status != "True" or one.type not in _RESTS_ON_EVIDENCE:
        return one
    return one.model_copy(
        update={"status": "Unknown", "reason": ClauseReason.EVIDENCE_EXPIRED, "message": _NOT_RENEWED}
    )


def _acts(clause: Clause | None, reason: str, *, serves: bool) -> str:
    """What is measured of the platform, or not measured at all of a model that serves, no model team can mend."""
    if clause is not None and clause.measure in _COMMITTEE:
        return "committee"
    if clause is None or clause.scope == "Platform":
        return "platform"
    awaited = reason == ClauseReason.NOT_MEASURED
    return "platform" if awaited and (serves or not measured(clause)) else "model team"


def as_text(told: Report, *, wide: bool = False) -> str:
    """The report for people; `wide` leaves nothing out of any clause."""
    return "\n".join(_lines(told, wide=wide)) + "\n"


def _lines(told: Report, *, wide: bool) -> Iterator[str]:
    yield f"{told.namespace}/{told.name}  {told.url or 'has no address yet'}  judged by {told.standard}"
    if told.stale:
        yield "  the operator has not looked at the present spec yet: what follows is of an earlier one"
    if not told.head:
        yield "  no status yet: is the operator running? `kubectl get pods -n verticalmodel-system` says"
    for one in told.head:
        yield f"  {one.type:<12} {one.status:<8} {one.reason}{f': {one.message}' if one.message else ''}"
    for verdict, group in groupby(told.clauses, key=lambda line: line.verdict):
        lines = list(group)
        yield ""
        yield f"{_HEADINGS[verdict]} ({len(lines)} of {len(told.clauses)} clauses)"
        if wide:
            yield from (_whole(line, told.now) for line in lines)
        else:
            yield from _unknown(lines) if verdict == "Unknown" else (_line(line, told.now) for line in lines)


_HEADINGS: Mapping[Status, str] = {"False": "BROKEN", "Unknown": "UNKNOWN", "True": "MET"}


def _line(line: ClauseLine, now: datetime) -> str:
    words = [f"  {line.id:>3} {line.condition:<28}"]
    if line.value is not None:
        limit = f", {COMPARISONS.get(line.comparator, 'limit')} {line.limit:g}" if line.limit is not None else ""
        words.append(f"{line.value:g} {line.unit or ''}{limit}".rstrip())
    if line.instance:
        words.append(f"({line.instance})")
    if line.valid_until is not None and line.verdict == "True":
        words.append(f"until {line.valid_until.astimezone(UTC):%H:%M:%SZ}, {_span(line.valid_until, now)} from now")
    text = " ".join(words).rstrip()
    if line.verdict == "True":
        return text
    return f"{text}\n      {line.reason}: {line.message}\n      must act: {line.acts}"


def _whole(line: ClauseLine, now: datetime) -> str:
    first, *more = _line(line, now).split("\n")
    titled = [first, f"      {line.title}"] if line.title else [first]
    return "\n".join([*titled, *(more or [f"      {line.reason}: {line.message}"])])


def _unknown(lines: Sequence[ClauseLine]) -> Iterator[str]:
    """Those that nobody measures by their numbers; the others one by one, since each has a cause of its own."""
    unmeasured = [line for line in lines if line.reason == ClauseReason.NOT_MEASURED and not line.measured]
    for line in lines:
        if line not in unmeasured:
            yield _line(line, line.valid_until or datetime.min.replace(tzinfo=UTC))
    if unmeasured:
        numbers = _ranges([line.id for line in unmeasured])
        yield f"  not measured by this version: {numbers}; `vmodel explain N` says what would measure it"


def _ranges(numbers: Sequence[int]) -> str:
    """`1-12, 14, 16-29` of numbers in order."""
    # Numbers that follow each other are all as far from their places.
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _span(until: datetime, now: datetime) -> str:
    seconds = max(int((until - now).total_seconds()), 0)
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def as_json(told: Report) -> dict[str, Any]:
    """The report for programs: stable names, times in RFC 3339."""
    return {
        "namespace": told.namespace,
        "name": told.name,
        "url": told.url,
        "standard": told.standard,
        "healthy": told.healthy,
        "stale": told.stale,
        "met": told.met,
        "total": len(told.clauses),
        "conditions": [
            {"type": one.type, "status": one.status, "reason": one.reason, "message": one.message} for one in told.head
        ],
        "clauses": [
            {
                "id": line.id,
                "condition": line.condition,
                "title": line.title,
                "verdict": line.verdict,
                "reason": line.reason,
                "message": line.message,
                "value": line.value,
                "unit": line.unit,
                "limit": line.limit,
                "instance": line.instance,
                "validUntil": line.valid_until.astimezone(UTC).isoformat() if line.valid_until else None,
                "acts": line.acts,
            }
            for line in told.clauses
        ],
    }
