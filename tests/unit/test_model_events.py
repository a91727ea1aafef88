"""Claims about the event source where a real API server does not misbehave on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from unit.kube_stub import StubApi, connected, status
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.resources import VERTICAL_MODELS, Key
from verticalmodel.shell.events import EventSourceDied, ModelEvents

MODELS = "/apis/verticalmodel.io/v1alpha1/namespaces/d/verticalmodels"
EVERYWHERE = VERTICAL_MODELS.path()


def served(name: str, kind: str, *, namespaced: bool = True) -> dict[str, Any]:
    verbs = ["get", "list", "watch"]
    return {"name": name, "singularName": kind.lower(), "namespaced": namespaced, "kind": kind, "verbs": verbs}


OURS = {"groupVersion": "verticalmodel.io/v1alpha1", "version": "v1alpha1"}
DISCOVERY = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {"resources": [served("namespaces", "Namespace", namespaced=False)]},
    "/apis": {"groups": [{"name": "verticalmodel.io", "versions": [OURS], "preferredVersion": OURS}]},
    "/apis/verticalmodel.io/v1alpha1": {"resources": [served("verticalmodels", "VerticalModel")]},
}
A, B = Key("d", "a"), Key("d", "b")


@dataclass
class World:
    """A stub that serves our kind, an event source on it, and what it told."""

    stub: StubApi
    events: ModelEvents = field(init=False)
    task: asyncio.Task[Any] = field(init=False)
    log: list[tuple[str, Key]] = field(default_factory=list)
    broken: dict[str, Any] | None = None
    hold_list: asyncio.Event | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse | None:
        if request.path in DISCOVERY:
            return web.json_response(DISCOVERY[request.path])
        if self.broken is not None and "watch" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(orjson.dumps({"type": "ERROR", "object": self.broken}) + b"\n")
            return response
        return None

    async def late_lists(self, request: web.Request) -> web.StreamResponse | None:
        if self.hold_list is not None and request.path == EVERYWHERE and "watch" not in request.query:
            await self.hold_list.wait()
        return None

    def told(self, what: str, key: Key) -> None:
        self.log.append((what, key))
        self.changed.set()

    async def until(self, *log: tuple[str, Key]) -> None:
        async with asyncio.timeout(10):
            while len(self.log) < len(log):
                self.changed.clear()
                await self.changed.wait()
        assert self.log == list(log)

    async def died(self) -> BaseException:
        async with asyncio.timeout(10):
            await asyncio.wait({self.task})
        group = self.task.exception()
        assert isinstance(group, BaseExceptionGroup)
        [error] = group.exceptions
        assert isinstance(error, EventSourceDied)
        return error


@asynccontextmanager
async def world(*names: str, relist: float = 600.0) -> AsyncIterator[World]:
    async with connected() as (stub, connection):
        made = World(stub)
        stub.fault, stub.before_answer = made.answer, made.late_lists
        for name in names:
            await stub.put(MODELS, name)
        made.events = source(made, connection, relist)
        made.task = asyncio.create_task(made.events.run())
        try:
            yield made
        finally:
            made.task.cancel()
            await asyncio.wait({made.task})


def source(made: World, connection: Connection, relist: float) -> ModelEvents:
    return ModelEvents(
        connection,
        ApiClient(connection),
        on_model=lambda key, _body: made.told("there", key),
        on_gone=lambda key: made.told("gone", key),
        relist_seconds=relist,
    )


async def watching(w: World) -> None:
    async with asyncio.timeout(10):
        await w.events.synced.wait()
    await w.stub.requested("watch=true")


async def test_a_dead_watcher_ends_the_source_with_an_error() -> None:
    async with world("a") as w:
        await watching(w)
        w.broken = status(500, "InternalError")
        await w.stub.cut_watches()
        assert await w.died()


async def test_a_model_deleted_in_a_gap_of_the_watch_is_told_by_the_next_list() -> None:
    async with world("a", "b", relist=0.2) as w:
        await watching(w)
        await w.stub.remove(MODELS, "a", silently=True)
        await w.until(("there", A), ("there", B), ("gone", A))
        assert set(w.events.known) == {B}


async def test_a_410_loses_nothing() -> None:
    async with world("a") as w:
        await watching(w)
        w.stub.compacted = w.stub.version + 1
        await w.stub.put(MODELS, "b", event="UNSEEN")
        w.stub.history.pop()
        await w.stub.cut_watches()
        await w.until(("there", A), ("there", B))


async def test_a_slow_list_does_not_bring_back_what_the_watch_saw_going() -> None:
    async with world("a", relist=0.2) as w:
        await watching(w)
        w.hold_list = asyncio.Event()
        lists = sum(line == f"GET {EVERYWHERE}?limit=500" for line in w.stub.requests)
        await w.stub.requested(f"{EVERYWHERE}?limit=500", lists + 1)
        # The list has been read, and waits to be sent; meanwhile the watch goes on.
        await w.stub.remove(MODELS, "a")
        await w.stub.put(MODELS, "b")
        await w.until(("there", A), ("gone", A), ("there", B))
        w.hold_list.set()
        await w.stub.requested(f"{EVERYWHERE}?limit=500", lists + 2)
        assert set(w.events.known) == {B}
        assert w.log == [("there", A), ("gone", A), ("there", B)]


async def test_the_source_waits_until_the_kind_is_served_and_the_models_can_be_listed() -> None:
    async with connected() as (stub, connection):
        made = World(stub)
        refused: list[str] = []

        async def each_path_fails_once(request: web.Request) -> web.StreamResponse | None:
            if request.path not in refused:
                refused.append(request.path)
                return web.json_response(status(404, "NotFound"), status=404)
            return await made.answer(request)

        stub.fault = each_path_fails_once
        await stub.put(MODELS, "a")
        events = source(made, connection, 600.0)
        task = asyncio.create_task(events.run())
        await made.until(("there", A))
        assert refused[:2] == ["/apis/verticalmodel.io/v1alpha1", EVERYWHERE]
        task.cancel()
        await asyncio.wait({task})
