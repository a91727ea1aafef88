"""Claims about the list-and-watch cache, against a stub that can cut, stall and forget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from unit.kube_stub import StubApi, connected
from verticalmodel.api.modelruntime import ModelRuntime
from verticalmodel.kube.backoff import Backoff
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.informer import Informer
from verticalmodel.kube.resources import MODEL_RUNTIMES, PODS, Key

COLLECTION = "/api/v1/namespaces/d/pods"
Change = tuple[Key, str | None, str | None]
A, B = Key("d", "a"), Key("d", "b")


@dataclass
class Watching:
    """A stub, an informer on it that keeps `phase`, and what it told."""

    stub: StubApi
    informer: Informer[str]
    changes: list[Change] = field(default_factory=list)
    _told: asyncio.Condition = field(default_factory=asyncio.Condition)
    _pending: set[asyncio.Task[None]] = field(default_factory=set)

    def tell(self, key: Key, old: str | None, new: str | None) -> None:
        self.changes.append((key, old, new))
        task = asyncio.ensure_future(self._wake())
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _wake(self) -> None:
        async with self._told:
            self._told.notify_all()

    async def until(self, *changes: Change) -> None:
        """Wait until exactly these changes were told, in this order."""
        async with asyncio.timeout(5), self._told:
            await self._told.wait_for(lambda: len(self.changes) >= len(changes))
        assert self.changes == list(changes)

    def watches(self) -> list[str]:
        """Resource versions that watches started from."""
        return [line.split("resourceVersion=")[1].split("&")[0] for line in self.stub.requests if "watch=true" in line]

    def lists(self) -> int:
        """How many lists were asked for."""
        return sum("watch=true" not in line for line in self.stub.requests)


def phase(obj: dict[str, Any]) -> str | None:
    if obj.get("phase") == "broken":
        raise ValueError("no such phase")
    return obj.get("phase")


@asynccontextmanager
async def watching(*names: str, **options: Any) -> AsyncIterator[Watching]:
    async with connected() as (stub, connection):
        for name in names:
            await stub.put(COLLECTION, name, phase="Running")
        told: list[Watching] = []
        informer = Informer(
            ApiClient(connection),
            PODS,
            phase,
            on_change=lambda *change: told[0].tell(*change),  # noqa: PLW0108 - it exists a moment later
            backoff=Backoff(base=0.01, cap=0.02, floor=0.0),
            **options,
        )
        told.append(Watching(stub, informer))
        task = asyncio.create_task(informer.run())
        try:
            yield told[0]
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()


async def test_what_exists_is_told_before_synced() -> None:
    async with watching("a", "b") as w:
        await w.informer.synced.wait()
        assert w.changes == [(A, None, "Running"), (B, None, "Running")]
        assert dict(w.informer.values) == {A: "Running", B: "Running"}
        assert (w.informer.get(A), len(w.informer), set(w.informer)) == ("Running", 2, {A, B})


async def test_changes_are_told_with_old_and_new() -> None:
    async with watching("a") as w:
        await w.informer.synced.wait()
        await w.stub.put(COLLECTION, "a", phase="Failed")
        await w.stub.remove(COLLECTION, "a")
        await w.until((A, None, "Running"), (A, "Running", "Failed"), (A, "Failed", None))
        assert w.informer.get(A) is None


async def test_a_change_that_the_projection_does_not_show_is_silent() -> None:
    async with watching("a") as w:
        await w.informer.synced.wait()
        await w.stub.put(COLLECTION, "a", phase="Running", noise=1)
        await w.stub.put(COLLECTION, "b", phase="Running")
        await w.until((A, None, "Running"), (B, None, "Running"))


async def test_none_from_the_projection_leaves_an_object_out() -> None:
    async with watching("a") as w:
        await w.informer.synced.wait()
        await w.stub.put(COLLECTION, "b")
        await w.stub.put(COLLECTION, "a")
        await w.until((A, None, "Running"), (A, "Running", None))
        assert dict(w.informer.values) == {}


async def test_an_object_that_cannot_be_read_is_left_out_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with watching() as w:
        await w.informer.synced.wait()
        await w.stub.put(COLLECTION, "a", phase="broken")
        await w.stub.put(COLLECTION, "b", phase="Running")
        await w.until((B, None, "Running"))
        [record] = [record for record in caplog.records if "left out" in record.message]
        assert (record.object, record.error) == ("d/a", "ValueError")  # type: ignore[attr-defined]
        assert (w.informer.unreadable(A), w.informer.unreadable(B)) == ("a field", None)
        await w.stub.put(COLLECTION, "a", phase="Running")
        await w.stub.put(COLLECTION, "b", phase="broken")
        await w.until((B, None, "Running"), (A, None, "Running"), (B, "Running", None))
        assert (w.informer.unreadable(A), w.informer.unreadable(B)) == (None, "a field")
        await w.stub.remove(COLLECTION, "b")
        await w.stub.put(COLLECTION, "a", phase="Failed")
        await w.until((B, None, "Running"), (A, None, "Running"), (B, "Running", None), (A, "Running", "Failed"))
        assert w.informer.unreadable(B) is None


async def test_of_an_object_that_cannot_be_read_its_fields_are_told_and_not_its_values() -> None:
    async with connected() as (stub, connection):
        stored = {"image": "server:1", "formats": ["onnx"], "command": ["serve"], "port": 8444}
        await stub.put(MODEL_RUNTIMES.path(), "r", spec=stored)
        informer = Informer(ApiClient(connection, manager="test"), MODEL_RUNTIMES, ModelRuntime.model_validate)
        running = asyncio.create_task(informer.run())
        await asyncio.wait_for(informer.synced.wait(), 5)
        assert (informer.get(Key("", "r")), informer.unreadable(Key("", "r"))) == (None, "spec.port")
        running.cancel()


async def test_a_cut_watch_goes_on_from_the_last_version_without_a_list() -> None:
    async with watching("a") as w:
        await w.stub.requested("watch=true")
        changed = await w.stub.put(COLLECTION, "a", phase="Failed")
        await w.until((A, None, "Running"), (A, "Running", "Failed"))
        await w.stub.cut_watches()
        await w.stub.requested("watch=true", 2)
        await w.stub.put(COLLECTION, "a", phase="Running")
        await w.until((A, None, "Running"), (A, "Running", "Failed"), (A, "Failed", "Running"))
        assert w.watches()[1] == changed["metadata"]["resourceVersion"]
        assert w.lists() == 1


async def test_a_bookmark_moves_the_version_that_the_next_watch_starts_from() -> None:
    async with watching("a") as w:
        await w.stub.requested("watch=true")
        await w.stub.bookmark(COLLECTION)
        await w.stub.put(COLLECTION, "a", phase="Failed")
        await w.until((A, None, "Running"), (A, "Running", "Failed"))
        await w.stub.bookmark(COLLECTION)
        version = str(w.stub.version)
        await w.stub.cut_watches()
        await w.stub.requested("watch=true", 2)
        assert w.watches()[1] == version


async def test_after_410_the_list_tells_what_vanished_in_the_gap() -> None:
    async with watching("a", "b") as w:
        await w.stub.requested("watch=true")
        w.stub.compacted = w.stub.version + 10
        await w.stub.remove(COLLECTION, "a", silently=True)
        w.stub.version += 20
        await w.stub.cut_watches()
        await w.until((A, None, "Running"), (B, None, "Running"), (A, "Running", None))
        assert dict(w.informer.values) == {B: "Running"}


async def test_a_silent_watch_is_replaced() -> None:
    async with watching("a", inactivity_seconds=1.1) as w:
        await w.stub.requested("watch=true", 2)
        assert w.watches()[0] == w.watches()[1]
        assert w.lists() == 1


async def test_failures_are_waited_out() -> None:
    async with watching("a") as w:
        answers = iter([500, 503, 429, 403])

        async def fail(_request: web.Request) -> web.StreamResponse | None:
            code = next(answers, None)
            return web.json_response({}, status=code) if code else None

        w.stub.fault = fail
        async with asyncio.timeout(5):
            await w.informer.synced.wait()
        assert w.lists() == 5


async def test_a_full_list_comes_round_even_if_the_watch_is_fine() -> None:
    async with watching("a", relist_seconds=0.2) as w:
        await w.stub.requested("watch=true")
        await w.stub.remove(COLLECTION, "a", silently=True)
        await w.until((A, None, "Running"), (A, "Running", None))


async def test_pages_are_followed_to_the_end() -> None:
    names = [f"p{number}" for number in range(7)]
    async with watching(*names, page=3) as w:
        await w.informer.synced.wait()
        assert {key.name for key in w.informer} == set(names)
        assert w.lists() == 3


async def test_a_snapshot_that_expires_between_pages_is_taken_in_one_answer() -> None:
    async with watching("a", "b", "c", page=2) as w:

        async def expire(request: web.Request) -> web.StreamResponse | None:
            return web.json_response({"reason": "Expired"}, status=410) if "continue" in request.query else None

        w.stub.fault = expire
        async with asyncio.timeout(5):
            await w.informer.synced.wait()
        assert len(w.informer) == 3
        assert "limit" not in w.stub.requests[2]


async def test_groups_follow_the_values() -> None:
    async with watching("a", "b", index_by=lambda _key, value: value) as w:
        await w.informer.synced.wait()
        assert dict(w.informer.group("Running")) == {A: "Running", B: "Running"}
        await w.stub.put(COLLECTION, "a", phase="Failed")
        await w.stub.remove(COLLECTION, "b")
        await w.until((A, None, "Running"), (B, None, "Running"), (A, "Running", "Failed"), (B, "Running", None))
        assert dict(w.informer.group("Failed")) == {A: "Failed"}
        assert dict(w.informer.group("Running")) == {}


async def test_a_callback_that_fails_ends_the_run() -> None:
    async with connected() as (stub, connection):
        await stub.put(COLLECTION, "a", phase="Running")

        def broken(*_: object) -> None:
            raise KeyError("bug")

        with pytest.raises(KeyError):
            await Informer(ApiClient(connection), PODS, phase, on_change=broken).run()


async def test_metadata_only_asks_for_metadata_only() -> None:
    async with watching("a", metadata_only=True) as w:
        await w.stub.requested("watch=true")
        kinds = [headers["Accept"].split("as=")[1].split(";")[0] for headers in w.stub.headers]
        assert kinds == ["PartialObjectMetadataList", "PartialObjectMetadata"]
