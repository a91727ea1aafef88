"""Slots: so many at once, and nobody holds more than a share of them."""

from __future__ import annotations

import asyncio

import pytest

from verticalmodel.probe.slots import Slots


class Crowd:
    """Tasks that hold a slot until they are let go, and which of them hold one."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.over = asyncio.Event()
        self.holding: list[str] = []

    async def hold(self, owner: str) -> None:
        async with self._slots.of(owner):
            self.holding.append(owner)
            await self.over.wait()

    async def settled(self) -> list[str]:
        for _ in range(10):
            await asyncio.sleep(0)
        return sorted(self.holding)


async def test_who_answers_slowly_holds_his_share_and_no_more() -> None:
    crowd = Crowd(Slots(8, parts=4))
    async with asyncio.TaskGroup() as group:
        for owner in ("slow",) * 9 + ("other",):
            group.create_task(crowd.hold(owner))
        assert await crowd.settled() == ["other", "slow", "slow"]
        crowd.over.set()
    assert len(crowd.holding) == 10


async def test_all_together_hold_the_total_and_no_more() -> None:
    crowd = Crowd(Slots(4, parts=4))
    async with asyncio.TaskGroup() as group:
        for number in range(7):
            group.create_task(crowd.hold(f"owner-{number}"))
        assert await crowd.settled() == [f"owner-{number}" for number in range(4)]
        crowd.over.set()
    assert len(crowd.holding) == 7


@pytest.mark.parametrize("total", [1, 2, 3])
async def test_everybody_has_one_slot_at_least(total: int) -> None:
    crowd = Crowd(Slots(total, parts=4))
    async with asyncio.TaskGroup() as group:
        group.create_task(crowd.hold("a"))
        group.create_task(crowd.hold("a"))
        assert await crowd.settled() == ["a"]
        crowd.over.set()
