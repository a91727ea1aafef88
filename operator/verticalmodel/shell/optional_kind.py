"""Kinds that others define are followed only while the cluster serves them: without a CRD there is nothing to list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import structlog

from verticalmodel.kube.informer import Informer
from verticalmodel.kube.reader import Reader
from verticalmodel.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, Key, Resource
from verticalmodel.shell.projection import Child

__all__ = ["Informers", "OptionalKind"]

_PATIENCE_SECONDS = 60.0

_LOG = structlog.get_logger(__name__)
Informers = dict[Resource, Informer[Child]]


class OptionalKind:
    """Keeps an informer in `informers` while the CRD of `resource` is there.

    A kind that may not be listed counts as not served, is tried again with back-off, and holds nobody up. While the API
    server gives no such answer, whether it is served is not known; after a minute it counts as not served all the same,
    so that one kind of somebody else's keeps no model waiting that has nothing to do with it.
    `make` gives a new informer; `on_change` runs when the kind comes (and is listed) or goes.
    """

    def __init__(
        self,
        api: Reader,
        resource: Resource,
        informers: Informers,
        make: Callable[[], Informer[Child]],
        on_change: Callable[[], None],
    ) -> None:
        self.synced = asyncio.Event()
        """Set once it is known whether the kind is served and, where it is, its first list was answered; stays set."""
        self._resource = resource
        self._informers = informers
        self._make = make
        self._on_change = on_change
        self._changed = asyncio.Event()
        self._definition: Informer[str] = Informer(
            api,
            CUSTOM_RESOURCE_DEFINITIONS,
            self._served_as,
            fields={"metadata.name": f"{resource.plural}.{resource.group}"},
            on_change=self._told,
        )

    @property
    def served(self) -> bool:
        """Whether objects of this kind can be written and their state is known."""
        informer = self._informers.get(self._resource)
        return informer is not None and informer.synced.is_set()

    async def run(self) -> NoReturn:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._definition.run())
            await _answered(self._definition)
            while True:
                self._changed.clear()
                if len(self._definition):
                    await self._follow()
                else:
                    self.synced.set()
                    await self._changed.wait()

    async def _follow(self) -> None:
        """Keep the informer until the CRD changes."""
        informer = self._informers[self._resource] = self._make()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(informer.run()), group.create_task(self._listed(informer))]
                await self._changed.wait()
                for task in tasks:
                    task.cancel()
        finally:
            del self._informers[self._resource]
            self._on_change()

    async def _listed(self, informer: Informer[Child]) -> None:
        await _answered(informer)
        self.synced.set()
        if not informer.synced.is_set():
            _LOG.warning("kind may not be listed, so it counts as not served", resource=self._resource.plural)
        await informer.synced.wait()
        self._on_change()

    def _served_as(self, definition: dict[str, Any]) -> str | None:
        """Identity of the CRD once its objects can be read; None before."""
        conditions = {one["type"]: one["status"] for one in (definition.get("status") or {}).get("conditions") or ()}
        versions = {one["name"] for one in definition["spec"]["versions"] if one.get("served")}
        ready = conditions.get("Established") == "True" and self._resource.version in versions
        return str(definition["metadata"]["uid"]) if ready else None

    def _told(self, _key: Key, _old: str | None, _new: str | None) -> None:
        self._changed.set()


async def _answered(informer: Informer[Any]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await informer.answered.wait()
