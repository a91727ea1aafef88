"""Claims about following a kind of somebody else's while the cluster serves it, against a stub of the API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from unit.kube_stub import StubApi, connected, no_fault, status
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.informer import Informer
from verticalmodel.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, INGRESS_ROUTE_TCPS, Key, Resource
from verticalmodel.shell.optional_kind import OptionalKind
from verticalmodel.shell.projection import Child, child

CRD = ("ingressroutetcps.traefik.io", {"versions": [{"name": "v1alpha1", "served": True}]})
ROUTE = "/apis/traefik.io/v1alpha1/namespaces/d/ingressroutetcps"


@dataclass
class Following:
    """A stub, what follows it, and how often a change was told."""

    stub: StubApi
    informers: dict[Resource, Informer[Child]]
    routes: OptionalKind
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
        routes = OptionalKind(
            api,
            INGRESS_ROUTE_TCPS,
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


async def test_a_kind_that_may_not_be_listed_is_not_served_and_holds_nobody_up(following: Following) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse | None:
        return web.json_response(status(403, "Forbidden"), status=403) if "/traefik.io/" in request.path else None

    following.stub.fault = refuse
    await following.stub.put(ROUTE, "m")
    await following.define()
    async with asyncio.timeout(5):
        await following.stub.requested("/traefik.io/")
        await following.routes.synced.wait()
    assert not following.routes.served
    following.stub.fault = no_fault
    assert await following.next() is True, "it is tried again"


async def test_crds_that_may_not_be_listed_hold_nobody_up(following: Following) -> None:
    """Checked from the start on: the first list is what fails."""

    async def refuse(_request: web.Request) -> web.StreamResponse | None:
        return web.json_response(status(403, "Forbidden"), status=403)

    following.stub.fault = refuse
    await asyncio.wait_for(following.routes.synced.wait(), 5)
    assert not following.routes.served
    await following.define()
    following.stub.fault = no_fault
    assert await following.next() is True


@pytest.mark.parametrize("fails", ["/customresourcedefinitions", "/traefik.io/"])
async def test_while_the_api_server_does_not_answer_it_is_not_known_whether_a_kind_is_served(
    following: Following, fails: str
) -> None:
    """Else one failed list would have models refused, or routes forgotten, that stand."""

    async def fail(request: web.Request) -> web.StreamResponse | None:
        return web.json_response(status(500, "InternalError"), status=500) if fails in request.path else None

    following.stub.fault = fail
    await following.define()
    async with asyncio.timeout(5):
        await following.stub.requested(fails, times=2)
    assert not following.routes.synced.is_set()
    following.stub.fault = no_fault
    await asyncio.wait_for(following.routes.synced.wait(), 10)
    assert following.routes.served
