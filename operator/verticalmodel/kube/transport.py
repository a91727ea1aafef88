"""One request to the API server: time-out, JSON both ways, typed errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import aiohttp
import orjson
from yarl import URL

from verticalmodel.kube.connection import Connection
from verticalmodel.kube.errors import ApiError, ServerError, Unreachable, error_of

__all__ = ["Observer", "Request", "Transport"]

_CONNECT_SECONDS = 5.0

Observer = Callable[[str, str, str, float], None]
"""Called after each answer with verb, resource plural, HTTP status (or `unreachable`) and seconds."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. `verb` and `what` (for example `Deployment demo/a`) are for messages and metrics."""

    verb: str
    plural: str
    what: str
    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"
    accept: str = "application/json"

    def __str__(self) -> str:
        """The line that opens an error message."""
        return f"{self.verb} {self.what}"


class Transport:
    """Sends requests over a connection.

    `guard` is called before every request that writes and may raise, so that a replica that is no longer the leader
    stops at the last possible moment.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        timeout: float = 15.0,
        guard: Callable[[], None] | None = None,
        observe: Observer | None = None,
    ) -> None:
        self._session = connection.session
        self._server = connection.server
        self._timeout = timeout
        self._guard = guard
        self._observe = observe

    async def send(self, request: Request, *, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109 - the pool wait counts too
        """Send and decode the answer. Raises ApiError, and whatever the guard raises."""
        limit = aiohttp.ClientTimeout(total=timeout or self._timeout, sock_connect=_CONNECT_SECONDS)
        async with self.exchange(request, limit) as response:
            content = await response.read()
        try:
            answer: dict[str, Any] = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise ServerError(f"{request}: the answer is not JSON", status=response.status) from error
        return answer

    async def text(self, path: str) -> str:
        """Plain text of a path that serves no objects, for example /readyz. Raises ApiError."""
        request = Request("get", path.strip("/").split("/")[0], path, "GET", path, accept="text/plain, */*")
        limit = aiohttp.ClientTimeout(total=self._timeout, sock_connect=_CONNECT_SECONDS)
        async with self.exchange(request, limit) as response:
            return (await response.read()).decode(errors="replace")

    @asynccontextmanager
    async def exchange(self, request: Request, limit: aiohttp.ClientTimeout) -> AsyncIterator[aiohttp.ClientResponse]:
        """An open response of status 2xx; network failures in the body of the `with` become Unreachable too."""
        if self._guard is not None and request.method != "GET":
            self._guard()
        started = perf_counter()
        status = "unreachable"
        try:
            async with self._session.request(
                request.method,
                URL(self._server + request.path, encoded=True),
                params=request.params,
                data=None if request.body is None else orjson.dumps(request.body),
                headers={"Accept": request.accept, "Content-Type": request.content_type},
                timeout=limit,
                allow_redirects=False,
            ) as response:
                status = str(response.status)
                if not response.ok or response.status >= 300:
                    raise await _refusal(request, response)
                yield response
        except TimeoutError as error:
            raise Unreachable(f"{request}: no answer in time ({type(error).__name__})") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{request}: {type(error).__name__}: {error}") from error
        finally:
            if self._observe is not None:
                self._observe(request.verb, request.plural, status, perf_counter() - started)


async def _refusal(request: Request, response: aiohttp.ClientResponse) -> ApiError:
    content = await response.read()
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = {}
    return error_of(
        str(request), response.status, body if isinstance(body, dict) else {}, response.headers.get("Retry-After")
    )
