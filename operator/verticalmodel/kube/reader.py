"""The reading verbs of the Kubernetes API on plain dicts."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import aiohttp
import orjson

from verticalmodel.kube.errors import Gone, NotFound, ServerError, error_of
from verticalmodel.kube.resources import Key, Resource
from verticalmodel.kube.transport import Request, Transport

__all__ = ["Labels", "Listing", "Reader", "WatchEvent"]

Labels = Mapping[str, str] | str
"""Equality requirements, or a selector in the query's own syntax."""

_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_LIST_SECONDS = 60.0
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Listing:
    """One page of a list, or all of it. Items of built-in kinds carry no apiVersion and kind on the wire."""

    items: list[dict[str, Any]]
    resource_version: str
    """Where a watch goes on."""


class WatchEvent(NamedTuple):
    """One line of a watch; a BOOKMARK's object holds nothing but the resource version."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: dict[str, Any]


class Reader:
    """Reads from one API server. Every method raises errors.ApiError, and has a time-out."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(
        self, resource: Resource, key: Key, *, subresource: str = "", metadata_only: bool = False
    ) -> dict[str, Any]:
        """The object. Raises NotFound."""
        path = resource.path(key.namespace, key.name, subresource)
        accept = _METADATA if metadata_only else _JSON
        what = f"{resource.kind} {key}"
        return await self._transport.send(Request("get", resource.plural, what, "GET", path, accept=accept))

    async def find(self, resource: Resource, key: Key, *, metadata_only: bool = False) -> dict[str, Any] | None:
        """The object, or None where it does not exist."""
        try:
            return await self.get(resource, key, metadata_only=metadata_only)
        except NotFound:
            return None

    async def pages(  # noqa: PLR0913 - the API's own query parameters
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: Labels = "",
        fields: Labels = "",
        metadata_only: bool = False,
        page: int = 500,
    ) -> AsyncGenerator[Listing, None]:
        """The list, a page at a time, all of one snapshot; an empty `namespace` means all of them.

        Raises Gone where the snapshot expired between two pages: start over, with `page=0` for a single answer.
        """
        params = {**_selectors(labels, fields), **({"limit": str(page)} if page else {})}
        where = f"{resource.plural} in {namespace}" if namespace else resource.plural
        accept = _METADATA_LIST if metadata_only else _JSON
        while True:
            request = Request("list", resource.plural, where, "GET", resource.path(namespace), params, accept=accept)
            answer = await self._transport.send(request, timeout=_LIST_SECONDS)
            meta = answer.get("metadata") or {}
            yield Listing(answer.get("items") or [], meta.get("resourceVersion") or "")
            if not meta.get("continue"):
                return
            params["continue"] = meta["continue"]

    async def list(  # noqa: PLR0913 - the API's own query parameters
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: Labels = "",
        fields: Labels = "",
        metadata_only: bool = False,
        page: int = 500,
    ) -> Listing:
        """The whole list in one value; `pages` holds less memory at a time."""
        items: list[dict[str, Any]] = []
        version = ""
        try:
            async for part in self.pages(
                resource, namespace, labels=labels, fields=fields, metadata_only=metadata_only, page=page
            ):
                items += part.items
                version = part.resource_version
        except Gone:
            if not page:
                raise
            return await self.list(
                resource, namespace, labels=labels, fields=fields, metadata_only=metadata_only, page=0
            )
        return Listing(items, version)

    async def watch(  # noqa: PLR0913 - the API's own query parameters
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        labels: Labels = "",
        fields: Labels = "",
        metadata_only: bool = False,
        inactivity_seconds: float = 90.0,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Changes after `resource_version`, with bookmarks, until the server ends the stream (after 4 to 8 minutes).

        Raises Gone where the version is too old, Unreachable where nothing, not even a bookmark (one a minute), came
        for `inactivity_seconds`. Close the generator (contextlib.aclosing) to end it.
        """
        lifetime = random.randint(240, 480)  # noqa: S311 - keeps many watches from ending together
        params = {
            **_selectors(labels, fields),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(lifetime),
        }
        where = f"{resource.plural} in {namespace}" if namespace else resource.plural
        accept = _METADATA if metadata_only else _JSON
        request = Request("watch", resource.plural, where, "GET", resource.path(namespace), params, accept=accept)
        limit = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=inactivity_seconds)
        async with self._transport.exchange(request, limit) as response:
            rest = b""
            try:
                async for chunk in response.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        yield _event(request, line)
            finally:
                # Nobody waits for a goodbye on a stream that is given up: it could outlive the event loop.
                if response.connection is not None and response.connection.transport is not None:
                    response.connection.transport.abort()

    async def read(self, path: str) -> dict[str, Any]:
        """JSON of a path outside the resources: /version, /apis/<group>/<version> for discovery. Raises NotFound."""
        return await self._transport.send(Request("get", path.strip("/").split("/")[0], path, "GET", path))

    async def text(self, path: str) -> str:
        """Plain text of a path, for example /readyz or a node proxy's metrics."""
        return await self._transport.text(path)


def _event(request: Request, line: bytes) -> WatchEvent:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ServerError(f"{request}: a line of the stream is not JSON") from error
    if event["type"] == "ERROR":
        status = event["object"]
        raise error_of(str(request), int(status.get("code") or 500), status)
    return WatchEvent(event["type"], event["object"])


def _selectors(labels: Labels, fields: Labels) -> dict[str, str]:
    chosen = {"labelSelector": _selector(labels), "fieldSelector": _selector(fields)}
    return {name: value for name, value in chosen.items() if value}


def _selector(requirements: Labels) -> str:
    if isinstance(requirements, str):
        return requirements
    return ",".join(f"{name}={value}" for name, value in sorted(requirements.items()))
