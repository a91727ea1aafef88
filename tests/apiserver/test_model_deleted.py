"""Claims about models that are going or gone, with or without a word of it."""

from __future__ import annotations

import asyncio

import pytest

from apiserver.world import KINDS, World, condition, kinds, namespace, world
from verticalmodel.kube import resources
from verticalmodel.kube.resources import Key

__all__ = ["kinds", "namespace", "world"]  # fixtures

pytestmark = pytest.mark.apiserver


async def test_a_model_that_somebodys_finalizer_holds_loses_every_true(world: World) -> None:
    key = await world.create()
    await world.settle(key)
    await world.user.patch_merge(resources.VERTICAL_MODELS, key, {"metadata": {"finalizers": ["example.com/hold"]}})
    await world.user.delete(resources.VERTICAL_MODELS, key)
    try:
        model = await world.reconcile(key)
        assert condition(model, "Ready") == ("False", "Deleting")
        assert condition(model, "Progressing") == ("False", "Deleting")
        assert {clause["verdict"] for clause in model["status"]["clauses"]} == {"Unknown"}
    finally:
        await world.user.patch_merge(resources.VERTICAL_MODELS, key, {"metadata": {"finalizers": None}})


async def test_a_model_that_went_away_unseen_is_not_made_again_for_ever(world: World) -> None:
    key = await world.create()
    await world.settle(key)
    await world.user.delete(resources.VERTICAL_MODELS, key)
    # The collector looks for new kinds every half a minute only.
    async with asyncio.timeout(90):
        while world.caches.child(resources.SERVICES, key) is not None:  # noqa: ASYNC110 - the collector's pace
            await asyncio.sleep(0.05)
    # No event told: the caches still hold it, and the pass that would make its Service anew finds out.
    world.writes.clear()
    await world.reconciler(key)
    assert world.caches.model(key) is None
    assert world.writes == []


async def test_children_of_a_previous_model_of_the_name_are_waited_for(world: World) -> None:
    """The garbage collector removes them; taking them over would hand a new owner somebody else's pods."""
    key = await world.create()
    await world.settle(key)
    await world.user.delete(resources.VERTICAL_MODELS, key)
    old = {item["metadata"]["uid"] for kind in KINDS for item in await world.children(kind)}
    await world.create()
    await until_settled_with_other_children(world, key, old)


async def until_settled_with_other_children(world: World, key: Key, old: set[str]) -> None:
    async with asyncio.timeout(60):
        while True:
            model = await world.reconcile(key)
            new = {item["metadata"]["uid"] for kind in KINDS for item in await world.children(kind)}
            if len(new) == len(KINDS) and not new & old and condition(model, "Progressing")[1] != "Waiting":
                return
            await asyncio.sleep(0.2)
