"""Claims about a new template that would stop pods: it waits in a real API server until its pre-flight is good."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver.kubelet_reports import deployments, ended, pod_of, serves, tried
from apiserver.world import World, condition, kinds, namespace, until, world
from verticalmodel.kube.resources import Key

__all__ = ["kinds", "namespace", "world"]  # fixtures

pytestmark = pytest.mark.apiserver

OLD, NEW, OTHER = "pvc://claim/model.onnx", "pvc://claim/newer.onnx", "pvc://claim/another.onnx"


async def change(world: World, uri: str = NEW, **rollout: str) -> None:
    """A model with one pod whose rollout stops it first."""
    await world.create(replicas=1, source={"uri": uri}, rollout={"surge": False, **rollout})


async def policies(world: World) -> list[str]:
    """Components of the NetworkPolicies."""
    found = await world.children("NetworkPolicy")
    return sorted(one["metadata"]["labels"]["app.kubernetes.io/component"] for one in found)


async def until_policies(world: World, key: Key, *components: str) -> None:
    """Repeat the pass, as the end of a pre-flight's pod makes the operator do, until only these are left."""
    async with asyncio.timeout(20):
        while await policies(world) != list(components):
            await world.settle(key)
            await asyncio.sleep(0.05)  # the garbage collector's pace


async def serving(world: World) -> Key:
    """A model one of whose pods serves."""
    await change(world, OLD)
    key = Key(world.namespace, "m")
    await serves(world, key)
    return key


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
    await until_policies(world, key, "policy")


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


async def test_a_first_template_that_never_came_up_makes_way_for_the_corrected_one(world: World) -> None:
    """Surge is the default without GPUs; it is there for what serves. No pod becomes Ready in this tier."""

    async def rolling() -> dict[str, Any]:
        deployment, _ = await deployments(world)
        found: dict[str, Any] = deployment["spec"]["strategy"]["rollingUpdate"]
        return found

    await world.create(replicas=1, source={"uri": OLD})
    key = Key(world.namespace, "m")
    await world.settle(key)
    deployment, _ = await deployments(world)
    status = {"phase": "Pending", "initContainerStatuses": [ended("unseal", 1, "")]}
    failing = await pod_of(world, deployment, status)
    await until(lambda: (seen := world.caches.pods.get(failing)) is not None and seen.observed.preparing != ())
    await world.settle(key)
    assert await rolling() == {"maxSurge": 1, "maxUnavailable": 0}
    await world.create(replicas=1, source={"uri": NEW}, rollout={"surge": True})
    await world.settle(key)
    await until(lambda: len(world.caches.pods.group((key.namespace, key.name))) == 2)
    assert world.caches.pods.get(failing) is not None, "who wishes for surge gets it"
    await world.create(replicas=1, source={"uri": NEW})
    await world.settle(key)
    await until(lambda: (seen := world.caches.pods.get(failing)) is None or seen.observed.deleting)
    await world.settle(key)
    assert await rolling() == {"maxSurge": 1, "maxUnavailable": 0}


async def test_scaling_is_not_held_back_with_the_template(world: World) -> None:
    key = await serving(world)
    await change(world)
    await world.settle(key)
    await world.create(replicas=3, source={"uri": NEW}, rollout={"surge": False})
    await world.settle(key)
    held, [_] = await deployments(world)
    assert held["spec"]["replicas"] == 3
    assert f"--source={OLD}" in held["spec"]["template"]["spec"]["initContainers"][0]["args"]


async def test_what_serves_keeps_its_way_to_its_source_while_a_template_with_another_one_waits(world: World) -> None:
    def to(cidr: str) -> dict[str, Any]:
        egress = [{"cidr": cidr}]
        return {"uri": "https://models.example.org/m.onnx", "digest": "sha256:" + "1" * 64, "egress": egress}

    async def reached() -> dict[str, list[str]]:
        found = await world.children("NetworkPolicy")
        rules = {
            one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"].get("egress", []) for one in found
        }
        return {
            name: [peer["ipBlock"]["cidr"] for rule in told for peer in rule["to"] if "ipBlock" in peer]
            for name, told in rules.items()
        }

    old, new = to("192.0.2.0/25"), to("192.0.2.128/25")
    await world.create(replicas=1, source=old, rollout={"surge": False})
    key = Key(world.namespace, "m")
    await serves(world, key)
    await world.create(replicas=1, source=new, rollout={"surge": False})
    model = await world.settle(key)
    assert condition(model, "Progressing") == ("True", "Preflight")
    assert await reached() == {"policy": ["192.0.2.0/25"], "preflight": ["192.0.2.128/25"]}
    await tried(world, code=0, report='{"reason": "Found"}')
    await world.settle(key)
    assert (await reached())["policy"] == ["192.0.2.128/25"]


async def test_a_model_that_is_refused_meanwhile_tries_nothing_any_more(world: World) -> None:
    key = await serving(world)
    await change(world)
    await world.settle(key)
    assert await policies(world) == ["policy", "preflight"]
    await world.create(replicas=1, source={"uri": NEW}, runtime={"name": "absent"}, rollout={"surge": False})
    model = await world.settle(key)
    _, trying = await deployments(world)
    assert (condition(model, "Accepted"), trying) == (("False", "RuntimeNotFound"), [])
    await until_policies(world, key, "policy")
