"""Claims about which template pods are made of: what changes it, and what only offers an update."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from apiserver.world import PLATFORM, World, condition, kinds, namespace, operator_in, until, world
from verticalmodel.kube import resources
from verticalmodel.kube.resources import Key

__all__ = ["kinds", "namespace", "world"]  # fixtures

pytestmark = pytest.mark.apiserver


async def test_a_restart_asked_for_by_kubectl_is_left_alone(world: World) -> None:
    key = await world.create()
    await world.settle(key)
    [deployment] = await world.children("Deployment")
    stamp = {"kubectl.kubernetes.io/restartedAt": "2026-11-23T00:00:00Z"}
    change = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
    await world.user.patch_merge(resources.DEPLOYMENTS, resources.key_of(deployment), change, manager="kubectl-rollout")
    await world.settle(key)
    [after] = await world.children("Deployment")
    assert stamp.items() <= after["spec"]["template"]["metadata"]["annotations"].items()


async def test_a_newer_operator_restarts_nothing_until_the_user_takes_the_update(world: World, kinds: Path) -> None:
    key = await world.create()
    await world.settle(key)
    [before] = await world.children("Deployment")
    async with operator_in(kinds, world.namespace, replace(PLATFORM, guard_image="guard:2")) as newer:
        model = await newer.settle(key)
        assert condition(model, "UpdatePending") == ("True", "NewerTemplate")
        await newer.create(replicas=3)  # scaling takes no update
        model = await newer.settle(key)
        [scaled_only] = await newer.children("Deployment")
        assert scaled_only["spec"]["template"] == before["spec"]["template"]
        assert scaled_only["spec"]["replicas"] == 3
        await newer.create(replicas=3, update="now")
        model = await newer.settle(key)
        [after] = await newer.children("Deployment")
    assert condition(model, "UpdatePending") == ("False", "UpToDate")
    assert after["spec"]["template"]["spec"]["initContainers"][1]["image"] == "guard:2"


async def test_pods_have_users_of_their_own_once_the_claims_volume_takes_them(world: World) -> None:
    """Known by then, it is offered; the template in force changes with the user's word only."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"{world.namespace}-node"}}
    node["metadata"]["labels"] = {"kubernetes.io/os": "linux"}  # type: ignore[index]
    handlers = [{"name": "", "features": {"userNamespaces": True}}]
    await world.user.create(resources.NODES, node)
    try:
        change = {"status": {"runtimeHandlers": handlers}}
        await world.user.patch_merge(resources.NODES, resources.key_of(node), change, subresource="status")
        await until(lambda: all(one.handlers for one in world.caches.nodes.values.values()))
        key = await world.create()
        model = await world.settle(key)
        assert (await host_users(world), condition(model, "UpdatePending")[0]) == (None, "False"), "no claim yet"
        await volume_behind(world, "claim")
        model = await world.settle(key)
        assert (await host_users(world), condition(model, "UpdatePending")[0]) == (None, "True")
        await world.create(update="now")
        model = await world.settle(key)
        assert (await host_users(world), condition(model, "UpdatePending")[0]) == (False, "False")
    finally:
        await world.user.delete(resources.NODES, resources.key_of(node))
        await world.user.delete(resources.PERSISTENT_VOLUMES, Key("", world.namespace))


async def host_users(world: World) -> bool | None:
    [deployment] = await world.children("Deployment")
    found: bool | None = deployment["spec"]["template"]["spec"].get("hostUsers")
    return found


async def volume_behind(world: World, claim: str) -> None:
    """A claim that is bound to a folder of a node."""
    wish = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": world.namespace},
        "spec": {**wish, "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/data"}},
    }
    await world.user.create(resources.PERSISTENT_VOLUMES, volume)
    body = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim, "namespace": world.namespace},
        "spec": {**wish, "resources": {"requests": {"storage": "1Gi"}}, "volumeName": world.namespace},
    }
    await world.user.create(resources.PERSISTENT_VOLUME_CLAIMS, body)
