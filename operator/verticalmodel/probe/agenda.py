"""What to look at, when, and which finding is worth a write: every pass decides anew from what exists. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from verticalmodel.api.evidence import Entry
from verticalmodel.probe.measurement import CANARY, CONTAINER, Key, Measurement, gist
from verticalmodel.probe.world import Expected, Model

__all__ = ["REFRESH", "Agenda", "agenda", "gone", "wait_seconds", "worth_writing"]

REFRESH = (0.5, 0.7)
"""A model's evidence is renewed at a random share of its lifetime in this range: the subject cannot know when, writes
are at most one per half a lifetime, and what remains is time to try again."""
_TOGETHER = 0.25
"""When one entry is due, those older than this share go with it, so that all of a model's are written at one time."""
PERSISTENT = 3
"""An inconclusive look is written after this many passes in a row: a pod's first second is no finding."""


@dataclass(frozen=True)
class Agenda:
    """What one pass is to look at."""

    wanted: frozenset[Key]
    renewal: bool
    """Evidence is due: what was found is written even where it is what was known."""


def _usable(entry: Entry | None, expected: Expected, now: datetime) -> Entry | None:
    """The entry, where it is about this very instance and holds now."""
    if entry is None or entry.binding != expected.binding or entry.expires_at <= now:
        return None
    container = next((one.value for one in entry.observations if one.name == CONTAINER), "")
    return entry if container == expected.container else None


def _age(entry: Entry, lifetime: float, now: datetime) -> float:
    """Age as a share of the lifetime: the standard's, or the shorter one that the entry was written with."""
    written = (entry.expires_at - entry.measured_at).total_seconds()
    return (now - entry.measured_at).total_seconds() / max(min(lifetime, written), 1.0)


def agenda(model: Model, entries: Mapping[Key, Entry], now: datetime, share: float) -> Agenda:
    """What is missing, inconclusive, about another instance, or older than `share` of its lifetime."""
    missing: set[Key] = set()
    ages: dict[Key, float] = {}
    for key, expected in model.expected().items():
        entry = _usable(entries.get(key), expected, now)
        if entry is None or entry.outcome == "Inconclusive":
            missing.add(key)
        if entry is not None:
            ages[key] = _age(entry, model.lifetimes[key[0]], now)
    renewal = any(age >= share for age in ages.values())
    due = {key for key, age in ages.items() if age >= _TOGETHER} if renewal else set()
    return Agenda(frozenset(missing | due), renewal)


def wait_seconds(model: Model, entries: Mapping[Key, Entry], now: datetime, share: float) -> float:
    """Seconds until evidence is due for renewal, 0 where something is wanted now; infinite where nothing exists."""
    if agenda(model, entries, now, share).wanted or gone(model, entries):
        return 0.0
    waits = [
        (share - _age(entries[key], model.lifetimes[key[0]], now)) * model.lifetimes[key[0]] for key in model.expected()
    ]
    return max(min(waits, default=float("inf")), 0.0)


def gone(model: Model, entries: Mapping[Key, Entry]) -> frozenset[Key]:
    """Entries about instances that no longer exist."""
    return frozenset(key for key, entry in entries.items() if not model.alive(key, entry.binding))


def worth_writing(
    model: Model,
    looks: Iterable[Measurement],
    entries: Mapping[Key, Entry],
    now: datetime,
    *,
    renewal: bool,
    tries: int,
) -> tuple[Measurement, ...]:
    """The looks that become entries: news at once, what is known only at its renewal.

    An inconclusive look takes nothing back: evidence that was measured holds until it expires, unless the subject
    itself unsettled it. It is written where nothing holds and `tries` passes in a row ended so.
    """
    expected = model.expected()
    chosen = []
    for look in looks:
        if look.key not in expected or expected[look.key].binding != look.binding:
            continue  # gone or replaced while we looked
        entry = _usable(entries.get(look.key), expected[look.key], now)
        news = entry is None or gist(look) != gist(entry)
        if look.conclusive or look.unsettling:
            write = news or renewal
        elif entry is not None and entry.outcome == "Measured":
            write = False
        else:
            write = news and tries >= PERSISTENT
        if write:
            chosen.append(look)
    return tuple(sorted(chosen, key=lambda look: look.key))


def doubtful(looks: Iterable[Measurement], entries: Mapping[Key, Entry]) -> frozenset[Key]:
    """Canaries that were good and now are not: asked once more before they are believed, for a pod may be leaving."""
    was_good = {key for key, entry in entries.items() if key[0] == CANARY and _answer(entry.observations) == "good"}
    return frozenset(
        look.key for look in looks if look.key in was_good and look.conclusive and look.observations["answer"] != "good"
    )


def _answer(observations: Iterable[object]) -> str:
    return next((getattr(one, "value", "") for one in observations if getattr(one, "name", "") == "answer"), "")
