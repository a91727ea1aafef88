"""Claims about the route of an exposed model, against a real API server with Traefik's own CRD."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from apiserver.conftest import define
from apiserver.world import PLATFORM, ROOT, World, condition, kinds, namespace, operator_in, until
from verticalmodel.api.labels import LabelSelector
from verticalmodel.facts import IngressController
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.resources import Key

__all__ = ["kinds", "namespace"]  # fixtures

pytestmark = pytest.mark.apiserver

CONTROLLER = "traefik.io/ingress-controller"
HAPROXY = "haproxy.org/ingress-controller/inner"
CRD = ROOT / "tests/e2e/data/traefik_ingressroutetcp_crd.yaml"
NAMED = replace(
    PLATFORM,
    ingress_controllers=(
        IngressController(
            CONTROLLER, namespaces=LabelSelector(match_labels={"kubernetes.io/metadata.name": "traefik"})
        ),
        IngressController(HAPROXY, cidrs=("192.0.2.0/24",)),
    ),
)


@pytest.fixture
async def world(kinds: Path, namespace: str) -> AsyncIterator[World]:
    async with Connection.open(kinds) as connection:
        user = ApiClient(connection, manager="user")
        await define(user, yaml.safe_load(CRD.read_text()))
        for name, controller in (("traefik", CONTROLLER), ("haproxy", HAPROXY)):
            body = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": name}}
            await user.apply(resources.INGRESS_CLASSES, {**body, "spec": {"controller": controller}})
    async with operator_in(kinds, namespace, NAMED) as made:
        await until(lambda: made.caches.traefik.served)
        yield made


def wish(namespace: str, class_name: str = "traefik", name: str = "breast") -> dict[str, str]:
    """A host of the test's own."""
    return {"host": f"{name}.{namespace}.example.org", "className": class_name}


async def routes(world: World) -> list[tuple[str, str]]:
    """Kind and host of every route in the namespace."""
    found = [("Ingress", one["spec"]["rules"][0]["host"]) for one in await world.children("Ingress")]
    traefiks = [one["spec"]["routes"][0]["match"] for one in await world.children("IngressRouteTCP")]
    return found + [("IngressRouteTCP", match.split("`")[1]) for match in traefiks]


async def test_a_route_comes_changes_and_goes_with_the_spec_and_no_pod_is_touched(world: World) -> None:
    key = await world.create()
    before = await world.settle(key)
    inside = before["status"]["url"]
    digest, certificate = before["status"]["templateDigest"], before["status"]["certificate"]
    exposure = wish(world.namespace)
    await world.create(exposure=exposure)
    model = await world.settle(key)
    assert await routes(world) == [("IngressRouteTCP", exposure["host"])]
    assert model["status"]["url"] == f"https://{exposure['host']}"
    assert condition(model, "Exposed") == ("Unknown", "NotMeasured")
    assert model["status"]["certificate"]["host"] == exposure["host"]
    assert model["status"]["certificate"]["fingerprint"] != certificate["fingerprint"]
    for changed in (wish(world.namespace, "haproxy"), wish(world.namespace, "haproxy", "other")):
        await world.create(exposure=changed)
        await world.settle(key)
        assert await routes(world) == [("Ingress", changed["host"])]
    await world.create()
    model = await world.settle(key)
    assert await routes(world) == []
    assert (model["status"]["url"], condition(model, "Exposed")) == (inside, ("False", "ClusterInternal"))
    assert "host" not in model["status"]["certificate"]
    assert model["status"]["templateDigest"] == digest
    assert condition(model, "UpdatePending") == ("False", "UpToDate")


