"""How many conversations run at once: so many in all, and no more than a share of them with one namespace's pods.

Who answers slowly holds its slot for as long; with a share of its own it keeps nobody else from being asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

__all__ = ["Slots"]


class Slots:
    """`total` slots, of which one owner has at most one part in `parts`, and one at least."""

    def __init__(self, total: int, *, parts: int) -> None:
        self._all = asyncio.Semaphore(total)
        self._share = max(total // parts, 1)
        # An owner is known for as long as somebody of its holds a slot or waits for one.
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, owner: str) -> AsyncIterator[None]:
        """Hold a slot of this owner's for the block; waits for one."""
        own = self._own.get(owner)
        if own is None:
            own = self._own[owner] = asyncio.Semaphore(self._share)
        async with own, self._all:
            yield
