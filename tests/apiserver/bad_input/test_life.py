"""Deletion in each phase, of the namespace too; and what somebody does to children by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from apiserver.bad_input.conftest import WITHIN, Land
from recording import BadInput, Finding
from verticalmodel.kube import resources
from verticalmodel.kube.resources import Key
from verticalmodel.shell.children import BY_KIND

pytestmark = pytest.mark.apiserver


async def unseen(land: Land, key: Key) -> None:
    """Deleted in the moment in which it is made."""


async def refused(land: Land, key: Key) -> None:
    await land.apply(key.name, runtime={"name": "nowhere"})
    await land.condition(key, "Accepted", "False", "RuntimeNotFound")


async def starting(land: Land, key: Key) -> None:
    await land.pods(key, at_least=1)


async def serving(land: Land, key: Key) -> None:
    await land.serving(key)


async def suspended(land: Land, key: Key) -> None:
    await land.apply(key.name, suspend=True)
    await land.condition(key, "Ready", "False", "Suspended")


async def rolling_out(land: Land, key: Key) -> None:
    await land.serving(key)
    await land.apply(key.name, resources={"memory": "5Gi"})
    await land.pods(key, at_least=2)


PHASES = {
    "unseen": unseen,
    "refused": refused,
    "starting": starting,
    "serving": serving,
    "suspended": suspended,
    "rolling-out": rolling_out,
}


async def test_a_model_that_is_deleted_in_any_phase_leaves_nothing(land: Land, bad_input: BadInput) -> None:
    """All phases at once, because the garbage collector takes its time."""

    async def deleted_in(phase: str) -> tuple[Key, Finding]:
        key = await land.apply(phase)
        await PHASES[phase](land, key)
        there = sorted({one.partition("/")[0] for one in await land.left(of=phase)})
        await land.user.delete(resources.VERTICAL_MODELS, key)
        return key, Finding("kinds that were there", there)

    async with asyncio.TaskGroup() as group:
        tasks = {phase: group.create_task(deleted_in(phase)) for phase in PHASES}
    left = await land.all_gone()
    for phase, task in tasks.items():
        key, there = task.result()
        await land.apply(phase)
        ended = await land.serving(key)
        produced = [there, Finding("left a while after", left)]
        bad_input.tried("deletion", f"deleted while {phase}", produced=produced, way_back="apply it again", ended=ended)


async def test_a_namespace_that_is_deleted_under_a_running_model_goes(land: Land, bad_input: BadInput) -> None:
    key = await land.apply()
    await land.serving(key)
    space = Key("", land.namespace)
    start = land.operator.size()
    await land.user.delete(resources.NAMESPACES, space)
    async with asyncio.timeout(60):
        while (found := await land.user.find(resources.NAMESPACES, space)) is not None:  # noqa: ASYNC110 - its pace
            await asyncio.sleep(0.1)
    warned = {line["event"] for line in land.operator.lines(start) if line["level"] in ("warning", "error")}
    produced = [
        Finding("namespaces of that name a while after", [] if found is None else [found["metadata"]["name"]]),
        Finding("warnings in the operator's log", sorted(warned)),
    ]
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.name}}
    await land.user.create(resources.NAMESPACES, body)
    await land.apply()
    ended = await land.serving(key)
    bad_input.tried(
        "namespace-deleted", "kubectl delete namespace", produced=produced, way_back="make both again", ended=ended
    )


Vandal = Callable[[Land, dict[str, Any]], Awaitable[object]]


async def other_image(land: Land, child: dict[str, Any]) -> None:
    change = {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "evil:1"}
    await land.user.patch_json(resources.DEPLOYMENTS, resources.key_of(child), [change])


async def open_policy(land: Land, child: dict[str, Any]) -> None:
    change = {"spec": {"ingress": [{}], "egress": [{}]}}
    await land.user.patch_merge(resources.NETWORK_POLICIES, resources.key_of(child), change)


async def sidecar(land: Land, child: dict[str, Any]) -> None:
    add = {"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "spy", "image": "spy:1"}}
    await land.user.patch_json(resources.DEPLOYMENTS, resources.key_of(child), [add])


async def deleted(land: Land, child: dict[str, Any]) -> None:
    await land.user.delete(BY_KIND[child["kind"]], resources.key_of(child))


HANDS: dict[str, tuple[str, str, Vandal]] = {
    "another image in the Deployment": ("child-edited", "Deployment", other_image),
    "an open NetworkPolicy": ("child-edited", "NetworkPolicy", open_policy),
    "a container beside the server": ("foreign-sidecar", "Deployment", sidecar),
    "the Deployment": ("child-deleted", "Deployment", deleted),
    "the Service": ("child-deleted", "Service", deleted),
    "the NetworkPolicy": ("child-deleted", "NetworkPolicy", deleted),
}


@pytest.mark.parametrize("what", HANDS)
async def test_what_somebody_does_to_a_child_is_undone_and_the_model_serves(
    land: Land, bad_input: BadInput, what: str
) -> None:
    case, kind, vandal = HANDS[what]
    key = await land.apply()
    await land.serving(key)
    [before] = await land.children(kind)
    start = land.operator.size()
    await vandal(land, {**before, "kind": kind})
    after = await restored(land, kind, before)
    removed = [line["fields"] for line in land.operator.lines(start) if line.get("event") == "foreign fields removed"]
    produced = [
        Finding("made anew" if after["metadata"]["uid"] != before["metadata"]["uid"] else "put back", [kind]),
        *(Finding("removed, as the operator's log says", fields) for fields in removed),
    ]
    ended = await land.serving(key)
    bad_input.tried(case, what, produced=produced, way_back="none is needed", ended=ended)


async def restored(land: Land, kind: str, before: dict[str, Any]) -> dict[str, Any]:
    """The child, once somebody has changed it and it is what it was."""
    known = (before["metadata"]["uid"], before["metadata"]["resourceVersion"])
    async with asyncio.timeout(WITHIN):
        while True:
            for after in await land.children(kind):
                mark = (after["metadata"]["uid"], after["metadata"]["resourceVersion"])
                if mark != known and _decided(after) == _decided(before):
                    return after
            await asyncio.sleep(0.05)


def _decided(child: dict[str, Any]) -> dict[str, Any]:
    """What we decide of a child; what the server allots is left out."""
    return {part: value for part, value in child["spec"].items() if part not in ("clusterIP", "clusterIPs")}
