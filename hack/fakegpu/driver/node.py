"""One node's driver: keeps what the cluster and the kubelet see equal to the profile, whatever happens to either."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from fakegpu.driver.claims import replace_file
from fakegpu.driver.device_plugin import DevicePlugin
from fakegpu.driver.dra_plugin import DraPlugin
from fakegpu.driver.feature_labels import LABELS, feature_labels
from fakegpu.driver.latest import Latest
from fakegpu.driver.names import DRIVER
from fakegpu.driver.profile import Profile, ProfileError, parse
from fakegpu.driver.readings import FILE_NAME, readings
from fakegpu.driver.resource_slice import published, resource_slice, slice_name, taints_dropped
from verticalmodel.kube.backoff import Backoff
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import ApiError
from verticalmodel.kube.informer import Informer
from verticalmodel.kube.resources import CONFIG_MAPS, NODES, Key, Resource

RESOURCE_SLICES: Final = Resource("resource.k8s.io", "v1", "resourceslices", namespaced=False, kind="ResourceSlice")
RESOURCE_CLAIMS: Final = Resource("resource.k8s.io", "v1", "resourceclaims", namespaced=True, kind="ResourceClaim")

_log = logging.getLogger(__name__)
# Sockets send no events; a look is two stat calls.
_LOOK_SECONDS: Final = 1.0
_BACKOFF: Final = Backoff(base=0.5, cap=10.0)


@dataclass(frozen=True)
class Settings:
    """Where this driver runs and which folders are the node's."""

    node: str
    namespace: str
    config_map: str
    kubelet: Path
    cdi: Path
    readings: Path
    ready: Path
    """Exists while the last pass went through and the kubelet has accepted the plugin."""


class NodeDriver:
    """Level-triggered: every pass compares all of it, so a lost event or a hand-made change costs one pass."""

    def __init__(self, settings: Settings, api: ApiClient) -> None:
        self._settings = settings
        self._api = api
        self._wanted = asyncio.Event()
        self._profile = Latest(Profile())
        self._taints = True
        self._read: dict[str, str] | None = None
        self._reported: dict[str, Any] = {}
        self._dra = DraPlugin(settings.kubelet, settings.cdi, settings.node, self._profile, self._read_claim)
        self._device_plugin = DevicePlugin(settings.kubelet, self._profile)
        self._profiles = Informer(
            api,
            CONFIG_MAPS,
            lambda found: dict(found.get("data") or {}),
            namespace=settings.namespace,
            fields={"metadata.name": settings.config_map},
            on_change=self._wake,
        )
        self._nodes = Informer(
            api, NODES, _node, fields={"metadata.name": settings.node}, metadata_only=True, on_change=self._wake
        )
        self._slices = Informer(
            api,
            RESOURCE_SLICES,
            lambda found: published(found["spec"]),
            fields={"spec.nodeName": settings.node, "spec.driver": DRIVER},
            on_change=self._wake,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; the sockets go then, slice and labels stay for the pod that follows."""
        informers = (self._profiles, self._nodes, self._slices)
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = [group.create_task(informer.run()) for informer in informers]
            for informer in informers:
                await informer.synced.wait()
            tasks.append(group.create_task(self._work()))
            await stop.wait()
            for task in tasks:
                task.cancel()
        self._settings.ready.unlink(missing_ok=True)
        await self._dra.stop()
        await self._device_plugin.stop()

    async def _work(self) -> None:
        failures = 0
        while True:
            self._wanted.clear()
            try:
                await self._pass()
                failures = 0
            except (ApiError, OSError, grpc.aio.AioRpcError) as error:
                failures += 1
                _log.warning("pass failed (%d in a row): %s", failures, error)
                self._settings.ready.unlink(missing_ok=True)
                await asyncio.sleep(_BACKOFF.delay(failures))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._wanted.wait()

    async def _pass(self) -> None:
        self._read_profile()
        self._report()
        if self._profile.value.mode == "dra":
            await self._device_plugin.stop()
            await self._label()
            await self._dra.keep()
            await self._publish()
            registered = self._dra.registered
        else:
            await self._dra.stop()
            await self._withdraw()
            await self._device_plugin.keep()
            await self._label()
            registered = True
        if registered:
            self._settings.ready.touch()

    def _read_profile(self) -> None:
        data = self._profiles.get(Key(self._settings.namespace, self._settings.config_map)) or {}
        if data == self._read:
            return
        self._read = data
        try:
            profile = parse(data, self._settings.node)
        except ProfileError as error:
            _log.error("the profile stays as it was: %s", error)
            return
        self._profile.put(profile)

    def _report(self) -> None:
        """Write the readings where they changed or the file is gone."""
        path = self._settings.readings / FILE_NAME
        document = readings(self._settings.node, self._profile.value)
        if document != self._reported or not path.exists():
            replace_file(path, document)
            self._reported = document

    async def _publish(self) -> None:
        node = self._nodes.get(Key("", self._settings.node))
        if node is None:
            return
        wanted = resource_slice(self._settings.node, node[0], self._profile.value, taints=self._taints)
        if self._slices.get(Key("", slice_name(self._settings.node))) == wanted["spec"]:
            return
        answer = await self._api.apply(RESOURCE_SLICES, wanted)
        _log.info("slice published: %d devices", len(wanted["spec"]["devices"]))
        if taints_dropped(wanted["spec"], answer["spec"]):
            # An API server without the feature drops taints without a word.
            _log.warning("no device taints here: a broken device is left out of the slice instead")
            self._taints = False
            self._wanted.set()

    async def _withdraw(self) -> None:
        name = Key("", slice_name(self._settings.node))
        if self._slices.get(name) is not None:
            await self._api.delete(RESOURCE_SLICES, name)

    async def _label(self) -> None:
        name = Key("", self._settings.node)
        node = self._nodes.get(name)
        wanted = feature_labels(self._profile.value)
        if node is None or node[1] == wanted:
            return
        labels = {label: wanted.get(label) for label in LABELS}
        await self._api.patch_merge(NODES, name, {"metadata": {"labels": labels}})

    async def _read_claim(self, namespace: str, name: str) -> Mapping[str, Any]:
        return await self._api.get(RESOURCE_CLAIMS, Key(namespace, name))

    def _wake(self, *_change: object) -> None:
        self._wanted.set()


def _node(found: dict[str, Any]) -> tuple[str, dict[str, str]]:
    labels = found["metadata"].get("labels") or {}
    return found["metadata"]["uid"], {name: labels[name] for name in LABELS if name in labels}
