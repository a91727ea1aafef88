"""Claims about one pass, against a real API server: children, drift, pinning, and silence when nothing changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from verticalmodel.api import names
from verticalmodel.facts import Platform
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.resources import Key, Resource
from verticalmodel.render.route import KINDS as ROUTES
from verticalmodel.shell.caches import Caches
from verticalmodel.shell.certificates import Certificates
from verticalmodel.shell.children import BY_KIND
from verticalmodel.shell.event_recorder import EventRecorder
from verticalmodel.shell.issuer import new_authority
from verticalmodel.shell.reconcile import Reconciler
from verticalmodel.standard import manifest as edition

pytestmark = pytest.mark.apiserver

ROOT = Path(__file__).resolve().parents[2]
PLATFORM = Platform(guard_image="guard:1", unseal_image="unseal:1", version="0.1.0")
RUNTIME = {
    "apiVersion": names.API_VERSION,
    "kind": "ModelRuntime",
    "metadata": {"name": "test-runtime"},
    "spec": {"image": "serving:1", "command": ["serve"], "formats": ["onnx"]},
}


KINDS = tuple(kind for kind in BY_KIND if kind not in ROUTES)
"""Kinds of children that a model has that is not exposed."""
QUOTAS = Resource("", "v1", "resourcequotas", namespaced=True, kind="ResourceQuota")
DEVICE_CLASS = {
    "apiVersion": resources.DEVICE_CLASSES.api_version,
    "kind": "DeviceClass",
    "metadata": {"name": names.GPU_DEVICE_CLASS},
    "spec": {"selectors": [{"cel": {"expression": "device.driver == 'gpu.nvidia.com'"}}]},
}


@dataclass
class World:
    """A namespace, one operator's rooms around it, and a count of the writes they make."""

    api: ApiClient
    user: ApiClient
    caches: Caches
    namespace: str
    reconciler: Reconciler
    writes: list[str] = field(default_factory=list)

    async def create(self, name: str = "m", **spec: Any) -> Key:
        defaults = {
            "runtime": {"name": "test-runtime"},
            "source": {"uri": "pvc://claim/model.onnx"},
            # So that every kind of child is there.
            "resources": {"gpu": {}},
            "replicas": 2,
        }
        body = {
            "apiVersion": names.API_VERSION,
            "kind": "VerticalModel",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {**defaults, **spec},
        }
        await self.user.apply(resources.VERTICAL_MODELS, body, manager="user")
        return Key(self.namespace, name)

    async def reconcile(self, key: Key) -> dict[str, Any]:
        """One pass on the newest body; the model afterwards."""
        body = await self.user.find(resources.VERTICAL_MODELS, key)
        if body is None:
            self.caches.drop_model(key)
        else:
            self.caches.put_model(key, body)
        await self.reconciler(key)
        return await self.user.get(resources.VERTICAL_MODELS, key) if body else {}

    async def settle(self, key: Key) -> dict[str, Any]:
        """Passes until one writes nothing; the model then. Fails where the operator never comes to rest."""
        for _ in range(10):
            await self.caught_up()
            self.writes.clear()
            model = await self.reconcile(key)
            if not self.writes:
                return model
        raise AssertionError(f"no rest after 10 passes; the last one wrote {self.writes}")

    async def caught_up(self) -> None:
        """Wait until the caches show what the API server holds of this namespace."""
        for resource in (resources.CONTROLLER_REVISIONS, *self.caches.children):
            listing = await self.user.list(resource, self.namespace, labels={names.LABEL_MANAGED_BY: names.MANAGED_BY})
            for item in listing.items:
                key, version = resources.key_of(item), int(item["metadata"]["resourceVersion"])
                await until(
                    lambda r=resource, k=key, v=version: (c := self.caches.child(r, k)) is not None and c.version >= v
                )
            wanted = {resources.key_of(item) for item in listing.items}
            await until(lambda r=resource, w=wanted: self.cached(r) == w)

    def cached(self, resource: Resource) -> set[Key]:
        informer: Any = (
            self.caches.revisions if resource is resources.CONTROLLER_REVISIONS else self.caches.children[resource]
        )
        return {key for key in informer if key.namespace == self.namespace}

    async def children(self, kind: str) -> list[dict[str, Any]]:
        labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY}
        return (await self.user.list(BY_KIND[kind], self.namespace, labels=labels)).items


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a cache that a watch feeds; each look costs nothing."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - a look at a dict; informers announce keys, not versions
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(tasks: list[asyncio.Task[Any]]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def operator_in(kubeconfig: Path, namespace: str, platform: Platform = PLATFORM) -> AsyncIterator[World]:
    async with Connection.open(kubeconfig) as connection:
        writes: list[str] = []

        def observe(verb: str, plural: str, *_: object) -> None:
            # A pod that is not ready makes the operator ask for its Secret by a dry-run create: no write.
            if verb not in ("get", "list", "watch") and plural != "secrets":
                writes.append(f"{verb} {plural}")

        api = ApiClient(connection, manager=names.MANAGER_CHILDREN, observe=observe)
        user = ApiClient(connection, manager="user")
        caches = Caches(api, lambda _: None)
        certificates = Certificates(api, new_authority(datetime.now(UTC)), "cluster.local", lambda: datetime.now(UTC))
        reconciler = Reconciler(
            api=api,
            caches=caches,
            platform=platform,
            certificates=certificates,
            recorder=EventRecorder(api, "replica-1"),
            clock=lambda: datetime.now(UTC),
        )
        async with running([asyncio.create_task(informer.run()) for informer in caches.informers()]):
            async with asyncio.timeout(20):
                await caches.synced()
            yield World(api, user, caches, namespace, reconciler, writes)


@pytest.fixture
async def kinds(apiserver: Path) -> Path:
    """The kubeconfig of a server that knows our kinds, a runtime and the default edition."""
    async with Connection.open(apiserver) as connection:
        user = ApiClient(connection, manager="user")
        crds = Resource(
            "apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False, kind="CustomResourceDefinition"
        )
        for path in sorted((ROOT / "crds").glob("*.yaml")):
            name = (await user.apply(crds, yaml.safe_load(path.read_text())))["metadata"]["name"]
            await established(user, crds, name)
        await user.apply(resources.MODEL_RUNTIMES, RUNTIME)
        await user.apply(resources.DEVICE_CLASSES, DEVICE_CLASS)
        await user.apply(resources.OPERATING_STANDARDS, edition(names.DEFAULT_STANDARD))
    return apiserver


async def established(user: ApiClient, crds: Resource, name: str) -> None:
    async with asyncio.timeout(20):
        while True:
            found = await user.get(crds, Key("", name))
            conditions = (found.get("status") or {}).get("conditions") or []
            if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
                return
            await asyncio.sleep(0.05)


@pytest.fixture
async def namespace(kinds: Path) -> AsyncIterator[str]:
    name = f"reconcile-{uuid4().hex[:8]}"
    async with Connection.open(kinds) as connection:
        user = ApiClient(connection, manager="user")
        await user.apply(resources.NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        yield name
        await user.delete(resources.NAMESPACES, Key("", name))


@pytest.fixture
async def world(kinds: Path, namespace: str) -> AsyncIterator[World]:
    async with operator_in(kinds, namespace) as made:
        yield made


def condition(model: dict[str, Any], kind: str) -> tuple[str, str]:
    found = {c["type"]: (c["status"], c["reason"]) for c in model["status"]["conditions"]}
    return found[kind]


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
        await second.reconcile(key)
        assert second.writes == []


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


async def test_a_disruption_budget_goes_and_comes_with_the_second_pod(world: World) -> None:
    key = await world.create()
    await world.settle(key)
    for spec, count in (({"replicas": 1}, 0), ({"replicas": 2}, 1), ({"suspend": True}, 0)):
        await world.create(**spec)
        await world.settle(key)
        assert len(await world.children("PodDisruptionBudget")) == count, spec


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
