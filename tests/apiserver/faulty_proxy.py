"""A reverse proxy in front of the API server that can be slow, refuse, or be gone: for tests of who lives behind it.

It runs in a thread of its own, so that it lives on between the tests that share it, and speaks plain HTTP on loopback;
towards the API server it is the administrator of a kubeconfig.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from verticalmodel.kube.connection import Connection

_HOP = frozenset({"connection", "transfer-encoding", "content-length", "host", "keep-alive"})


@dataclass(frozen=True)
class Fault:
    """What befalls the requests that `hits(method, path)` picks: a delay, and an answer instead of the server's."""

    hits: Callable[[str, str], bool]
    delay: float = 0.0
    status: int = 0
    reason: str = ""
    retry_after: int = 0


@dataclass
class Proxy:
    """The proxy, to be told from any thread what is to go wrong."""

    kubeconfig: Path
    """Of the administrator, straight to the API server."""
    port: int = 0
    fault: Fault | None = None
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def write_kubeconfig(self, path: Path) -> Path:
        """A kubeconfig that leads through the proxy."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "proxy", "user": {}}],
        }
        path.write_text(yaml.safe_dump(config))
        return path

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """The fault, while the block lasts."""
        self.fault = fault
        try:
            yield
        finally:
            self.fault = None

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Nobody listens and every connection is cut, while the block lasts."""
        self._call(self._runner.cleanup())
        try:
            yield
        finally:
            self._call(self._listen())

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """Listen until the block ends."""
        thread = threading.Thread(target=self._loop.run_forever, name="faulty proxy")
        thread.start()
        try:
            self._call(self._open())
            yield self
        finally:
            self._call(self._stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)

    async def _open(self) -> None:
        self._opened = Connection.open(self.kubeconfig, limit=200)
        self._connection = await self._opened.__aenter__()
        await self._listen()

    async def _listen(self) -> None:
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._opened.__aexit__(None, None, None)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        fault = self.fault
        if fault is not None and fault.hits(request.method, request.path):
            await asyncio.sleep(fault.delay)
            if fault.status:
                return _refusal(fault)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        async with self._connection.session.request(
            request.method,
            f"{self._connection.server}{request.raw_path}",
            data=await request.read() or None,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
            allow_redirects=False,
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


def _refusal(fault: Fault) -> web.Response:
    """A Status object, as the API server writes it."""
    status = {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": fault.status,
        "reason": fault.reason,
        "message": f"the test's proxy answers {fault.status}",
    }
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after else {}
    return web.json_response(status, status=fault.status, headers=headers)
