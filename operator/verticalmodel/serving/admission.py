"""How much of other people's bytes the server holds at once.

One body has a limit, and all bodies together have one: without the second, a few dozen clients that send large bodies
slowly are a way to the container's memory limit. A small body is always admitted, so that large ones, however slow,
shut out nobody but each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

SMALL_BODY_BYTES = 64 * 1024
"""Of each body, this much is not counted against the sum."""
_LARGEST_BODIES_AT_ONCE = 4
# How often over the limit a body may be and still be read to its end: who is still sending sees no answer but a reset.
_READ_ON = 4


class BodyTooLargeError(Exception):
    """One body is beyond the limit."""


class OverloadedError(Exception):
    """The sum of all bodies is at its limit."""


class Body:
    """One request's body as it arrives."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._content = bytearray()
        self._size = 0
        self._counted = 0

    def receive(self, chunk: bytes) -> None:
        """Take one more piece. Raises OverloadedError, or BodyTooLargeError once it is not worth reading on."""
        limit = self._admission.max_body_bytes
        self._size += len(chunk)
        if self._size > limit:
            self._content.clear()
            self.release()
            if self._size > limit * _READ_ON:
                raise BodyTooLargeError
            return
        self._counted += self._admission.reserve(max(0, self._size - SMALL_BODY_BYTES) - self._counted)
        self._content += chunk

    def complete(self) -> bytes:
        """The whole body. Raises BodyTooLargeError."""
        if self._size > self._admission.max_body_bytes:
            raise BodyTooLargeError
        return bytes(self._content)

    def release(self) -> None:
        """Give back what it counted for."""
        self._admission.reserve(-self._counted)
        self._counted = 0


class Admission:
    """The two limits. For one event loop: it counts without a lock."""

    def __init__(self, max_body_bytes: int) -> None:
        self.max_body_bytes = max_body_bytes
        self._free = max_body_bytes * _LARGEST_BODIES_AT_ONCE

    @contextmanager
    def body(self) -> Iterator[Body]:
        """A body whose bytes count until the block ends, which is when its request has been answered."""
        body = Body(self)
        try:
            yield body
        finally:
            body.release()

    def reserve(self, size: int) -> int:
        """Count `size` bytes more (or less); `size`. Raises OverloadedError when they do not fit."""
        if size > self._free:
            raise OverloadedError
        self._free -= size
        return size
