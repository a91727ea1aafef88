"""Claims about kopf as event source, against a real API server."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.resources import VERTICAL_MODELS, Key
from verticalmodel.shell.events import EventSourceDied, ModelEvents

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("crds")]


def model(key: Key, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": VERTICAL_MODELS.api_version,
        "kind": "VerticalModel",
        "metadata": {"name": key.name, "namespace": key.namespace, "labels": labels},
        "spec": {"runtime": {"name": "r"}, "source": {"uri": "pvc://claim/model.onnx"}},
    }


@dataclass
class Told:
    """What the events told of one namespace."""

    namespace: str
    log: list[tuple[str, str]] = field(default_factory=list)
    bodies: dict[Key, dict[str, Any]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    fail: bool = False

    def on_model(self, key: Key, body: dict[str, Any]) -> None:
        if self.fail:
            raise KeyError("bug")
        if key.namespace == self.namespace:
            self.log.append(("there", key.name))
            self.bodies[key] = body
            self.changed.set()

    def on_gone(self, key: Key) -> None:
        if key.namespace == self.namespace:
            self.log.append(("gone", key.name))
            del self.bodies[key]
            self.changed.set()

    async def until(self, entry: tuple[str, str], times: int = 1) -> None:
        async with asyncio.timeout(15):
            while self.log.count(entry) < times:
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Source:
    """A running event source."""

    told: Told
    events: ModelEvents
    task: asyncio.Task[Any]

    async def watching(self, api: ApiClient) -> None:
        """Wait until kopf's own watch delivers, which is a moment after `synced`."""
        probe = Key(self.told.namespace, "probe")
        async with asyncio.timeout(15):
            await self.events.synced.wait()
            await api.apply(VERTICAL_MODELS, model(probe))
            await self.told.until(("there", "probe"))
        await api.delete(VERTICAL_MODELS, probe)
        await self.told.until(("gone", "probe"))
        self.told.log.clear()


@asynccontextmanager
async def source(
    connection: Connection, namespace: str, *, relist: float = 600.0, on_signal: Callable[[], None] | None = None
) -> AsyncIterator[Source]:
    told = Told(namespace)
    events = ModelEvents(
        connection, ApiClient(connection), on_model=told.on_model, on_gone=told.on_gone, relist_seconds=relist
    )
    task = asyncio.create_task(events.run(on_signal))
    try:
        yield Source(told, events, task)
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_what_exists_is_told_once_and_before_synced(
    connection: Connection, api: ApiClient, namespace: str
) -> None:
    key = Key(namespace, "a")
    await api.create(VERTICAL_MODELS, model(key))
    async with source(connection, namespace) as s:
        async with asyncio.timeout(15):
            await s.events.synced.wait()
        assert s.told.log == [("there", "a")]
        await s.watching(api)
        assert s.told.bodies[key]["spec"]["runtime"] == {"name": "r"}
        assert key in s.events.known
    assert s.told.log == []


async def test_creation_change_and_deletion_are_told(connection: Connection, api: ApiClient, namespace: str) -> None:
    key = Key(namespace, "a")
    async with source(connection, namespace) as s:
        await s.watching(api)
        await api.apply(VERTICAL_MODELS, model(key))
        await s.told.until(("there", "a"))
        await api.apply(VERTICAL_MODELS, model(key, team="x"))
        await s.told.until(("there", "a"), 2)
        assert s.told.bodies[key]["metadata"]["labels"] == {"team": "x"}
        await api.delete(VERTICAL_MODELS, key)
        await s.told.until(("gone", "a"))
        assert key not in s.events.known


async def test_kopf_writes_nothing_to_the_models(connection: Connection, api: ApiClient, namespace: str) -> None:
    key = Key(namespace, "a")
    async with source(connection, namespace) as s:
        await s.watching(api)
        made = await api.create(VERTICAL_MODELS, model(key))
        await s.told.until(("there", "a"))
        await asyncio.sleep(0.5)  # the time in which kopf would patch
        assert await api.get(VERTICAL_MODELS, key) == made


async def test_a_deletion_that_no_watch_told_is_found_by_the_list(
    connection: Connection, api: ApiClient, namespace: str
) -> None:
    key = Key(namespace, "a")
    async with source(connection, namespace, relist=0.3) as s:
        await s.watching(api)
        # As after a gap of the watch: the source believes in a model that is not there.
        s.events._versions[key] = 1  # noqa: SLF001
        s.told.bodies[key] = {}
        await s.told.until(("gone", "a"))


async def test_stopping_is_quick_and_leaves_the_connection_and_other_tasks_alone(
    connection: Connection, api: ApiClient, namespace: str
) -> None:
    other: asyncio.Task[Any] | None = None
    async with source(connection, namespace) as s:
        await s.watching(api)
        other = asyncio.create_task(asyncio.sleep(3600))
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 2.0
    assert not other.done()
    other.cancel()
    await api.list(VERTICAL_MODELS, namespace)
    gc.collect()  # an unclosed session would warn here, and a warning is an error


async def test_our_signal_handler_stays_in_place(connection: Connection, api: ApiClient, namespace: str) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        async with source(connection, namespace, on_signal=asked.set) as s:
            await s.watching(api)
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(5):
                await asked.wait()
            await api.apply(VERTICAL_MODELS, model(Key(namespace, "still")))
            await s.told.until(("there", "still"))
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def test_a_callback_that_fails_ends_the_source(connection: Connection, api: ApiClient, namespace: str) -> None:
    async with source(connection, namespace) as s:
        await s.watching(api)
        s.told.fail = True
        await api.apply(VERTICAL_MODELS, model(Key(namespace, "a")))
        async with asyncio.timeout(15):
            await asyncio.wait({s.task})
        error = s.task.exception()
        assert isinstance(error, BaseExceptionGroup)
        [died] = error.exceptions
        assert isinstance(died, EventSourceDied)
        assert isinstance(died.__cause__, KeyError)
