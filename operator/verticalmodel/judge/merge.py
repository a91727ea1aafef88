"""The new status from the old one and this pass. Equal input gives an equal object, so nothing is written twice. Pure.

validUntil moves with every refresh of the evidence, and a status that moved with it would be written, and read by every
watcher, all the time. So a later expiry is published only when the published one has no more than half of the shortest
lifetime behind it left; until then the published one is right, only more modest. It never promises more than the
evidence: an expiry that comes earlier than published goes out at once, and so does any other change of a clause. For
the rest, `next_look` says when to judge again: no later than that, with no event to call for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from verticalmodel.api import conditions as types
from verticalmodel.api.conditions import Condition
from verticalmodel.api.model_status import CertificateStatus, ClauseStatus, Start, VerticalModelStatus
from verticalmodel.api.operatingstandard import OperatingStandardStatus
from verticalmodel.judge.rollup import met, valid_until
from verticalmodel.judge.verdict import Rollup, Verdict, bounded

__all__ = ["ROLLUP_TYPES", "Seen", "merge", "merge_platform", "next_look"]

ROLLUP_TYPES = (
    types.READY,
    types.COMPLIANT,
    types.NO_KNOWN_BREACH,
    types.ACCEPTED,
    types.PROGRESSING,
    types.EXPOSED,
    types.FAILOVER_ARMED,
    types.UPDATE_PENDING,
)
"""Condition types beside the clauses', in the order in which they are shown."""


@dataclass(frozen=True)
class Seen:
    """What the status shows beside conditions and clauses, as it was observed in this pass."""

    url: str | None = None
    replicas: int | None = None
    ready_replicas: int | None = None
    selector: str | None = None
    template_digest: str | None = None
    certificate: CertificateStatus | None = None
    last_start: Start | None = None
    measured_since: datetime | None = None


def merge(  # noqa: PLR0913 - six different things go in, and two of them by name
    old: VerticalModelStatus,
    verdicts: Sequence[Verdict],
    rollups: Sequence[Rollup],
    seen: Seen,
    *,
    generation: int,
    now: datetime,
) -> VerticalModelStatus:
    """The status after this pass, equal to `old` where nothing worth a write has changed.

    `rollups` holds every roll-up condition that is to be there; one left out is gone afterwards, and so is the
    condition of a clause that the standard no longer has. Conditions of types that were never ours stay.
    """
    clauses = tuple(_clause(verdict) for verdict in sorted(verdicts, key=lambda verdict: verdict.clause))
    expiry = _floor(valid_until(verdicts))
    # Who asked for a measurement is shown how long the new one holds.
    asked = seen.measured_since != old.measured_since
    if not asked and _still_right(old, clauses, _half_life(verdicts), now):
        clauses, expiry = old.clauses, old.valid_until
    return VerticalModelStatus(
        observed_generation=generation,
        conditions=_conditions(old, verdicts, rollups, generation, now),
        clauses=clauses,
        met=met(verdicts),
        url=seen.url,
        replicas=seen.replicas,
        ready_replicas=seen.ready_replicas,
        selector=seen.selector,
        template_digest=seen.template_digest,
        certificate=seen.certificate,
        last_start=seen.last_start,
        measured_since=seen.measured_since,
        valid_until=expiry,
    )


def merge_platform(
    old: OperatingStandardStatus, verdicts: Sequence[Verdict], *, generation: int, now: datetime
) -> OperatingStandardStatus:
    """The status of an OperatingStandard: its clauses of the platform, equal to `old` where nothing has changed."""
    before = {condition.type: condition for condition in old.conditions}
    by_number = sorted(verdicts, key=lambda verdict: verdict.clause)
    return OperatingStandardStatus(
        observed_generation=generation,
        conditions=tuple(
            _condition(_rollup(verdict), before.get(verdict.condition), generation, now) for verdict in by_number
        ),
        clauses=tuple(_clause(verdict) for verdict in by_number),
    )


