"""Claims about a new template that would stop pods: it waits in a real API server until its pre-flight is good."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver.world import World, condition, kinds, namespace, until, world
from verticalmodel.kube import resources
from verticalmodel.kube.resources import Key

__all__ = ["kinds", "namespace", "world"]  # fixtures

pytestmark = pytest.mark.apiserver

OLD, NEW, OTHER = "pvc://claim/model.onnx", "pvc://claim/newer.onnx", "pvc://claim/another.onnx"


async def change(world: World, uri: str = NEW, **rollout: str) -> None:
    """A model with one pod whose rollout stops it first."""
    await world.create(replicas=1, source={"uri": uri}, rollout={"surge": False, **rollout})


async def deployments(world: World) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The one that serves, and the pre-flights."""
    found = await world.children("Deployment")
    trying = [one for one in found if one["metadata"]["labels"]["app.kubernetes.io/component"] == "preflight"]
    [serving] = [one for one in found if one not in trying]
    return serving, trying


async def pod_of(world: World, deployment: dict[str, Any], status: dict[str, Any]) -> Key:
    """The pod that the Deployment's ReplicaSet has made, with the status that a kubelet would report."""
    labels = deployment["spec"]["selector"]["matchLabels"]
    async with asyncio.timeout(20):
        while not (found := (await world.user.list(resources.PODS, world.namespace, labels=labels)).items):  # noqa: ASYNC110 - the controllers' pace
            await asyncio.sleep(0.05)
    key = resources.key_of(found[0])
    await world.user.patch_merge(resources.PODS, key, {"status": status}, subresource="status")
    return key


def ended(name: str, code: int, message: str) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "message": message}}
    return {"name": name, "state": state, "image": "i", "imageID": "sha256:1", "ready": False, "restartCount": 0}


async def serving(world: World) -> Key:
    """A model one of whose pods serves."""
    await change(world, OLD)
    key = Key(world.namespace, "m")
    await world.settle(key)
    deployment, _ = await deployments(world)
    pod = await pod_of(world, deployment, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
    await until(lambda: (seen := world.caches.pods.get(pod)) is not None and seen.observed.ready)
    return key


async def tried(world: World, *, code: int, report: str) -> None:
    """The pre-flight's pod, once its init container has ended; both images are there."""
    _, [trial] = await deployments(world)
    status = {
        "initContainerStatuses": [ended("unseal", code, report)],
        "containerStatuses": [ended(name, 128, "no such file") for name in ("server", "guard")] if code == 0 else [],
    }
    pod = await pod_of(world, trial, status)
    await until(lambda: (seen := world.caches.preflights.get(pod)) is not None and seen.observed.delivery is not None)


async def test_a_new_template_waits_for_its_pre_flight_and_takes_over_once_it_is_good(world: World) -> None:
    key = await serving(world)
    before, _ = await deployments(world)
    await change(world)
    model = await world.settle(key)
    held, [_] = await deployments(world)
    assert held["spec"]["template"] == before["spec"]["template"]
    assert condition(model, "Progressing") == ("True", "Preflight")
    await tried(world, code=0, report='{"reason": "Found"}')
    model = await world.settle(key)
    after, trying = await deployments(world)
    args = after["spec"]["template"]["spec"]["initContainers"][0]["args"]
    assert (f"--source={NEW}" in args, "--check" in args, trying) == (True, False, [])
    # No node is in this tier.
    assert condition(model, "Progressing") == ("True", "Unschedulable")
    assert [
        one["metadata"]["labels"]["app.kubernetes.io/component"] for one in await world.children("NetworkPolicy")
    ] == ["policy"]


async def test_a_template_that_would_not_come_up_stops_nothing_and_every_way_out_works(world: World) -> None:
    key = await serving(world)
    before, _ = await deployments(world)
    await change(world)
    await world.settle(key)
    await tried(world, code=1, report='{"reason": "SourceNotFound", "message": "newer.onnx: No such file"}')
    model = await world.settle(key)
    held, [failed] = await deployments(world)
    assert held["spec"]["template"] == before["spec"]["template"]
    assert condition(model, "Progressing") == ("False", "PreflightFailed")
    [said] = [one["message"] for one in model["status"]["conditions"] if one["type"] == "Progressing"]
    assert "spec.source: SourceNotFound: newer.onnx: No such file" in said
    await change(world, OTHER)
    await world.settle(key)
    _, [other] = await deployments(world)
    assert other["metadata"]["name"] != failed["metadata"]["name"], "another change is tried anew"
    await change(world, OLD)
    model = await world.settle(key)
    back, trying = await deployments(world)
    assert (back["spec"]["template"], trying) == (before["spec"]["template"], [])
    assert condition(model, "Progressing")[1] != "PreflightFailed"
    await change(world, NEW, preflight="Skip")
    await world.settle(key)
    skipped, trying = await deployments(world)
    assert f"--source={NEW}" in skipped["spec"]["template"]["spec"]["initContainers"][0]["args"]
    assert trying == []


async def test_scaling_is_not_held_back_with_the_template(world: World) -> None:
    key = await serving(world)
    await change(world)
    await world.settle(key)
    await world.create(replicas=3, source={"uri": NEW}, rollout={"surge": False})
    await world.settle(key)
    held, [_] = await deployments(world)
    assert held["spec"]["replicas"] == 3
    assert f"--source={OLD}" in held["spec"]["template"]["spec"]["initContainers"][0]["args"]
