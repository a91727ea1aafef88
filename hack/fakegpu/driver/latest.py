"""A value and its changes, for streams that must show the newest and need not show every one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Holds one value; any number of followers wait for the next."""

    def __init__(self, value: T) -> None:
        self._changed = asyncio.Event()
        self.value = value

    def put(self, value: T) -> None:
        """Make `value` the newest; followers wake only where it differs."""
        if value != self.value:
            self.value = value
            self._changed.set()
            self._changed = asyncio.Event()

    async def follow(self, every: float | None = None) -> AsyncGenerator[T, None]:
        """The value now, and again after each change; at least once per `every` seconds where that is given."""
        while True:
            changed = self._changed
            yield self.value
            with suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await changed.wait()
