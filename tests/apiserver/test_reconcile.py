"""Claims about one pass, against a real API server: every child, refusals, and silence when nothing changed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from apiserver.world import KINDS, World, condition, kinds, namespace, operator_in, until, world
from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.kube.resources import Key, Resource

__all__ = ["kinds", "namespace", "world"]  # fixtures

pytestmark = pytest.mark.apiserver

QUOTAS = Resource("", "v1", "resourcequotas", namespaced=True, kind="ResourceQuota")


async def test_a_first_pass_creates_every_child_and_a_second_writes_nothing(world: World) -> None:
    key = await world.create()
    model = await world.settle(key)
    for kind in KINDS:
        owners = [child["metadata"]["ownerReferences"] for child in await world.children(kind)]
        assert [[ref["uid"] for ref in refs] for refs in owners] == [[model["metadata"]["uid"]]]
    assert condition(model, "Accepted") == ("True", "Planned")
    assert condition(model, "Ready")[0] == "False"
    assert condition(model, "TransportEncrypted") == ("Unknown", "NotMeasured")
    assert model["status"]["met"] == "0/34"
    assert len(model["status"]["clauses"]) == 34


async def test_our_manager_owns_every_field_it_rendered_so_rest_is_real(world: World) -> None:
    """The walk over fieldsV1 agrees with the API server for every kind; else each pass would write again."""
    key = await world.create()
    await world.settle(key)
    assert {item["metadata"]["namespace"] for kind in KINDS for item in await world.children(kind)} == {world.namespace}
    assert world.writes == []


async def test_a_new_process_writes_nothing_over_what_it_finds(world: World, kinds: Path) -> None:
    key = await world.create()
    await world.settle(key)
    async with operator_in(kinds, world.namespace) as second:
        second.reconciler._certificates._authority = world.reconciler._certificates._authority  # noqa: SLF001 - the same CA, as after a restart
        await second.caught_up()
        await second.reconcile(key)
        assert second.writes == []


async def test_a_disruption_budget_goes_and_comes_with_the_second_pod(world: World) -> None:
    key = await world.create()
    await world.settle(key)
    for spec, count in (({"replicas": 1}, 0), ({"replicas": 2}, 1), ({"suspend": True}, 0)):
        await world.create(**spec)
        await world.settle(key)
        assert len(await world.children("PodDisruptionBudget")) == count, spec


async def test_a_strangers_service_of_the_models_name_is_refused_and_left_alone(world: World) -> None:
    stranger = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "m", "namespace": world.namespace},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "other"}},
    }
    await world.user.apply(resources.SERVICES, stranger)
    key = await world.create()
    model = await world.settle(key)
    assert condition(model, "Accepted") == ("False", "NameTaken")
    assert await world.children("Deployment") == []
    await world.user.delete(resources.SERVICES, key)
    model = await world.settle(key)
    assert condition(model, "Accepted") == ("True", "Planned")


async def test_a_wrong_runtime_is_a_condition_and_the_way_back_works(world: World) -> None:
    key = await world.create(runtime={"name": "nowhere"})
    model = await world.settle(key)
    assert condition(model, "Accepted") == ("False", "RuntimeNotFound")
    assert condition(model, "UpdatePending") == ("Unknown", "NotAccepted")
    await world.create()
    model = await world.settle(key)
    assert condition(model, "Accepted") == ("True", "Planned")


async def test_a_change_between_true_and_false_is_told_once_as_an_event(world: World) -> None:
    key = await world.create()
    await world.settle(key)
    assert await told(world) == [], "nothing changed for the worse or the better yet"
    await world.create(runtime={"name": "nowhere"})
    await world.settle(key)
    await world.create()
    model = await world.settle(key)
    assert await told(world) == [
        ("Accepted", "Warning", "RuntimeNotFound", model["metadata"]["uid"]),
        ("Accepted", "Normal", "Planned", model["metadata"]["uid"]),
    ]


async def told(world: World) -> list[tuple[str, ...]]:
    """Every Event about the model, oldest first."""
    listed = (await world.user.list(resources.EVENTS, world.namespace)).items
    about = [one for one in listed if one["regarding"]["kind"] == "VerticalModel"]
    about.sort(key=lambda one: one["eventTime"])
    return [(one["action"], one["type"], one["reason"], one["regarding"]["uid"]) for one in about]


async def test_a_child_that_the_server_refuses_is_a_condition_with_its_reason_and_the_way_back_works(
    world: World,
) -> None:
    """The CRD cannot know every rule of core/v1: one value too many for Gt is refused when the Deployment is made."""
    requirement = {"key": "rack", "operator": "Gt", "values": ["1", "2"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    key = await world.create(pod={"affinity": affinity})
    model = await world.reconcile(key)
    assert condition(model, "Progressing") == ("False", "ChildRefused")
    assert condition(model, "Accepted") == ("True", "Planned")
    [said] = [one["message"] for one in model["status"]["conditions"] if one["type"] == "Progressing"]
    assert "matchExpressions[0].values: " in said
    await world.create()
    model = await world.settle(key)
    assert condition(model, "Progressing")[0] == "True"
    assert len(await world.children("Deployment")) == 1


async def test_a_quota_that_refuses_keeps_nothing_from_being_judged(world: World) -> None:
    key = await world.create()
    await world.settle(key)
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": world.namespace},
        "spec": {"hard": {"count/services": "0"}},
    }
    await world.user.create(QUOTAS, quota)
    [service] = await world.children("Service")
    await world.user.delete(resources.SERVICES, resources.key_of(service))
    await world.caught_up()
    model = await world.reconcile(key)
    async with asyncio.timeout(20):
        while condition(model, "Progressing") != ("False", "ChildRefused"):
            await asyncio.sleep(0.2)  # the quota controller's pace
            model = await world.reconcile(key)
    assert condition(model, "TransportEncrypted")[0] == "Unknown"


async def test_a_deleted_certificate_secret_is_issued_again_while_pods_wait_for_it(world: World) -> None:
    key = await world.create()
    model = await world.settle(key)
    first = model["status"]["certificate"]["fingerprint"]
    secret = Key(world.namespace, names.child_name("m", "certificate"))
    assert await world.user.delete(resources.SECRETS, secret)
    pod = await waiting_pod(world, model)
    await until(lambda: world.caches.pods.get(pod) is not None)
    model = await world.reconcile(key)
    assert model["status"]["certificate"]["fingerprint"] != first
    assert await world.user.find(resources.SECRETS, secret) is not None


async def waiting_pod(world: World, model: dict[str, Any]) -> Key:
    """A pod of the model that never starts: no kubelet runs in this tier."""
    [deployment] = await world.children("Deployment")
    template = deployment["spec"]["template"]
    meta = {**template["metadata"], "name": "m-pod", "namespace": world.namespace}
    spec = {"containers": [{"name": "server", "image": "serving:1"}]}
    await world.user.create(resources.PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    return Key(world.namespace, "m-pod")
