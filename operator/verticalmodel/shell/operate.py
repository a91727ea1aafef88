"""The operator's life: connect, stand by, lead, work, hand over."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import structlog

from verticalmodel import __version__
from verticalmodel.api import names
from verticalmodel.api.model_status import VerticalModelStatus
from verticalmodel.facts import Platform
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.health import not_silent, serve_health
from verticalmodel.kube.leader import Leader
from verticalmodel.kube.resources import Key
from verticalmodel.shell.authorities import Rotation, ensure_authority
from verticalmodel.shell.caches import Caches
from verticalmodel.shell.certificates import Certificates
from verticalmodel.shell.event_recorder import EventRecorder
from verticalmodel.shell.events import ModelEvents
from verticalmodel.shell.issuer import Authority
from verticalmodel.shell.metrics import Metrics
from verticalmodel.shell.prober_identity import first_prober_authority, keep_prober_identity
from verticalmodel.shell.queue import WorkQueue
from verticalmodel.shell.reconcile import Reconciler
from verticalmodel.shell.settings import Settings
from verticalmodel.shell.standard_status import StandardStatus

_LOG = structlog.get_logger(__name__)
_LEADER_SILENCE_SECONDS = 30.0


class _Stopping(Exception):  # noqa: N818 - a wish, not an error
    """A signal asked for the end."""


async def operate(settings: Settings) -> None:
    """Run until a signal. Raises ExceptionGroup where going on would be wrong: leadership lost, a watcher dead."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    metrics = Metrics(__version__)
    async with Connection.open(settings.kubeconfig) as connection, connection.dedicated() as own:
        lease = Key(settings.system_namespace, names.ACCOUNT_OPERATOR)
        leader = Leader(
            ApiClient(own, manager=names.MANAGER_CHILDREN), lease, identity=settings.identity, on_change=metrics.leads
        )
        live = {"leader": not_silent("the leader loop", lambda: leader.silent_seconds, _LEADER_SILENCE_SECONDS)}
        async with serve_health(settings.health_port, live=live, ready={}, registry=metrics.registry):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_until(stopping))
                    await leader.acquire()
                    await _Leadership(settings, connection, leader, metrics).work(group, stopping)
            except* _Stopping:
                # Passes under way were cancelled: each is right to repeat from the start, by whoever leads next.
                _LOG.info("stopping")
            finally:
                await leader.release()


class _Leadership:
    """Everything that only the leader does."""

    def __init__(self, settings: Settings, connection: Connection, leader: Leader, metrics: Metrics) -> None:
        self._settings = settings
        self._leader = leader
        self._metrics = metrics
        self._api = ApiClient(connection, manager=names.MANAGER_CHILDREN, guard=leader.check, observe=metrics.requested)
        self._queue: WorkQueue[Key] = WorkQueue(self._pass, workers=settings.workers, hooks=metrics)
        self._standards: WorkQueue[Key] = WorkQueue(StandardStatus(self._api, _now), workers=1)
        self._caches = Caches(self._api, self._queue.add, self._standards.add)
        self._events = ModelEvents(connection, self._api, on_model=self._on_model, on_gone=self._on_gone)
        metrics.watch_queue(self._queue)

    async def work(self, group: asyncio.TaskGroup, stopping: asyncio.Event) -> NoReturn:
        """Fill the caches, then reconcile until cancelled; what must not die runs in `group`."""
        settings = self._settings
        group.create_task(self._leader.hold())
        group.create_task(self._events.run(stopping.set))
        for informer in self._caches.informers():
            group.create_task(informer.run())
        platform = Platform(
            guard_image=settings.guard_image,
            unseal_image=settings.unseal_image,
            version=__version__,
            system_namespace=settings.system_namespace,
            cluster_domain=settings.cluster_domain,
            ingress_controllers=settings.ingress_controllers,
            # Before the first pass: guards are pinned with it.
            prober_authority=await first_prober_authority(self._api, settings.system_namespace, _now()),
        )
        authority = await ensure_authority(self._api, settings.system_namespace, _now())
        self._certificates = Certificates(self._api, authority, settings.cluster_domain, _now)
        self._pass_over = Reconciler(
            api=self._api,
            caches=self._caches,
            platform=platform,
            certificates=self._certificates,
            recorder=EventRecorder(self._api, settings.identity),
            clock=_now,
            on_status=self._on_status,
        )
        await self._caches.synced()
        await self._events.synced.wait()
        _LOG.info("working", models=len(self._caches.model_keys()), workers=settings.workers)
        # Not before the models are known: an authority that one of them names must not leave the bundle.
        rotation = Rotation(
            api=self._api,
            namespace=settings.system_namespace,
            overlap=timedelta(seconds=settings.authority_overlap_seconds),
            clock=_now,
            named=lambda: self._caches.issuers(_now()),
            on_signer=self._on_signer,
        )
        group.create_task(rotation.run())
        group.create_task(keep_prober_identity(self._api, settings.system_namespace, _now, self._on_prober_authority))
        group.create_task(self._standards.run())
        group.create_task(self._standards.resync(lambda: self._caches.standards, settings.resync_seconds))
        group.create_task(self._queue.resync(self._caches.model_keys, settings.resync_seconds))
        await self._queue.run()
        raise AssertionError("unreachable: nobody stops the queue but a cancellation")

    def _on_signer(self, authority: Authority) -> None:
        if self._certificates.sign_with(authority):
            for key in self._caches.model_keys():
                self._queue.add(key)

    def _on_prober_authority(self, authority: str) -> None:
        if self._pass_over.know_prober_by(authority):
            for key in self._caches.model_keys():
                self._queue.add(key)

    async def _pass(self, key: Key) -> float | None:
        return await self._pass_over(key)

    def _on_model(self, key: Key, body: dict[str, Any]) -> None:
        self._caches.put_model(key, body)
        self._queue.add(key)

    def _on_gone(self, key: Key) -> None:
        self._caches.drop_model(key)
        self._queue.forget(key)
        self._metrics.forget(key)

    def _on_status(self, key: Key, status: VerticalModelStatus) -> None:
        self._metrics.conditions(key, {condition.type: condition.status for condition in status.conditions})


async def _until(stopping: asyncio.Event) -> NoReturn:
    await stopping.wait()
    raise _Stopping


def _now() -> datetime:
    return datetime.now(UTC)
