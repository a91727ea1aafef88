"""Health and metrics of a process over HTTP, on a server of its own so that a standby answers too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

__all__ = ["Check", "not_silent", "serve_health"]

Check = Callable[[], str]
"""Says what is wrong, or an empty string. Fast, and without effects."""


def not_silent(what: str, silent_seconds: Callable[[], float], limit: float) -> Check:
    """A check that a loop came round within the last `limit` seconds."""

    def check() -> str:
        silent = silent_seconds()
        return "" if silent <= limit else f"{what} has been silent for {silent:.0f} s, allowed are {limit:.0f} s"

    return check


@asynccontextmanager
async def serve_health(
    port: int,
    *,
    live: Mapping[str, Check],
    ready: Mapping[str, Check],
    registry: CollectorRegistry,
    host: str | None = None,
) -> AsyncIterator[int]:
    """Serve /livez, /readyz and /metrics while the context is open; yields the port that was bound (for port 0).

    200 where every check passes, 503 otherwise, with one line per check. A stuck event loop answers nothing at all,
    which the kubelet's time-out turns into the same verdict. `host` None listens on every interface, for the kubelet.
    """

    async def metrics(request: web.Request) -> web.Response:
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        # Thousands of series take a while to write: not on the loop that renews the lease.
        body = await asyncio.to_thread(encoder, registry)
        return web.Response(body=body, headers={"Content-Type": content_type})

    application = web.Application()
    application.router.add_get("/livez", _answer(live))
    application.router.add_get("/readyz", _answer(ready))
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _answer(checks: Mapping[str, Check]) -> Callable[[web.Request], asyncio.Future[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        wrong = {name: check() for name, check in checks.items()}
        lines = [f"[-]{name}: {why}" if why else f"[+]{name}" for name, why in wrong.items()]
        return web.Response(text="\n".join([*lines, ""]), status=503 if any(wrong.values()) else 200)

    return answer  # type: ignore[return-value]  # a coroutine function is what the router wants
