"""One operator's rooms around a namespace of a real API server, moved pass by pass; fixtures for its tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from apiserver.conftest import define_kinds
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

ROOT = Path(__file__).resolve().parents[2]
PLATFORM = Platform(guard_image="guard:1", unseal_image="unseal:1", version="0.1.0")
RUNTIME = {
    "apiVersion": names.API_VERSION,
    "kind": "ModelRuntime",
    "metadata": {"name": "test-runtime"},
    "spec": {"image": "serving:1", "command": ["serve"], "formats": ["onnx"]},
}


KINDS = tuple(kind for kind in BY_KIND if kind not in (*ROUTES, "Certificate"))
"""Kinds of children that a model has that is not exposed and whose certificate is the built-in authority's."""
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
        await define_kinds(user)
        await user.apply(resources.MODEL_RUNTIMES, RUNTIME)
        await user.apply(resources.DEVICE_CLASSES, DEVICE_CLASS)
        await user.apply(resources.OPERATING_STANDARDS, edition(names.DEFAULT_STANDARD))
    return apiserver


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
