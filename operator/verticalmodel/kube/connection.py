"""The one connection to the API server: an aiohttp session with a bounded pool and a token that follows its file."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import orjson
from yarl import URL

from verticalmodel.kube.kubeconfig import Access, from_kubeconfig, in_cluster

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType

__all__ = ["Connection"]

_CONNECT_SECONDS = 5.0
_TOTAL_SECONDS = 30.0


class _FileFollower:
    """Content of a file that another process replaces (a projected volume swaps a symlink): one stat per look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self.content = b""

    def changed(self) -> bool:
        """Look again; True where the content is new. A file that is gone for a moment keeps its last content."""
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns)
            if seen == self._seen:
                return False
            content = self._path.read_bytes()
        except FileNotFoundError:
            return False
        self._seen = seen
        fresh = content != self.content
        self.content = content
        return fresh


class _Credentials:
    """aiohttp client middleware: adds the bearer token, and only towards the API server itself."""

    def __init__(self, access: Access, trust: ssl.SSLContext | None) -> None:
        self._origin = URL(access.server).origin()
        self._trust = trust
        self._token_file = _FileFollower(access.token_file) if access.token_file else None
        self._ca_file = _FileFollower(access.ca_file) if access.ca_file else None
        self._header = f"Bearer {access.token}" if access.token else ""
        if self._ca_file:
            self._ca_file.changed()

    async def __call__(self, request: aiohttp.ClientRequest, handler: ClientHandlerType) -> aiohttp.ClientResponse:
        self._follow()
        if self._header and request.url.origin() == self._origin:
            request.headers["Authorization"] = self._header
        return await handler(request)

    def _follow(self) -> None:
        if self._token_file and self._token_file.changed():
            self._header = f"Bearer {self._token_file.content.decode('ascii').strip()}"
        if self._ca_file and self._trust and self._ca_file.changed():
            # A rotated authority is added; the old one stays trusted until the process ends, as in client-go.
            self._trust.load_verify_locations(cadata=self._ca_file.content.decode("ascii"))


def _trust_of(access: Access) -> ssl.SSLContext | None:
    """TLS towards the API server: only the cluster's CA, so that no system bundle is parsed. None for plain HTTP."""
    if access.server.startswith("http://"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if access.ca_pem is not None or access.ca_file is not None:
        context.load_verify_locations(cafile=access.ca_file, cadata=access.ca_pem)
    else:
        context.load_default_certs()
    if access.certificate_pem is not None and access.key_pem is not None:
        # OpenSSL's loader takes a file only; this one is 0600 and lives for the length of the call.
        with tempfile.NamedTemporaryFile() as file:
            file.write(access.certificate_pem + b"\n" + access.key_pem)
            file.flush()
            context.load_cert_chain(file.name)
    return context


class Connection:
    """An open connection. Made by `open` or `dedicated`, which also close it."""

    def __init__(self, access: Access, limit: int) -> None:
        self._access = access
        self._trust = _trust_of(access)
        self._credentials = _Credentials(access, self._trust)
        self._connector = aiohttp.TCPConnector(
            limit=limit, ssl=self._trust if self._trust is not None else True, keepalive_timeout=60.0
        )
        self.server = access.server
        self.namespace = access.namespace
        """Namespace of the service account, or of the kubeconfig's context."""
        self.session = self.lend_session()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, kubeconfig: Path | None = None, *, context: str | None = None, limit: int = 40
    ) -> AsyncIterator[Connection]:
        """Connect by the pod's service account, or by a kubeconfig file where one is given.

        `limit` bounds the TCP connections; every watch holds one, so keep it above watches + parallel requests.
        Nothing is sent before the first request. Raises kubeconfig.ConfigError.
        """
        access = in_cluster() if kubeconfig is None else from_kubeconfig(kubeconfig, context)
        async with cls.to(access, limit=limit) as connection:
            yield connection

    @classmethod
    @asynccontextmanager
    async def to(cls, access: Access, *, limit: int = 40) -> AsyncIterator[Connection]:
        """Connect by an `Access` that the caller has put together."""
        connection = cls(access, limit)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def dedicated(self, limit: int = 2) -> AsyncIterator[Connection]:
        """A second connection with a pool of its own, for requests that must never queue behind others (the Lease)."""
        async with type(self).to(self._access, limit=limit) as connection:
            yield connection

    def lend_session(self) -> aiohttp.ClientSession:
        """One more session on the same pool and credentials; whoever borrows it may close it, the pool stays open."""
        return aiohttp.ClientSession(
            connector=self._connector,
            connector_owner=False,
            # Inside a cluster compression costs the API server more than the wire.
            headers={"Accept-Encoding": "identity", "User-Agent": "verticalmodel"},
            json_serialize_bytes=orjson.dumps,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=_TOTAL_SECONDS, sock_connect=_CONNECT_SECONDS),
            middlewares=(self._credentials,),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the session and the pool; requests under way fail."""
        await self.session.close()
        await self._connector.close()
