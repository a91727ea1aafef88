"""/livez, /readyz and /metrics, for the kubelet and Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

__all__ = ["serving"]


def _check(holds: Callable[[], bool]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok\n") if holds() else web.Response(text="no\n", status=503)

    return answer


@asynccontextmanager
async def serving(
    address: str | None, port: int, *, live: Callable[[], bool], ready: Callable[[], bool], registry: CollectorRegistry
) -> AsyncIterator[int]:
    """Serve until left; yields the port. Raises OSError where it cannot listen."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/livez", _check(live))
    app.router.add_get("/readyz", _check(ready))
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
