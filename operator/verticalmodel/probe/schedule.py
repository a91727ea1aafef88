"""Whose turn it is: the most overdue first, a bounded number at once, never the same one twice in quick succession."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Schedule"]

K = TypeVar("K", bound=Hashable)
_NEVER = float("-inf")
_CROWD = 8


@dataclass
class _Slot:
    due: float
    started: float = _NEVER
    running: bool = False
    touched: bool = False


class Schedule(Generic[K]):
    """Turns by key. All times are seconds of one monotonic clock, which the caller passes in.

    `limit` turns run at once; `spacing` seconds lie between two starts of one key; a touched key waits `settle`
    seconds, because changes come in bursts. A turn that is older than `patience` seconds waits for a slow answer, and
    makes room: of those there are _CROWD times as many at most.
    """

    def __init__(self, *, limit: int, spacing: float, settle: float, patience: float = 5.0) -> None:
        self._limit = limit
        self._patience = patience
        self._spacing = spacing
        self._settle = settle
        self._slots: dict[K, _Slot] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._slots

    def __len__(self) -> int:
        return len(self._slots)

    def touch(self, key: K, now: float) -> None:
        """Something changed: this key is due soon, at once after its present turn if it has one."""
        slot = self._slots.setdefault(key, _Slot(due=float("inf")))
        slot.touched = True
        slot.due = min(slot.due, self._earliest(slot, now + self._settle))

    def take(self, now: float) -> list[tuple[K, float]]:
        """Start the turns that are due and fit under the limit; each with the seconds that it is late."""
        due = sorted(
            (slot.due, number, key) for number, (key, slot) in enumerate(self._slots.items()) if self._ready(slot, now)
        )
        taken = []
        for _, _, key in due[: self._free(now)]:
            slot = self._slots[key]
            taken.append((key, now - slot.due))
            slot.running, slot.touched, slot.started, slot.due = True, False, now, float("inf")
        return taken

    def finish(self, key: K, now: float, wait: float) -> None:
        """End a turn; the next is due in `wait` seconds, or sooner where the key was touched meanwhile."""
        slot = self._slots.get(key)
        if slot is None:
            return
        slot.running = False
        wanted = min(now + wait, slot.due) if slot.touched else now + wait
        slot.due = self._earliest(slot, wanted)

    def forget(self, key: K) -> None:
        """The key is gone; a later touch starts anew."""
        self._slots.pop(key, None)

    def idle_seconds(self, now: float) -> float:
        """Seconds until the next turn can start, as far as time alone brings it; infinite where it does not."""
        due = min((slot.due - now for slot in self._slots.values() if not slot.running), default=float("inf"))
        return max(due, self._room_in(now), 0.0)

    def touched(self, key: K) -> bool:
        """Whether the key was touched since its present turn began."""
        return key in self._slots and self._slots[key].touched

    def _free(self, now: float) -> int:
        """How many turns may start."""
        running = [slot for slot in self._slots.values() if slot.running]
        young = sum(now - slot.started < self._patience for slot in running)
        return max(min(self._limit - young, self._limit * (1 + _CROWD) - len(running)), 0)

    def _room_in(self, now: float) -> float:
        """Seconds until a turn may start, though none of those that run ends."""
        running = [slot for slot in self._slots.values() if slot.running]
        if self._free(now) > 0:
            return 0.0
        if len(running) >= self._limit * (1 + _CROWD):
            return float("inf")
        young = sorted(slot.started for slot in running if now - slot.started < self._patience)
        return young[0] + self._patience - now

    def _ready(self, slot: _Slot, now: float) -> bool:
        return not slot.running and slot.due <= now

    def _earliest(self, slot: _Slot, wanted: float) -> float:
        return max(wanted, slot.started + self._spacing)
