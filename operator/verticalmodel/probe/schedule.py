"""Whose turn it is: the most overdue first, a bounded number at once, never the same one twice in quick succession."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Schedule"]

K = TypeVar("K", bound=Hashable)
_NEVER = float("-inf")


@dataclass
class _Slot:
    due: float
    started: float = _NEVER
    running: bool = False
    touched: bool = False


class Schedule(Generic[K]):
    """Turns by key. All times are seconds of one monotonic clock, which the caller passes in.

    `limit` turns run at once; `spacing` seconds lie between two starts of one key; a touched key waits `settle`
    seconds, because changes come in bursts.
    """

    def __init__(self, *, limit: int, spacing: float, settle: float) -> None:
        self._limit = limit
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
        free = self._limit - sum(slot.running for slot in self._slots.values())
        due = sorted(
            (slot.due, number, key) for number, (key, slot) in enumerate(self._slots.items()) if self._ready(slot, now)
        )
        taken = []
        for _, _, key in due[: max(free, 0)]:
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
        """Seconds until the next turn can start; infinite where none is due, or the limit is reached."""
        if sum(slot.running for slot in self._slots.values()) >= self._limit:
            return float("inf")
        waits = [slot.due - now for slot in self._slots.values() if not slot.running]
        return max(min(waits, default=float("inf")), 0.0)

    def touched(self, key: K) -> bool:
        """Whether the key was touched since its present turn began."""
        return key in self._slots and self._slots[key].touched

    def _ready(self, slot: _Slot, now: float) -> bool:
        return not slot.running and slot.due <= now

    def _earliest(self, slot: _Slot, wanted: float) -> float:
        return max(wanted, slot.started + self._spacing)
