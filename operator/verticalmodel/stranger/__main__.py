"""`python -m verticalmodel.stranger`: waits for errands of the prober.

It has no rights, keeps nothing, and does no more than to connect and to ask: who may send it on errands (a
NetworkPolicy lets in the prober alone) learns what any pod of the cluster could find out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from typing import Final

import structlog
from aiohttp import web
from pydantic import ValidationError

from verticalmodel import __version__
from verticalmodel.api import names
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.kubeconfig import ConfigError, in_cluster
from verticalmodel.kube.logs import configure
from verticalmodel.stranger.attempts import attempt
from verticalmodel.stranger.errand import PATH, Errand

_log = structlog.get_logger("verticalmodel.stranger")
_AT_ONCE: Final = 8
_BODY_LIMIT: Final = 16 * 1024


def application(connection: Connection) -> web.Application:
    """POST /errands takes an Errand and answers its Report, 400 for what is none; GET /livez answers 200."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def errands(request: web.Request) -> web.Response:
        try:
            errand = Errand.model_validate_json(await request.read())
        except ValidationError as error:
            fields = ", ".join(".".join(map(str, one["loc"])) or "body" for one in error.errors())
            return web.Response(status=400, text=f"not an errand: {fields}\n")
        async with slots:
            report = await attempt(errand, connection)
        return web.Response(text=report.model_dump_json(), content_type="application/json")

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application(client_max_size=_BODY_LIMIT)
    app.router.add_post(PATH, errands)
    app.router.add_get("/livez", livez)
    return app


async def _serve(port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Connection.to(in_cluster(), limit=_AT_ONCE) as connection:
        runner = web.AppRunner(application(connection), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, None, port).start()
            _log.info("stranger waits", version=__version__, port=port)
            await stop.wait()
        finally:
            await runner.cleanup()


def main() -> int:
    """Exit status 0 after SIGTERM or SIGINT, 2 where it is in no pod or cannot listen."""
    parser = argparse.ArgumentParser(prog="python -m verticalmodel.stranger", description=__doc__)
    parser.add_argument("--port", type=int, default=names.STRANGER_PORT, metavar="N", help="default: %(default)s")
    options = parser.parse_args()
    configure(os.environ.get("LOG_LEVEL", "INFO"))
    try:
        asyncio.run(_serve(options.port))
    except ConfigError as error:
        _log.error("no way to the API server", error=str(error))
        return 2
    except OSError as error:
        _log.error("cannot listen", port=options.port, error=error.strerror)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
