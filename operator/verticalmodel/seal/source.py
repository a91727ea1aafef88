"""Where an artifact's files come from, whatever the transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from verticalmodel.seal.reasons import Reason, Refusal

__all__ = ["Patience", "Source", "truncated"]


class Source(Protocol):
    """Objects by name. Safe for use by several threads. Every method raises Refusal, with a reason of the source."""

    fetchers: int
    """How many fetches at once make sense; at least as many as there are processors to keep busy."""
    unit_bytes: int
    """The most bytes of one fetch."""

    def small(self, name: str, limit: int) -> bytes:
        """The first `limit` + 1 bytes of an object, or all of it where it is shorter."""

    def size(self, name: str) -> int:
        """Bytes of an object."""

    def fetch(self, name: str, start: int, scratch: memoryview) -> memoryview:
        """`len(scratch)` bytes from `start` on; in `scratch` or in memory of its own. Refusal(Truncated) for fewer."""

    def plain_files(self, name: str) -> Mapping[str, str]:
        """The object, or the objects of the folder, of this name: path within the artifact -> object name."""


@dataclass(frozen=True)
class Patience:
    """How long a silent or failing server is waited for."""

    connect: timedelta = timedelta(seconds=10)
    silence: timedelta = timedelta(seconds=20)
    request: timedelta = timedelta(minutes=5)
    retries: int = 8
    """Of one request, before any of its body has come."""
    total: timedelta = timedelta(minutes=3)
    """Of one range, with all its requests."""
    first: timedelta = timedelta(seconds=30)
    """Until the first good answer. A source that never gave one is named wrongly, or kept out of reach by a policy: the
    sooner a person hears of it the better, and the kubelet starts the container again anyway."""


def truncated(name: str, start: int, wanted: int, got: int) -> Refusal:
    """An object ended early."""
    return Refusal(Reason.TRUNCATED, f"{name} ends after {start + got} bytes, at least {start + wanted} were expected")
