"""A list-and-watch cache of small values: what the operator and the measurers know of the cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import aclosing
from time import monotonic
from types import MappingProxyType
from typing import Any, Generic, NoReturn, TypeVar

from pydantic import ValidationError

from verticalmodel.kube.backoff import Backoff
from verticalmodel.kube.errors import ApiError, Forbidden, Gone, NotFound, Unreachable
from verticalmodel.kube.reader import Labels, Reader
from verticalmodel.kube.resources import Key, Resource, key_of

__all__ = ["Informer"]

V = TypeVar("V")
_log = logging.getLogger(__name__)
_NOTHING: Mapping[Key, Any] = MappingProxyType({})
# A stream that ends sooner than this counts as a failure: something between us and the server cuts it.
_SHORT_STREAM_SECONDS = 1.0
_BACKOFF = Backoff(base=0.5, cap=30.0)


class Informer(Generic[V]):
    """Cache of one resource, kept by list and watch; holds `project(obj)` and forgets the object.

    `project` returns the small value worth keeping, or None to leave an object out; a ValueError from it (pydantic's
    ValidationError is one) leaves the object out too, with a warning. Put the uid into the value where a namesake that
    replaces a deleted object matters: `on_change` compares values.
    `on_change(key, old, new)` runs after the cache changed: old None means new here, new None means gone. Deletions
    that happened while no watch ran are reported by the next list. It must not block; what it raises ends `run`.
    `index_by(key, value)` groups entries for `group`; None leaves an entry out of every group.
    `relist_seconds` lists again in full at that age, against events lost by anybody's mistake.
    """

    def __init__(  # noqa: PLR0913 - keyword-only choices with defaults
        self,
        client: Reader,
        resource: Resource,
        project: Callable[[dict[str, Any]], V | None],
        *,
        namespace: str = "",
        labels: Labels = "",
        fields: Labels = "",
        metadata_only: bool = False,
        on_change: Callable[[Key, V | None, V | None], None] | None = None,
        index_by: Callable[[Key, V], Hashable | None] | None = None,
        relist_seconds: float | None = None,
        inactivity_seconds: float = 90.0,
        page: int = 500,
        backoff: Backoff = _BACKOFF,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        """Set once the first list is in the cache; stays set."""
        self.answered = asyncio.Event()
        """Set once the first list is in the cache, or was refused or not found; stays set. No answer is no news."""
        self._client = client
        self._project = project
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._metadata_only = metadata_only
        self._on_change = on_change
        self._index_by = index_by
        self._relist_seconds = relist_seconds
        self._inactivity_seconds = inactivity_seconds
        self._page = page
        self._backoff = backoff
        self._cache: dict[Key, V] = {}
        self._unreadable: dict[Key, str] = {}
        self._groups: dict[Hashable, dict[Key, V]] = {}
        self._version = ""
        self._listed_at = 0.0
        self._heard_at = monotonic()

    def __len__(self) -> int:
        return len(self._cache)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._cache)

    def get(self, key: Key) -> V | None:
        """The value of one object, None where there is none."""
        return self._cache.get(key)

    def unreadable(self, key: Key) -> str | None:
        """The fields for which an object is left out that is not what its kind promises; None where it is not."""
        return self._unreadable.get(key)

    @property
    def values(self) -> Mapping[Key, V]:
        """All entries, a live read-only view."""
        return MappingProxyType(self._cache)

    def group(self, name: Hashable) -> Mapping[Key, V]:
        """The entries that `index_by` put under `name`, a read-only view; ask again after an await."""
        return MappingProxyType(self._groups.get(name, _NOTHING))

    @property
    def silent_seconds(self) -> float:
        """Seconds since the server last said anything on this resource, bookmarks included (about one a minute)."""
        return monotonic() - self._heard_at

    async def run(self) -> NoReturn:
        """Keep the cache until cancelled. Failures of the API are waited out, with back-off."""
        failures = 0
        while True:
            try:
                if not self._version or self._relist_due() <= 0:
                    await self._list()
                    failures = 0
                if await self._watch():
                    failures = 0
                    continue
                failures += 1
            except Gone:
                self._version = ""
                failures += 1
            except ApiError as error:
                failures += 1
                if isinstance(error, Forbidden | NotFound):
                    self.answered.set()
                _log.warning(
                    "informer waits for the API server",
                    extra={"resource": self.resource.plural, "failures": failures, "error": str(error)},
                )
            await asyncio.sleep(self._backoff.delay(failures))

    def _relist_due(self) -> float:
        """Seconds until the next full list."""
        if self._relist_seconds is None:
            return float("inf")
        return self._listed_at + self._relist_seconds - monotonic()

    async def _list(self) -> None:
        try:
            await self._list_pages(self._page)
        except Gone:
            # The snapshot expired between two pages, as on a very busy server: take all of it in one answer.
            await self._list_pages(0)

    async def _list_pages(self, page: int) -> None:
        seen: set[Key] = set()
        version = ""
        pages = self._client.pages(
            self.resource,
            self._namespace,
            labels=self._labels,
            fields=self._fields,
            metadata_only=self._metadata_only,
            page=page,
        )
        async with aclosing(pages):
            async for part in pages:
                self._heard_at = monotonic()
                version = part.resource_version
                for obj in part.items:
                    key = key_of(obj)
                    seen.add(key)
                    self._put(key, self._value(key, obj))
        self._unreadable = {key: why for key, why in self._unreadable.items() if key in seen}
        for key in [key for key in self._cache if key not in seen]:
            self._put(key, None)
        self._version = version
        self._listed_at = monotonic()
        self.synced.set()
        self.answered.set()

    async def _watch(self) -> bool:
        """Follow one stream to its end; False where it ended suspiciously soon."""
        started = monotonic()
        stream = self._client.watch(
            self.resource,
            self._namespace,
            resource_version=self._version,
            labels=self._labels,
            fields=self._fields,
            metadata_only=self._metadata_only,
            inactivity_seconds=self._inactivity_seconds,
        )
        due = self._relist_due()
        try:
            async with asyncio.timeout(None if due == float("inf") else due) as age, aclosing(stream):
                async for kind, obj in stream:
                    self._heard_at = monotonic()
                    self._version = obj["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        key = key_of(obj)
                        if kind == "DELETED":
                            self._unreadable.pop(key, None)
                        self._put(key, None if kind == "DELETED" else self._value(key, obj))
        except TimeoutError:
            if not age.expired():
                raise
            return True
        except Unreachable as error:
            # Cut or silent for too long. The version still holds, so a new stream goes on from it.
            if monotonic() - started < _SHORT_STREAM_SECONDS:
                raise
            _log.info("watch was cut", extra={"resource": self.resource.plural, "error": str(error)})
        return monotonic() - started >= _SHORT_STREAM_SECONDS

    def _value(self, key: Key, obj: dict[str, Any]) -> V | None:
        try:
            value = self._project(obj)
        except ValueError as error:
            self._unreadable[key] = _fields_of(error)
            # The kind of the error only: its text may quote the object.
            _log.warning(
                "object left out of the cache: it is not what its kind promises",
                extra={"resource": self.resource.plural, "object": str(key), "error": type(error).__name__},
            )
            return None
        self._unreadable.pop(key, None)
        return value

    def _put(self, key: Key, new: V | None) -> None:
        old = self._cache.get(key)
        if old == new:
            return
        if new is None:
            del self._cache[key]
        else:
            self._cache[key] = new
        if self._index_by is not None:
            self._regroup(key, old, new, self._index_by)
        if self._on_change is not None:
            self._on_change(key, old, new)

    def _regroup(self, key: Key, old: V | None, new: V | None, index_by: Callable[[Key, V], Hashable | None]) -> None:
        before = index_by(key, old) if old is not None else None
        after = index_by(key, new) if new is not None else None
        if before is not None and before != after:
            group = self._groups[before]
            del group[key]
            if not group:
                del self._groups[before]
        if after is not None and new is not None:
            self._groups.setdefault(after, {})[key] = new


def _fields_of(error: ValueError) -> str:
    """Where it is wrong, without a value of it."""
    if not isinstance(error, ValidationError):
        return "a field"
    return ", ".join(sorted({".".join(str(part) for part in one["loc"]) for one in error.errors()}))
