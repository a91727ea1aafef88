"""What transfers tell while they run: bytes done, and which part of their time went where."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from verticalmodel.seal.report import Seconds

__all__ = ["Progress"]


class Progress:
    """Shared by all workers of one run; `advanced` hears the plaintext bytes done so far, from any of their threads."""

    def __init__(self, advanced: Callable[[int], None] = lambda _done: None) -> None:
        self._advanced = advanced
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._fetching = 0.0
        self._unsealing = 0.0
        self.done = 0

    def add(self, fetching: float, unsealing: float, size: int) -> None:
        """One unit of work: seconds of waiting for the source, seconds of all else, bytes of plaintext."""
        with self._lock:
            self._fetching += fetching
            self._unsealing += unsealing
            self.done += size
        self._advanced(self.done)

    def seconds(self) -> Seconds:
        """The phases so far."""
        total = time.monotonic() - self._began
        busy = self._fetching + self._unsealing
        fetched = total * self._fetching / busy if busy else total
        return Seconds(fetched=round(fetched, 3), unsealed=round(total - fetched, 3), total=round(total, 3))
