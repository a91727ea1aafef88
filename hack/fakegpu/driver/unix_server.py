"""gRPC over a unix socket: services served and methods called by their descriptors, with no generated stubs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message_factory import GetMessageClass

Handler = Callable[[Any, Any], Any]
_GRACE_SECONDS: Final = 1.0
_CALL_SECONDS: Final = 5.0


def service(descriptor: Any, methods: Mapping[str, Handler]) -> Any:
    """A gRPC service; `methods` maps names of the descriptor's methods to coroutines or, for streams, generators."""
    table = {}
    for name, handle in methods.items():
        method = descriptor.methods_by_name[name]
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        table[name] = make(
            handle,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )
    return grpc.method_handlers_generic_handler(descriptor.full_name, table)


async def call(socket: Path, method: Any, request: Any) -> Any:
    """Answer of a method (its descriptor) at a unix socket. Raises grpc.aio.AioRpcError."""
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        ask = channel.unary_unary(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return await ask(request, timeout=_CALL_SECONDS)


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from a later one of the same name; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_ctime_ns


class UnixServer:
    """Services on one socket. Restart it where `serving` is False: somebody removed or replaced the socket."""

    def __init__(self, path: Path, services: Sequence[Any]) -> None:
        self.path = path
        self._services = services
        self._server: Any = None
        self._socket: tuple[int, int] | None = None

    @property
    def serving(self) -> bool:
        """Whether the socket is there and ours."""
        return self._socket is not None and identity(self.path) == self._socket

    async def start(self) -> None:
        """Serve, in place of whatever was at the path. Raises OSError."""
        await self.stop()
        self.path.unlink(missing_ok=True)
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers(self._services)
        self._server.add_insecure_port(f"unix:{self.path}")
        await self._server.start()
        self._socket = identity(self.path)

    async def stop(self) -> None:
        """End the service and take the socket away, if it is ours; nothing where it does not run."""
        if self._server is None:
            return
        server, self._server = self._server, None
        if self.serving:
            self.path.unlink(missing_ok=True)
        self._socket = None
        await server.stop(_GRACE_SECONDS)
