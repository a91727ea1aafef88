"""What a kubelet would report of the pods that a model's Deployments get: no node is in this tier."""

from __future__ import annotations

import asyncio
from typing import Any

from apiserver.world import World, until
from verticalmodel.kube import resources
from verticalmodel.kube.resources import Key


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


async def serves(world: World, key: Key) -> None:
    """One of the model's pods becomes Ready."""
    await world.settle(key)
    deployment, _ = await deployments(world)
    pod = await pod_of(world, deployment, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
    await until(lambda: (seen := world.caches.pods.get(pod)) is not None and seen.observed.ready)


async def tried(world: World, *, code: int, report: str) -> None:
    """The pre-flight's pod, once its init container has ended; both images are there."""
    _, [trial] = await deployments(world)
    status = {
        "initContainerStatuses": [ended("unseal", code, report)],
        "containerStatuses": [ended(name, 128, "no such file") for name in ("server", "guard")] if code == 0 else [],
    }
    pod = await pod_of(world, trial, status)
    await until(lambda: (seen := world.caches.preflights.get(pod)) is not None and seen.observed.delivery is not None)
