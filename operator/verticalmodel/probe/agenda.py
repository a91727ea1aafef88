"""What to look at, when, and which finding is worth a write: every pass decides anew from what exists. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from verticalmodel.api.evidence import Entry
from verticalmodel.probe.measurement import CANARY, CONTAINER, RESTART, Key, Measurement, gist
from verticalmodel.probe.model import Model
from verticalmodel.probe.starts import NOT_BEFORE
from verticalmodel.probe.world import Expected

__all__ = ["REFRESH", "Agenda", "agenda", "doubtful", "gone", "wait_seconds", "worth_writing"]

REFRESH = (0.5, 0.7)
"""A model's evidence is renewed at a random share of its lifetime in this range: the subject cannot know when, writes
are at most one per half a lifetime, and what remains is time to try again."""
_TOGETHER = 0.25
"""When one entry is due, those older than this share go with it, so that all of a model's are written at one time."""
PERSISTENT = 25.0
"""Looks that say nothing are written after so many seconds of nothing else: a pod's first ones are no finding."""


_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_AHEAD = timedelta(seconds=5)
"""How far a clock that asks for a measurement may be ahead of ours; what is later still is no request."""


@dataclass(frozen=True)
class Agenda:
    """What one pass is to look at."""

    wanted: frozenset[Key]
    renewal: bool
    """Evidence is due: what was found is written even where it is what was known."""


def _usable(entry: Entry | None, expected: Expected, now: datetime) -> Entry | None:
    """The entry, where it is about this very instance and holds now."""
    if entry is None or entry.expires_at <= now:
        return None
    about = expected.is_subject_of(entry.binding, _observed(entry, CONTAINER), entry.measured_at)
    return entry if about else None


def _observed(entry: Entry, name: str) -> str:
    return next((one.value for one in entry.observations if one.name == name), "")


def _remaining(entry: Entry, lifetime: float, now: datetime, share: float) -> float:
    """Seconds until the entry's age is `share` of its lifetime: the standard's or a shorter one of its own."""
    if entry.measure == RESTART:
        return float("inf")  # it happened, and nobody can look at it again
    written = (entry.expires_at - entry.measured_at).total_seconds()
    return share * min(lifetime, written) - (now - entry.measured_at).total_seconds()


def agenda(model: Model, entries: Mapping[Key, Entry], now: datetime, share: float) -> Agenda:
    """What is missing, inconclusive, about another instance, older than `share` of its lifetime or than a request."""
    missing: set[Key] = set()
    held: dict[Key, Entry] = {}
    for key, expected in model.expected().items():
        entry = _usable(entries.get(key), expected, now)
        if entry is None or entry.outcome == "Inconclusive":
            missing.add(key)
        if entry is not None:
            held[key] = entry
    older = {
        part: {key for key, entry in held.items() if _remaining(entry, model.lifetimes[key[0]], now, part) <= 0}
        for part in (share, _TOGETHER)
    }
    asked = {key for key, entry in held.items() if _asked_for(model, entry, now)}
    due = older[_TOGETHER] if older[share] else set()
    return Agenda(frozenset(missing | due | asked), bool(due or asked))


def _asked_for(model: Model, entry: Entry, now: datetime) -> bool:
    """Whether somebody asked for a measurement after this one; what has happened once is not measured anew."""
    return entry.scope == "State" and model.asked_at is not None and entry.measured_at < model.asked_at <= now + _AHEAD


def wait_seconds(model: Model, entries: Mapping[Key, Entry], now: datetime, share: float) -> float:
    """Seconds until evidence is due for renewal, 0 where something is wanted now; infinite where nothing exists."""
    if agenda(model, entries, now, share).wanted or gone(model, entries):
        return 0.0
    waits = [_remaining(entries[key], model.lifetimes[key[0]], now, share) for key in model.expected()]
    return max(min(waits, default=float("inf")), 0.0)


def gone(model: Model, entries: Mapping[Key, Entry]) -> frozenset[Key]:
    """Entries about instances that no longer exist."""
    return frozenset(key for key, entry in entries.items() if not model.alive(key, entry.binding))


def worth_writing(  # noqa: PLR0913  one decision, and everything it depends on
    model: Model,
    looks: Iterable[Measurement],
    entries: Mapping[Key, Entry],
    now: datetime,
    *,
    renewal: bool,
    doubted: Mapping[Key, float],
) -> tuple[Measurement, ...]:
    """The looks that become entries: news at once, what is known only at its renewal.

    An inconclusive look takes nothing back: evidence that was measured holds until it expires, unless the subject
    itself unsettled it. It is written where nothing holds and looks have said nothing for long (`doubted`: seconds).
    """
    expected = model.expected()
    chosen = []
    for look in looks:
        due = expected.get(look.key)
        about = look.binding, look.observations.get(CONTAINER, ""), look.measured_at
        if due is None or not due.is_subject_of(*about):
            continue  # gone or replaced while we looked
        entry = _usable(entries.get(look.key), due, now)
        if look.measure == RESTART and entry is not None and _certain(entry) >= _certain(look):
            continue  # the worst of them counts, whoever was there to see it
        if look.conclusive or look.unsettling:
            write = renewal or entry is None or gist(look) != gist(entry)
        elif entry is not None:
            write = renewal and entry.outcome == "Inconclusive"
        else:
            write = doubted.get(look.key, 0.0) >= PERSISTENT
        if write:
            chosen.append(look)
    return tuple(sorted(chosen, key=lambda look: look.key))


def _certain(outage: Entry | Measurement) -> float:
    """Seconds that it took at least."""
    said = _observed(outage, NOT_BEFORE) if isinstance(outage, Entry) else outage.observations.get(NOT_BEFORE, "")
    return float(said) if _SECONDS.fullmatch(said) else 0.0


def doubtful(looks: Iterable[Measurement], entries: Mapping[Key, Entry]) -> frozenset[Key]:
    """Canaries that were good and now are not: asked once more before they are believed, for a pod may be leaving."""
    return frozenset(
        look.key
        for look in looks
        if look.measure == CANARY
        and look.conclusive
        and look.observations["answer"] != "good"
        and look.key in entries
        and _observed(entries[look.key], "answer") == "good"
    )
