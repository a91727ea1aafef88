"""An API server of a few lines for faults that a real one does not produce on demand: cuts, stalls, 410, lost answers.

Objects, resource versions, list, watch with history, create, replace with optimistic locking, delete. No schemas, no
apply: what those do is tested against a real API server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from verticalmodel.kube.connection import Connection
from verticalmodel.kube.kubeconfig import Access

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


def status(code: int, reason: str, message: str = "") -> dict[str, Any]:
    """A Status object."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


async def no_fault(_request: web.Request) -> web.StreamResponse | None:
    return None


@dataclass
class StubApi:
    """State of the server. `fault` sees each request first and may answer it, delay it or break it."""

    url: str = ""
    version: int = 100
    compacted: int = 0
    """Watches from before this version get 410."""
    fault: Fault = no_fault
    before_answer: Fault = no_fault
    """Sees each request after it took effect; may lose the answer."""
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    history: list[tuple[int, str, str, dict[str, Any]]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _cut: int = 0

    async def put(self, collection: str, name: str, *, event: str = "", **fields: Any) -> dict[str, Any]:
        """Store an object as if somebody else wrote it."""
        known = self.objects.get((collection, name))
        self.version += 1
        meta = {"uid": f"uid-{self.version}", **(known or {}).get("metadata", {})}
        meta |= {"name": name, "resourceVersion": str(self.version)}
        if "/namespaces/" in collection:
            meta["namespace"] = collection.partition("/namespaces/")[2].partition("/")[0]
        body = {**fields, "metadata": {**fields.get("metadata", {}), **meta}}
        self.objects[collection, name] = body
        await self._record(event or ("MODIFIED" if known else "ADDED"), collection, body)
        return body

    async def remove(self, collection: str, name: str, *, silently: bool = False) -> None:
        """Delete an object; silently: no watch will ever tell."""
        body = self.objects.pop((collection, name))
        self.version += 1
        if not silently:
            gone = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
            await self._record("DELETED", collection, gone)

    async def bookmark(self, collection: str) -> None:
        """Send a bookmark with a version of its own to every watch."""
        self.version += 1
        await self._record("BOOKMARK", collection, {"metadata": {"resourceVersion": str(self.version)}})

    async def requested(self, what: str, times: int = 1) -> None:
        """Wait until a request whose line holds `what` arrived so many times."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: sum(what in line for line in self.requests) >= times)

    async def cut_watches(self) -> None:
        """End every open watch."""
        async with self._changed:
            self._cut += 1
            self._changed.notify_all()

    async def _record(self, event: str, collection: str, body: dict[str, Any]) -> None:
        async with self._changed:
            self.history.append((self.version, event, collection, body))
            self._changed.notify_all()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        self.headers.append(dict(request.headers))
        async with self._changed:
            self._changed.notify_all()
        answer = await self.fault(request)
        if answer is None:
            answer = await self._answer(request)
            answer = await self.before_answer(request) or answer
        return answer

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        collection, _, name = request.path.rpartition("/")
        if (collection, name) in self.objects or request.method in {"PUT", "DELETE"}:
            return await self._one(request, collection, name)
        if request.method == "POST":
            return await self._create(request)
        if "watch" in request.query:
            return await self._watch(request)
        items = [body for (where, _), body in self.objects.items() if _within(where, request.path)]
        if request.path.partition("/namespaces/")[2].count("/") == 2:
            return web.json_response(status(404, "NotFound"), status=404)
        limit, start = int(request.query.get("limit", 0)), int(request.query.get("continue", 0))
        page = items[start : start + limit] if limit else items[start:]
        meta = {"resourceVersion": str(self.version)}
        if limit and start + limit < len(items):
            meta["continue"] = str(start + limit)
        return web.json_response({"metadata": meta, "items": page})

    async def _one(self, request: web.Request, collection: str, name: str) -> web.Response:
        known = self.objects.get((collection, name))
        if known is None:
            return web.json_response(status(404, "NotFound"), status=404)
        if request.method == "GET":
            return web.json_response(known)
        if request.method == "DELETE":
            await self.remove(collection, name)
            return web.json_response(known)
        body = await request.json()
        if body["metadata"].get("resourceVersion") not in {None, known["metadata"]["resourceVersion"]}:
            return web.json_response(status(409, "Conflict"), status=409)
        return web.json_response(await self.put(collection, name, **body))

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = body["metadata"]["name"]
        if (request.path, name) in self.objects:
            return web.json_response(status(409, "AlreadyExists"), status=409)
        return web.json_response(await self.put(request.path, name, **body), status=201)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since, cut = int(request.query["resourceVersion"]), self._cut
        response = web.StreamResponse()
        await response.prepare(request)
        if since < self.compacted:
            await response.write(_line("ERROR", status(410, "Expired")))
            return response
        told = 0
        while True:
            ended = self._cut != cut
            while told < len(self.history):
                version, event, collection, body = self.history[told]
                told += 1
                if version > since and _within(collection, request.path):
                    await response.write(_line(event, body))
            if ended:
                return response
            async with self._changed:
                await self._changed.wait_for(lambda: self._cut != cut or len(self.history) > told)  # noqa: B023 - at once


def _line(event: str, body: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": event, "object": body}) + b"\n"


def _within(collection: str, path: str) -> bool:
    plural = path.rpartition("/")[2]
    return collection == path or ("/namespaces/" not in path and collection.rpartition("/")[2] == plural)


@asynccontextmanager
async def stub_api() -> AsyncIterator[StubApi]:
    """A running server on a free port of the loopback."""
    stub = StubApi()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", stub.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield stub
    finally:
        await stub.cut_watches()
        await runner.cleanup()
        # A transport is closed in the turn of the loop after the one that asked for it.
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@asynccontextmanager
async def connected(**access: Any) -> AsyncIterator[tuple[StubApi, Connection]]:
    """A running server and a connection to it."""
    async with stub_api() as stub, Connection.to(Access(stub.url, **access)) as connection:
        yield stub, connection