async def test_a_wrong_class_leaves_the_standing_route_and_a_host_nobody_asks_for_leaves_none(world: World) -> None:
    exposure = wish(world.namespace)
    key = await world.create(exposure=exposure)
    before = await world.settle(key)
    await world.create(exposure={**exposure, "className": "gone"})
    model = await world.settle(key)
    assert model["status"]["certificate"] == before["status"]["certificate"]
    assert condition(model, "Accepted") == ("False", "IngressClassNotFound")
    assert await routes(world) == [("IngressRouteTCP", exposure["host"])]
    assert model["status"]["url"] == f"https://{exposure['host']}"
    await world.create(exposure={**wish(world.namespace, "gone", "other")})
    model = await world.settle(key)
    assert (await routes(world), model["status"]["url"]) == ([], f"https://m.{world.namespace}.svc")
    assert len(await world.children("Deployment")) == 1


async def test_what_somebody_did_to_a_route_is_undone(world: World) -> None:
    key = await world.create(exposure=wish(world.namespace))
    await world.settle(key)
    [before] = await world.children("IngressRouteTCP")
    await world.user.patch_merge(
        resources.INGRESS_ROUTE_TCPS, resources.key_of(before), {"spec": {"tls": {"passthrough": False}}}
    )
    await world.settle(key)
    [after] = await world.children("IngressRouteTCP")
    assert after["spec"] == before["spec"]


async def test_a_host_in_use_stays_where_it_is_until_its_model_lets_go(world: World) -> None:
    """An older model that asks for it later gets it then, and not before."""
    exposure = wish(world.namespace)
    older = await world.create("older")
    await world.settle(older)
    newer = await world.create("newer", exposure=exposure)
    await world.settle(newer)
    await world.create("older", exposure=exposure)
    model = await world.settle(older)
    assert condition(model, "Accepted") == ("False", "HostTaken")
    [said] = [one["message"] for one in model["status"]["conditions"] if one["type"] == "Accepted"]
    assert "belongs to model newer" in said
    assert model["status"]["url"] == f"https://older.{world.namespace}.svc"
    assert await routes(world) == [("IngressRouteTCP", exposure["host"])], "the other's alone"
    await world.create("newer")
    await world.settle(newer)
    model = await world.settle(older)
    assert condition(model, "Accepted") == ("True", "Planned")
    assert model["status"]["url"] == f"https://{exposure['host']}"
    assert model["status"]["certificate"]["host"] == exposure["host"]


async def test_a_refused_model_that_lets_go_of_its_host_has_it_in_no_certificate_any_more(world: World) -> None:
    """What is wrong with the rest of its spec does not keep the host, nor a certificate for it."""
    exposure = wish(world.namespace)
    key = await world.create(exposure=exposure)
    await world.settle(key)
    await world.create(exposure=exposure, runtime={"name": "nowhere"})
    model = await world.settle(key)
    assert (condition(model, "Accepted")[1], model["status"]["certificate"]["host"]) == (
        "RuntimeNotFound",
        exposure["host"],
    )
    await world.create(runtime={"name": "nowhere"})
    model = await world.settle(key)
    assert (condition(model, "Accepted")[1], "host" in model["status"]["certificate"]) == ("RuntimeNotFound", False)
    assert await routes(world) == []


async def test_another_default_class_moves_no_route_that_stands(world: World) -> None:
    async def default(name: str) -> None:
        for one in ("traefik", "haproxy"):
            annotation = {"ingressclass.kubernetes.io/is-default-class": "true" if one == name else None}
            body = {"metadata": {"annotations": annotation}}
            key = Key("", one)
            await world.user.patch_merge(resources.INGRESS_CLASSES, key, body)
            await until(lambda k=key, d=one == name: world.caches.ingress_classes.values[k].is_default == d)

    hosts = [f"{name}.{world.namespace}.example.org" for name in ("first", "second")]
    try:
        await default("traefik")
        first = await world.create("first", exposure={"host": hosts[0]})
        await world.settle(first)
        await default("haproxy")
        second = await world.create("second", exposure={"host": hosts[1]})
        for key in (first, second):
            assert condition(await world.settle(key), "Accepted") == ("True", "Planned")
        assert await routes(world) == [("Ingress", hosts[1]), ("IngressRouteTCP", hosts[0])]
    finally:
        await default("")
