"""IngressRouteTCPs are followed only while the cluster serves them: without Traefik's CRDs there is nothing to list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

from verticalmodel.kube.informer import Informer
from verticalmodel.kube.reader import Reader
from verticalmodel.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, INGRESS_ROUTE_TCPS, Key, Resource
from verticalmodel.shell.projection import Child

__all__ = ["TraefikRoutes"]

_DEFINITION = f"{INGRESS_ROUTE_TCPS.plural}.{INGRESS_ROUTE_TCPS.group}"
Informers = dict[Resource, Informer[Child]]


class TraefikRoutes:
    """Keeps an informer in `informers` while the CRD of IngressRouteTCP is there.

    `make` gives a new one; `on_change` runs when the kind comes (and is listed) or goes.
    """

    def __init__(
        self, api: Reader, informers: Informers, make: Callable[[], Informer[Child]], on_change: Callable[[], None]
    ) -> None:
        self.synced = asyncio.Event()
        """Set once it is known whether the kind is served and, where it is, its objects are listed; stays set."""
        self._informers = informers
        self._make = make
        self._on_change = on_change
        self._changed = asyncio.Event()
        self._definition: Informer[str] = Informer(
            api,
            CUSTOM_RESOURCE_DEFINITIONS,
            _served,
            fields={"metadata.name": _DEFINITION},
            on_change=self._told,
        )

    @property
    def served(self) -> bool:
        """Whether routes of this kind can be written and their state is known."""
        informer = self._informers.get(INGRESS_ROUTE_TCPS)
        return informer is not None and informer.synced.is_set()

    async def run(self) -> NoReturn:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._definition.run())
            await self._definition.synced.wait()
            while True:
                self._changed.clear()
                if len(self._definition):
                    await self._follow()
                else:
                    self.synced.set()
                    await self._changed.wait()

    async def _follow(self) -> None:
        """Keep the informer until the CRD changes."""
        informer = self._informers[INGRESS_ROUTE_TCPS] = self._make()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(informer.run()), group.create_task(self._listed(informer))]
                await self._changed.wait()
                for task in tasks:
                    task.cancel()
        finally:
            del self._informers[INGRESS_ROUTE_TCPS]
            self._on_change()

    async def _listed(self, informer: Informer[Child]) -> None:
        await informer.synced.wait()
        self.synced.set()
        self._on_change()

    def _told(self, _key: Key, _old: str | None, _new: str | None) -> None:
        self._changed.set()


def _served(definition: dict[str, Any]) -> str | None:
    """Identity of the CRD once its objects can be read; None before."""
    conditions = {one["type"]: one["status"] for one in (definition.get("status") or {}).get("conditions") or ()}
    versions = {one["name"] for one in definition["spec"]["versions"] if one.get("served")}
    ready = conditions.get("Established") == "True" and INGRESS_ROUTE_TCPS.version in versions
    return str(definition["metadata"]["uid"]) if ready else None
