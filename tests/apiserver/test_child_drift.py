"""Claims about children that somebody else changed or removed: the next passes undo it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from apiserver.world import KINDS, World, kinds, namespace, world
from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.shell.children import BY_KIND

__all__ = ["kinds", "namespace", "world"]  # fixtures

pytestmark = pytest.mark.apiserver


Vandal = Callable[[World, dict[str, Any]], Awaitable[object]]


async def sidecar(world: World, child: dict[str, Any]) -> None:
    add = {"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "spy", "image": "spy:1"}}
    await world.user.patch_json(resources.DEPLOYMENTS, resources.key_of(child), [add])


async def host_network(world: World, child: dict[str, Any]) -> None:
    add = {"op": "add", "path": "/spec/template/spec/hostNetwork", "value": True}
    await world.user.patch_json(resources.DEPLOYMENTS, resources.key_of(child), [add])


async def other_image(world: World, child: dict[str, Any]) -> None:
    change = {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "evil:1"}
    await world.user.patch_json(resources.DEPLOYMENTS, resources.key_of(child), [change])


async def no_read_only_root(world: World, child: dict[str, Any]) -> None:
    drop = {"op": "remove", "path": "/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem"}
    await world.user.patch_json(resources.DEPLOYMENTS, resources.key_of(child), [drop])


async def environment(world: World, child: dict[str, Any]) -> None:
    add = {"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": {"name": "LD_PRELOAD", "value": "x"}}
    await world.user.patch_json(resources.DEPLOYMENTS, resources.key_of(child), [add])


async def scaled(world: World, child: dict[str, Any]) -> None:
    await world.user.patch_merge(resources.DEPLOYMENTS, resources.key_of(child), {"spec": {"replicas": 7}})


async def open_policy(world: World, child: dict[str, Any]) -> None:
    await world.user.patch_merge(
        resources.NETWORK_POLICIES, resources.key_of(child), {"spec": {"ingress": [{}], "egress": [{}]}}
    )


async def plain_port(world: World, child: dict[str, Any]) -> None:
    add = {"op": "add", "path": "/spec/ports/-", "value": {"name": "plain", "port": 80, "targetPort": 8080}}
    await world.user.patch_json(resources.SERVICES, resources.key_of(child), [add])


async def forced_apply(world: World, child: dict[str, Any]) -> None:
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": child["metadata"]["name"], "namespace": world.namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]},
    }
    await world.user.apply(resources.NETWORK_POLICIES, body, manager="eve")


async def image_under_our_name(world: World, child: dict[str, Any]) -> None:
    """The applied hash, the digest and the owner of every field stay as they were: only the image is another."""
    live = await world.user.get(resources.DEPLOYMENTS, resources.key_of(child))
    meta = {key: live["metadata"][key] for key in ("name", "namespace", "labels", "annotations", "ownerReferences")}
    meta["annotations"].pop("deployment.kubernetes.io/revision", None)
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": live["spec"]}
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "stub:1"
    await world.user.apply(resources.DEPLOYMENTS, body, manager=names.MANAGER_CHILDREN)


async def sidecar_under_our_name(world: World, child: dict[str, Any]) -> None:
    add = {"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "spy", "image": "spy:1"}}
    await world.user.patch_json(resources.DEPLOYMENTS, resources.key_of(child), [add], manager=names.MANAGER_CHILDREN)


async def policy_under_our_name(world: World, child: dict[str, Any]) -> None:
    live = await world.user.get(resources.NETWORK_POLICIES, resources.key_of(child))
    meta = {key: live["metadata"][key] for key in ("name", "namespace", "labels", "annotations", "ownerReferences")}
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta}
    spec = {**live["spec"], "ingress": [{}], "egress": [{}]}
    await world.user.apply(resources.NETWORK_POLICIES, {**body, "spec": spec}, manager=names.MANAGER_CHILDREN)


async def no_labels(world: World, child: dict[str, Any]) -> None:
    labels = {names.LABEL_MODEL_UID: None}
    await world.user.patch_merge(resources.SERVICES, resources.key_of(child), {"metadata": {"labels": labels}})


async def deleted(world: World, child: dict[str, Any]) -> None:
    await world.user.delete(BY_KIND[child["kind"]], resources.key_of(child))


@pytest.mark.parametrize(
    ("kind", "vandal"),
    [
        ("Deployment", sidecar),
        ("Deployment", host_network),
        ("Deployment", other_image),
        ("Deployment", no_read_only_root),
        ("Deployment", environment),
        ("Deployment", scaled),
        ("Deployment", image_under_our_name),
        ("Deployment", sidecar_under_our_name),
        ("NetworkPolicy", policy_under_our_name),
        ("NetworkPolicy", open_policy),
        ("NetworkPolicy", forced_apply),
        ("Service", plain_port),
        ("Service", no_labels),
        *((kind, deleted) for kind in KINDS),
    ],
)
async def test_what_somebody_did_to_a_child_is_undone(world: World, kind: str, vandal: Vandal) -> None:
    key = await world.create()
    await world.settle(key)
    [before] = await world.children(kind)
    await vandal(world, {"kind": kind, **before})
    await world.settle(key)
    [after] = await world.children(kind)
    assert comparable(after) == comparable(before)


def comparable(child: dict[str, Any]) -> dict[str, Any]:
    """The parts of a child that we decide; what the server counts or allots is left out."""
    meta = {part: child["metadata"].get(part) for part in ("name", "labels", "ownerReferences")}
    spec = {part: value for part, value in child.get("spec", {}).items() if part not in ("clusterIP", "clusterIPs")}
    return {"metadata": meta, "spec": spec, "data": child.get("data"), "template": child.get("template")}
