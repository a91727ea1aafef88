"""The kubelet's older way to extended resources: devices listed on a stream, handed out by Allocate."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

from fakegpu.driver import cdi
from fakegpu.driver.latest import Latest
from fakegpu.driver.names import EXTENDED_RESOURCE
from fakegpu.driver.profile import Profile
from fakegpu.driver.unix_server import UnixServer, call, identity, service
from fakegpu.driver.wire import device_plugin_pb2

_log = logging.getLogger(__name__)
_VERSION: Final = "v1beta1"


class DevicePlugin:
    """`nvidia.com/gpu` at one kubelet."""

    def __init__(self, kubelet: Path, profile: Latest[Profile]) -> None:
        folder = kubelet / "device-plugins"
        self._profile = profile
        self._kubelet = folder / "kubelet.sock"
        self._registered_at: tuple[int, int] | None = None
        descriptor = device_plugin_pb2.DESCRIPTOR.services_by_name["DevicePlugin"]
        methods = {"GetDevicePluginOptions": self._options, "ListAndWatch": self._list, "Allocate": self._allocate}
        self._server = UnixServer(folder / "nvidia-gpu.sock", [service(descriptor, methods)])

    async def keep(self) -> None:
        """Serve and be registered; again after the kubelet restarted, which empties its folder and forgets plugins.

        Raises grpc.aio.AioRpcError where the kubelet does not answer.
        """
        now = identity(self._kubelet)
        if self._server.serving and self._registered_at == now:
            return
        self._registered_at = None
        await self._server.start()
        register = device_plugin_pb2.DESCRIPTOR.services_by_name["Registration"].methods_by_name["Register"]
        request = device_plugin_pb2.RegisterRequest(
            version=_VERSION,
            endpoint=self._server.path.name,
            resource_name=EXTENDED_RESOURCE,
            options=device_plugin_pb2.DevicePluginOptions(),
        )
        await call(self._kubelet, register, request)
        self._registered_at = now
        _log.info("registered at the kubelet")

    async def stop(self) -> None:
        """Take the socket away; the kubelet then counts no device as allocatable."""
        self._registered_at = None
        await self._server.stop()

    async def _options(self, _request: Any, _context: Any) -> Any:
        return device_plugin_pb2.DevicePluginOptions()

    async def _list(self, _request: Any, _context: Any) -> AsyncGenerator[Any, None]:
        async for profile in self._profile.follow():
            yield device_plugin_pb2.ListAndWatchResponse(
                devices=[
                    device_plugin_pb2.Device(ID=device.uuid, health=device.state.health) for device in profile.devices
                ]
            )

    async def _allocate(self, request: Any, _context: Any) -> Any:
        answers = [
            device_plugin_pb2.ContainerAllocateResponse(envs=cdi.environment(container.devices_ids))
            for container in request.container_requests
        ]
        return device_plugin_pb2.AllocateResponse(container_responses=answers)