def next_look(status: VerticalModelStatus, verdicts: Sequence[Verdict]) -> datetime | None:
    """When to judge again even if nothing happens, after `status` was merged; None where no True hangs on time.

    The earlier of two moments: evidence behind a True expires, which takes it back; or the published expiry, where
    newer evidence supports a later one, is due for its refresh.
    """
    expiry, half = valid_until(verdicts), _half_life(verdicts)
    if expiry is None or half is None or status.valid_until is None or status.valid_until == _floor(expiry):
        return expiry
    return min(expiry, status.valid_until - half)


def _still_right(
    old: VerticalModelStatus, clauses: Sequence[ClauseStatus], half: timedelta | None, now: datetime
) -> bool:
    """Whether the published clauses say the same, promise no more than the evidence, and will do so for a while."""
    if half is None or old.valid_until is None or old.valid_until - now <= half or len(old.clauses) != len(clauses):
        return False
    return all(_says_the_same(was, is_) for was, is_ in zip(old.clauses, clauses, strict=True))


def _says_the_same(was: ClauseStatus, is_: ClauseStatus) -> bool:
    if was.model_copy(update={"valid_until": is_.valid_until}) != is_:
        return False
    if was.valid_until is None or is_.valid_until is None:
        return was.valid_until is is_.valid_until
    return was.valid_until <= is_.valid_until


def _half_life(verdicts: Sequence[Verdict]) -> timedelta | None:
    """Half of the shortest lifetime behind any True."""
    lifetimes = [v.lifetime_seconds for v in verdicts if v.valid_until is not None and v.lifetime_seconds is not None]
    return timedelta(seconds=min(lifetimes) / 2) if lifetimes else None


def _clause(verdict: Verdict) -> ClauseStatus:
    return ClauseStatus(
        id=verdict.clause,
        condition=verdict.condition,
        verdict=verdict.status,
        reason=verdict.reason,
        value=verdict.value,
        unit=verdict.unit,
        limit=verdict.limit,
        instance=verdict.instance,
        valid_until=_floor(verdict.valid_until),
    )


def _conditions(
    old: VerticalModelStatus, verdicts: Sequence[Verdict], rollups: Sequence[Rollup], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Roll-ups first, then clauses by number, then what others have put there; one condition per type."""
    before = {condition.type: condition for condition in old.conditions}
    order = {type_: place for place, type_ in enumerate(ROLLUP_TYPES)}
    wanted = sorted(rollups, key=lambda rollup: (order.get(rollup.type, len(order)), rollup.type))
    by_number = sorted(verdicts, key=lambda verdict: verdict.clause)
    wanted += [_rollup(verdict) for verdict in by_number]
    new: dict[str, Condition] = {}
    for rollup in wanted:
        # A rulebook that names a clause after a roll-up shows it under `clauses` only.
        new.setdefault(rollup.type, _condition(rollup, before.get(rollup.type), generation, now))
    ours = {*ROLLUP_TYPES, *new, *(clause.condition for clause in old.clauses)}
    foreign = [condition for type_, condition in sorted(before.items()) if type_ not in ours]
    return (*new.values(), *foreign)


def _rollup(verdict: Verdict) -> Rollup:
    return Rollup(verdict.condition, verdict.status, verdict.reason, verdict.message)


def _condition(rollup: Rollup, before: Condition | None, generation: int, now: datetime) -> Condition:
    stays = before is not None and before.status == rollup.status
    return Condition(
        type=rollup.type,
        status=rollup.status,
        reason=str(rollup.reason),
        message=bounded(rollup.message),
        last_transition_time=before.last_transition_time if before is not None and stays else _whole_seconds(now),
        observed_generation=generation,
    )


def _floor(moment: datetime | None) -> datetime | None:
    return None if moment is None else _whole_seconds(moment)


def _whole_seconds(moment: datetime) -> datetime:
    """The form of metav1.Time, rounded down: a promise must not grow by it."""
    return moment.astimezone(UTC).replace(microsecond=0)
