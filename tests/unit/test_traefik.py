"""Claims about following IngressRouteTCPs while the cluster serves them, against a stub of the API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from unit.kube_stub import StubApi, connected
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.informer import Informer
from verticalmodel.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, INGRESS_ROUTE_TCPS, Key, Resource
from verticalmodel.shell.projection import Child, child
from verticalmodel.shell.traefik import TraefikRoutes

CRD = ("ingressroutetcps.traefik.io", {"versions": [{"name": "v1alpha1", "served": True}]})
ROUTE = "/apis/traefik.io/v1alpha1/namespaces/d/ingressroutetcps"


@dataclass
class Following:
    """A stub, what follows it, and how often a change was told."""

    stub: StubApi
    informers: dict[Resource, Informer[Child]]
    routes: TraefikRoutes
    told: asyncio.Queue[bool] = field(default_factory=asyncio.Queue)

    async def define(self, established: str = "True", **spec: Any) -> None:
        name, good = CRD
        conditions = [{"type": "Established", "status": established}]
        await self.stub.put(
            CUSTOM_RESOURCE_DEFINITIONS.path(), name, spec={**good, **spec}, status={"conditions": conditions}
        )

    async def next(self) -> bool:
        """Whether the kind is served, at the next change that is told."""
        return await asyncio.wait_for(self.told.get(), 5)


@pytest.fixture
async def following() -> AsyncIterator[Following]:
    async with connected() as (stub, connection):
        api = ApiClient(connection, manager="test")
        informers: dict[Resource, Informer[Child]] = {}
        routes = TraefikRoutes(
            api,
            informers,
            lambda: Informer(api, INGRESS_ROUTE_TCPS, child),
            lambda: made.told.put_nowait(made.routes.served),
        )
        made = Following(stub, informers, routes)
        running = asyncio.create_task(routes.run())
        yield made
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_without_the_crd_nothing_is_listed_and_nobody_waits(following: Following) -> None:
    await asyncio.wait_for(following.routes.synced.wait(), 5)
    assert (following.routes.served, following.informers) == (False, {})
    assert not any("traefik.io/" in line.partition("?")[0] for line in following.stub.requests)


async def test_routes_are_followed_once_the_crd_is_established_and_forgotten_with_it(following: Following) -> None:
    await following.stub.put(ROUTE, "m")
    await following.define(established="False")
    await asyncio.wait_for(following.routes.synced.wait(), 5)
    assert not following.routes.served
    await following.define(versions=[{"name": "v1beta1", "served": True}])
    await following.define()
    assert await following.next() is True
    assert following.informers[INGRESS_ROUTE_TCPS].get(Key("d", "m")) is not None
    await following.stub.remove(CUSTOM_RESOURCE_DEFINITIONS.path(), CRD[0])
    assert await following.next() is False
    assert following.informers == {}
    await following.define()
    assert await following.next() is True
