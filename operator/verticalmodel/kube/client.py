"""Typed verbs of the Kubernetes API on plain dicts, as thin as the wire allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from verticalmodel.kube.connection import Connection
from verticalmodel.kube.errors import NotFound
from verticalmodel.kube.reader import Labels, Listing, Reader, WatchEvent
from verticalmodel.kube.resources import Key, Resource
from verticalmodel.kube.transport import Observer, Request, Transport

__all__ = ["ApiClient", "Labels", "Listing", "Propagation", "WatchEvent"]

Propagation = Literal["Background", "Foreground", "Orphan"]
_APPLY = "application/apply-patch+yaml"
_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"


class ApiClient(Reader):
    """Requests to one API server. Every method raises errors.ApiError, and has a time-out.

    `manager` is the default field manager of writes, `timeout` the seconds one request may take, the wait for a pooled
    connection included. `guard` runs before every write and may raise (leadership). `observe` counts requests.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        manager: str = "",
        timeout: float = 15.0,
        guard: Callable[[], None] | None = None,
        observe: Observer | None = None,
    ) -> None:
        super().__init__(Transport(connection, timeout=timeout, guard=guard, observe=observe))
        self._manager = manager

    async def apply(  # noqa: PLR0913 - the API's own query parameters
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        manager: str = "",
        force: bool = True,
        subresource: str = "",
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Server-side apply (KEP-555) of `body`, which names itself; creates it where it does not exist.

        Unknown fields are refused (a built-in kind's with ServerError: the API server answers 500 to those). Raises
        Conflict where another manager owns a field and `force` is off.
        """
        params = {
            **self._writing(manager, dry_run=dry_run),
            "force": "true" if force else "false",
            "fieldValidation": "Strict",
        }
        return await self._write("apply", "PATCH", resource, _named(body), body, params, _APPLY, subresource)

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        manager: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Create an object, or post to a `subresource` of the object that `body` names. Raises AlreadyExists.

        Unknown fields are refused. metadata.generateName works too.
        """
        params = {**self._writing(manager, dry_run=dry_run), "fieldValidation": "Strict"}
        key = _named(body)
        target = key if subresource else Key(key.namespace, "")
        return await self._write("create", "POST", resource, target, body, params, "application/json", subresource, key)

    async def replace(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        manager: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Replace an object as a whole. Raises Conflict where its metadata.resourceVersion is not the current one."""
        params = self._writing(manager, dry_run=dry_run)
        return await self._write("update", "PUT", resource, _named(body), body, params, "application/json", subresource)

    async def patch_json(  # noqa: PLR0913 - the API's own query parameters
        self,
        resource: Resource,
        key: Key,
        operations: Sequence[Mapping[str, Any]],
        *,
        manager: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """JSON patch (RFC 6902). Raises Invalid where a `test` operation does not hold."""
        params = self._writing(manager, dry_run=dry_run)
        return await self._write("patch", "PATCH", resource, key, operations, params, _JSON_PATCH, subresource)

    async def patch_merge(  # noqa: PLR0913 - the API's own query parameters
        self,
        resource: Resource,
        key: Key,
        changes: Mapping[str, Any],
        *,
        manager: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """JSON merge patch (RFC 7386); a metadata.resourceVersion inside makes it conditional. Raises Conflict."""
        params = self._writing(manager, dry_run=dry_run)
        return await self._write("patch", "PATCH", resource, key, changes, params, _MERGE_PATCH, subresource)

    async def delete(  # noqa: PLR0913 - the API's own delete options
        self,
        resource: Resource,
        key: Key,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
        dry_run: bool = False,
    ) -> bool:
        """Ask for deletion; False where the object was gone already.

        Raises Conflict where an object of that name exists with another `uid` or `resource_version`.
        """
        expected = {"uid": uid, "resourceVersion": resource_version}
        options: dict[str, Any] = {"propagationPolicy": propagation}
        if any(expected.values()):
            options["preconditions"] = {name: value for name, value in expected.items() if value}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        params = {"dryRun": "All"} if dry_run else {}
        try:
            await self._write("delete", "DELETE", resource, key, options, params, "application/json")
        except NotFound:
            return False
        return True

    def _writing(self, manager: str, *, dry_run: bool) -> dict[str, str]:
        name = manager or self._manager
        if not name:
            raise ValueError("a write needs a field manager: pass manager= here or to ApiClient")
        return {"fieldManager": name, **({"dryRun": "All"} if dry_run else {})}

    async def _write(  # noqa: PLR0913, PLR0917 - private, one call per verb above
        self,
        verb: str,
        method: str,
        resource: Resource,
        target: Key,
        body: Any,
        params: Mapping[str, str],
        content_type: str,
        subresource: str = "",
        shown: Key | None = None,
    ) -> dict[str, Any]:
        path = resource.path(target.namespace, target.name, subresource)
        what = f"{resource.kind}{'/' + subresource if subresource else ''} {shown or target}"
        request = Request(verb, resource.plural, what, method, path, params, body, content_type)
        return await self._transport.send(request)


def _named(body: Mapping[str, Any]) -> Key:
    meta = body.get("metadata") or {}
    return Key(meta.get("namespace") or "", meta.get("name") or meta.get("generateName") or "")
