"""Looks that said nothing: since when, and when each is tried again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from verticalmodel.probe.measurement import Key, Measurement

__all__ = ["Doubts", "retry_seconds"]

_FIRST, _MOST = 2.0, 60.0


@dataclass(frozen=True)
class _Doubt:
    since: float
    tries: int
    due: float


@dataclass
class Doubts:
    """The unbroken series of looks that said nothing, by instance; moments are seconds of one monotonic clock."""

    _open: dict[Key, _Doubt] = field(default_factory=dict)

    def note(self, wanted: Iterable[Key], looks: Iterable[Measurement], now: float, draw: float) -> None:
        """Take in what came of the `wanted` keys that were tried: a look that said something ends its series.

        `draw` in [0, 1) spreads the next tries.
        """
        settled = {look.key for look in looks if look.conclusive}
        for key in wanted:
            before = self._open.get(key)
            if key in settled:
                self._open.pop(key, None)
                continue
            tries = before.tries + 1 if before else 1
            self._open[key] = _Doubt(before.since if before else now, tries, now + retry_seconds(tries, draw))

    def keep(self, wanted: Iterable[Key]) -> None:
        """Forget series of what is not wanted any more."""
        still = set(wanted)
        self._open = {key: doubt for key, doubt in self._open.items() if key in still}

    def hurry(self) -> None:
        """Somebody waits: all of it is due at once."""
        self._open = {key: _Doubt(doubt.since, doubt.tries, 0.0) for key, doubt in self._open.items()}

    def waiting(self, now: float) -> frozenset[Key]:
        """What is not to be tried before its time."""
        return frozenset(key for key, doubt in self._open.items() if doubt.due > now)

    def seconds(self, now: float) -> Mapping[Key, float]:
        """How long each series has lasted."""
        return {key: now - doubt.since for key, doubt in self._open.items()}

    def next_in(self, now: float) -> float | None:
        """Seconds until the next try; None where there is no doubt."""
        return max(min(doubt.due for doubt in self._open.values()) - now, 0.0) if self._open else None


def retry_seconds(tries: int, draw: float) -> float:
    """Seconds until a look that said nothing is repeated: 2, 4, 8 ... 60, give or take a fifth (`draw` in [0, 1))."""
    return min(_FIRST * 2.0 ** min(tries - 1, 16), _MOST) * (0.8 + 0.4 * draw)
