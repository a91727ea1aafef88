"""Dynamic resource allocation on the node: the kubelet's plugin registration, prepare and unprepare, health."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from fakegpu.driver import claims
from fakegpu.driver.latest import Latest
from fakegpu.driver.names import DRIVER
from fakegpu.driver.profile import Profile
from fakegpu.driver.resource_slice import device_name
from fakegpu.driver.unix_server import UnixServer, service
from fakegpu.driver.wire import dra_health_pb2, dra_pb2, registration_pb2
from verticalmodel.kube.errors import ApiError

ReadClaim = Callable[[str, str], Awaitable[Mapping[str, Any]]]
"""The ResourceClaim of a namespace and a name; raises ApiError."""

_log = logging.getLogger(__name__)
_SERVICES: Final = ("v1.DRAPlugin", "v1.DRAResourceHealth")
# The kubelet calls a device's health unknown after 30 s without news.
_HEALTH_SECONDS: Final = 10.0


class DraPlugin:
    """Both sockets of a DRA driver. `registered` is what the kubelet last said about it."""

    def __init__(self, kubelet: Path, cdi: Path, node: str, profile: Latest[Profile], read: ReadClaim) -> None:
        self.registered = False
        self._cdi = cdi
        self._node = node
        self._profile = profile
        self._read = read
        plugin = dra_pb2.DESCRIPTOR.services_by_name["DRAPlugin"]
        health = dra_health_pb2.DESCRIPTOR.services_by_name["DRAResourceHealth"]
        registration = registration_pb2.DESCRIPTOR.services_by_name["Registration"]
        self._plugin = UnixServer(
            kubelet / "plugins" / DRIVER / "dra.sock",
            [
                service(plugin, {"NodePrepareResources": self._prepare, "NodeUnprepareResources": self._unprepare}),
                service(health, {"NodeWatchResources": self._watch}),
            ],
        )
        self._registrar = UnixServer(
            kubelet / "plugins_registry" / f"{DRIVER}-reg.sock",
            [service(registration, {"GetInfo": self._info, "NotifyRegistrationStatus": self._notify})],
        )

    async def keep(self) -> None:
        """Serve both sockets, and again where one was lost. The kubelet finds the second by watching its folder."""
        if self._plugin.serving and self._registrar.serving:
            return
        await self.stop()
        await self._plugin.start()
        await self._registrar.start()

    async def stop(self) -> None:
        """Take both sockets away, the kubelet's entrance first."""
        self.registered = False
        await self._registrar.stop()
        await self._plugin.stop()

    async def _info(self, _request: Any, _context: Any) -> Any:
        return registration_pb2.PluginInfo(
            type="DRAPlugin", name=DRIVER, endpoint=str(self._plugin.path), supported_versions=_SERVICES
        )

    async def _notify(self, request: Any, _context: Any) -> Any:
        self.registered = request.plugin_registered
        if request.plugin_registered:
            _log.info("registered at the kubelet")
        else:
            _log.error("the kubelet refuses the DRA plugin: %s", request.error)
        return registration_pb2.RegistrationStatusResponse()

    async def _prepare(self, request: Any, _context: Any) -> Any:
        return dra_pb2.NodePrepareResourcesResponse(
            claims={claim.uid: await self._prepared(claim) for claim in request.claims}
        )

    async def _prepared(self, asked: Any) -> Any:
        present = {device_name(index): device for index, device in enumerate(self._profile.value.devices)}
        devices = {name: device.uuid for name, device in present.items()}
        refused = {name for name, device in present.items() if device.state.claims == "Refused"}
        try:
            claim = await self._read(asked.namespace, asked.name)
            prepared = claims.prepare(claim, asked.uid, devices, self._cdi, refused)
        except (ApiError, claims.ClaimError, OSError) as error:
            _log.warning("claim %s/%s is not prepared: %s", asked.namespace, asked.name, error)
            return dra_pb2.NodePrepareResourceResponse(error=str(error))
        _log.info("claim %s/%s prepared: %s", asked.namespace, asked.name, ", ".join(p.device for p in prepared))
        return dra_pb2.NodePrepareResourceResponse(
            devices=[
                dra_pb2.Device(
                    request_names=[one.request], pool_name=one.pool, device_name=one.device, cdi_device_ids=one.cdi_ids
                )
                for one in prepared
            ]
        )

    async def _unprepare(self, request: Any, _context: Any) -> Any:
        answers = {}
        for claim in request.claims:
            claims.unprepare(claim.uid, self._cdi)
            answers[claim.uid] = dra_pb2.NodeUnprepareResourceResponse()
        return dra_pb2.NodeUnprepareResourcesResponse(claims=answers)

    async def _watch(self, _request: Any, _context: Any) -> AsyncGenerator[Any, None]:
        async for profile in self._profile.follow(every=_HEALTH_SECONDS):
            yield dra_health_pb2.NodeWatchResourcesResponse(
                devices=[self._health(index, device.state.health) for index, device in enumerate(profile.devices)]
            )

    def _health(self, index: int, health: str) -> Any:
        return dra_health_pb2.DeviceHealth(
            device=dra_health_pb2.DeviceIdentifier(pool_name=self._node, device_name=device_name(index)),
            health=dra_health_pb2.HealthStatus.Value(health.upper()),
            last_updated_time=int(time.time()),
        )
