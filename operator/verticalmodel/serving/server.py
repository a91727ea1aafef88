"""The process: a loopback socket, an HTTP server that is live at once, and a model loaded behind it.

KServe's ModelServer is not used: it binds every interface, wants the model loaded before it listens, and drops its
models on SIGTERM before the requests in flight are answered. uvicorn, which it wraps, does none of that by itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from kserve import ModelRepository

from verticalmodel.serving.app import application
from verticalmodel.serving.cpu import CPULimitError, thread_count
from verticalmodel.serving.guest import Guest
from verticalmodel.serving.listener import LOOPBACK, loopback_socket
from verticalmodel.serving.model import ModelLoadError, OnnxModel

# Longer than the guard keeps an idle connection to us, so that it is never the server that closes one under a request.
_KEEP_ALIVE_SECONDS = 75

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What the command line says. `port` 0 takes a free one; `termination_log` is where a fatal reason is left."""

    model_name: str
    model_path: Path
    port: int
    grace_seconds: int
    max_body_bytes: int
    termination_log: Path


def serve(settings: Settings) -> int:
    """Serve until told to stop; the process's exit status: 1 when it cannot serve, and the reason is left behind."""
    try:
        threads = thread_count(os.environ)
        listener = loopback_socket(settings.port)
    except CPULimitError as error:
        return report_failure(str(error), settings.termination_log)
    except OSError as error:
        return report_failure(
            f"cannot listen on {LOOPBACK}:{settings.port}: {error.strerror}", settings.termination_log
        )
    workers = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="inference")
    model = OnnxModel(settings.model_name, settings.model_path, threads=threads, workers=workers)
    repository = ModelRepository()
    repository.update(model)
    config = uvicorn.Config(
        application(
            repository,
            Guest(repository, workers, own=model.name),
            max_body_bytes=settings.max_body_bytes,
            concurrency=threads,
        ),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    fields = {"address": "{}:{}".format(*listener.getsockname()), "threads": threads}
    _log.info("listening", extra={"fields": fields})
    failure = asyncio.run(_run(uvicorn.Server(config), listener, model))
    workers.shutdown(wait=False, cancel_futures=True)
    return 0 if failure is None else report_failure(str(failure), settings.termination_log)


def report_failure(reason: str, termination_log: Path) -> int:
    """Leave a one-line reason where the kubelet picks it up, and in the log; the exit status.

    A termination message that cannot be written is no further failure.
    """
    _log.error("not serving", extra={"fields": {"reason": reason}})
    try:
        termination_log.write_text(reason + "\n", encoding="utf-8")
    except OSError as error:
        _log.warning("no termination message", extra={"fields": {"reason": error.strerror}})
    return 1


async def _run(server: uvicorn.Server, listener: socket.socket, model: OnnxModel) -> ModelLoadError | None:
    """Serve and load side by side; what made the load fail, after the server has stopped."""
    failures: list[ModelLoadError] = []

    def load() -> None:
        try:
            model.load()
        except ModelLoadError as error:
            failures.append(error)
            server.should_exit = True
        else:
            _log.info("ready", extra={"fields": {"model": model.name, **model.properties()}})

    # A daemon: building a session cannot be interrupted, and must not hold up an exit.
    threading.Thread(target=load, name="load", daemon=True).start()
    await server.serve(sockets=[listener])
    return failures[0] if failures else None
