"""How long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass(frozen=True)
class Backoff:
    """Exponential back-off with full jitter: uniform in (0, min(cap, base * 2**failures)] seconds.

    Full jitter spreads clients that failed together better than any other variant (Brooker, "Exponential Backoff And
    Jitter"). `floor` keeps a lucky draw from hammering.
    """

    base: float = 0.5
    cap: float = 60.0
    floor: float = 0.05

    def delay(self, failures: int, draw: float | None = None) -> float:
        """Seconds to wait after `failures` failures in a row (1: the first); `draw` in [0, 1) replaces chance."""
        # 2**63 seconds is past every cap; the bound keeps a year of failures from building huge numbers.
        ceiling = min(self.cap, self.base * 2.0 ** min(max(failures - 1, 0), 63))
        share = random.random() if draw is None else draw  # noqa: S311 - spreads load, guards nothing
        return min(max(self.floor, ceiling * share), self.cap)
