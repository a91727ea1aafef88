"""kopf as the source of VerticalModel events, and nothing else: it writes nothing, stores nothing, judges nothing.

Its own blind spots (reference: kopf 1.45) are covered here: objects deleted while no watch ran are found by a full list
(at the start and every `relist_seconds`), it shares our connection, keeps its hands off our signals and our tasks, and
a dead watcher ends `run` with an error instead of leaving a deaf operator.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any, NoReturn

import kopf

from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.errors import ApiError
from verticalmodel.kube.resources import VERTICAL_MODELS, Key, key_of
from verticalmodel.shell.kopf_embedding import IDENTITY, EveryTask, end_strays, quiet_settings, take_signals

__all__ = ["EventSourceDied", "ModelEvents"]

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.5
_STOP_SECONDS = 5.0
_LOGIN_PAUSE_SECONDS = 1.0
_FIRST_RELIST_SECONDS = 10.0


class EventSourceDied(Exception):  # noqa: N818 - what happened
    """kopf stopped by itself, for example because a watcher died: end the process and start again."""


class ModelEvents:
    """Tells of every VerticalModel: `on_model(key, body)` for each newer version seen, `on_gone(key)` once it is gone.

    Both must be fast and must not raise: what they raise ends `run`. Bodies are the caller's to keep.
    """

    def __init__(
        self,
        connection: Connection,
        api: ApiClient,
        *,
        on_model: Callable[[Key, dict[str, Any]], None],
        on_gone: Callable[[Key], None],
        relist_seconds: float = 600.0,
    ) -> None:
        self.synced = asyncio.Event()
        """Set once every model that existed at the start has been told."""
        self._connection = connection
        self._api = api
        self._on_model = on_model
        self._on_gone = on_gone
        self._relist_seconds = relist_seconds
        self._versions: dict[Key, int] = {}
        self._buried: dict[Key, int] | None = None
        self._failure: Exception | None = None
        self._stop = asyncio.Event()
        self._lent: list[Any] = []

    @property
    def known(self) -> Collection[Key]:
        """Every model that is there."""
        return self._versions.keys()

    async def run(self, on_signal: Callable[[], None] | None = None) -> NoReturn:
        """Watch until cancelled. Raises EventSourceDied.

        kopf takes SIGTERM and SIGINT for itself when it starts; `on_signal` is put in its place.
        """
        await self._told_all()
        self.synced.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_listing())
            group.create_task(self._watch(on_signal))
        raise AssertionError("unreachable: both tasks end with an error")

    async def _told_all(self) -> None:
        """Tell of every model; waits for the kind, because kopf looks at what the server offers once, at its start."""
        warned = False
        while True:
            try:
                offered = await self._api.read(f"/apis/{VERTICAL_MODELS.api_version}")
                if any(entry["name"] == VERTICAL_MODELS.plural for entry in offered["resources"]):
                    await self._relist()
                    return
                why = "the kind is not served"
            except ApiError as error:
                why = str(error)
            if not warned:
                _log.warning("waiting for the VerticalModel kind", extra={"error": why})
                warned = True
            await asyncio.sleep(_POLL_SECONDS)

    async def _keep_listing(self) -> NoReturn:
        # Soon after the start: what was deleted between our list and kopf's own is told by neither.
        pause = min(_FIRST_RELIST_SECONDS, self._relist_seconds)
        while True:
            await asyncio.sleep(pause)
            pause = self._relist_seconds
            try:
                await self._relist()
            except ApiError as error:
                _log.warning("models not listed, will be retried", extra={"error": str(error)})

    async def _relist(self) -> None:
        # Events go on arriving while the pages do; versions say which of the two is newer.
        self._buried = {}
        try:
            listing = await self._api.list(VERTICAL_MODELS)
            listed = set()
            for body in listing.items:
                key = key_of(body)
                listed.add(key)
                if self._buried.get(key, -1) < _version(body):
                    self._saw(key, body)
            snapshot = int(listing.resource_version)
            for key in [key for key, version in self._versions.items() if key not in listed and version <= snapshot]:
                _log.info("a model went away unseen", extra={"model": str(key)})
                self._lost(key, snapshot)
        finally:
            self._buried = None

    async def _watch(self, on_signal: Callable[[], None] | None) -> NoReturn:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        kopf.on.event(VERTICAL_MODELS.group, VERTICAL_MODELS.version, VERTICAL_MODELS.plural, registry=registry)(
            self._on_event
        )
        # Below that it tells of every single event and of its own steps.
        logging.getLogger("kopf").setLevel(logging.WARNING)
        try:
            tasks = await kopf.spawn_tasks(
                registry=registry,
                settings=quiet_settings(),
                standalone=True,
                clusterwide=True,
                stop_flag=self._stop,
                identity=IDENTITY,
            )
            take_signals(on_signal)
            await self._until_stopped(asyncio.create_task(kopf.run_tasks(tasks, ignored=EveryTask())))
        except Exception as error:
            raise EventSourceDied(f"kopf stopped: {type(error).__name__}: {error}") from error
        finally:
            await end_strays()
            for session in self._lent:
                await session.close()
        raise EventSourceDied("kopf stopped") from self._failure

    async def _until_stopped(self, running: asyncio.Task[None]) -> None:
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            # kopf shuts down in order when it is asked, and in disorder when it is cancelled.
            self._stop.set()
            await asyncio.wait({running}, timeout=_STOP_SECONDS)
            raise

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        if self._lent:
            # Called again after a 401: give a token that is just being rotated a moment.
            await asyncio.sleep(_LOGIN_PAUSE_SECONDS)
        session = self._connection.lend_session()
        self._lent.append(session)
        return kopf.AiohttpSession(aiohttp_session=session, server=self._connection.server)

    async def _on_event(self, event: Any, **_: Any) -> None:
        try:
            body = event["object"]
            key = key_of(body)
            if event["type"] == "DELETED":
                self._lost(key, _version(body))
            else:
                self._saw(key, body)
        except Exception as error:  # noqa: BLE001 - kopf would log it and go on deaf
            self._failure = error
            self._stop.set()

    def _saw(self, key: Key, body: dict[str, Any]) -> None:
        version = _version(body)
        if version > self._versions.get(key, -1):
            self._versions[key] = version
            self._on_model(key, body)

    def _lost(self, key: Key, version: int) -> None:
        if self._buried is not None:
            self._buried[key] = version
        if self._versions.get(key, version) <= version and self._versions.pop(key, None) is not None:
            self._on_gone(key)


def _version(body: dict[str, Any]) -> int:
    """The resourceVersion as a number, comparable within one resource (KEP-5504)."""
    return int(body["metadata"]["resourceVersion"])
