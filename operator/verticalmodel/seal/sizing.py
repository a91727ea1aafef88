"""Whether an artifact fits, decided from sizes before a byte of it is fetched. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from verticalmodel.seal.reasons import Reason, Refusal

__all__ = ["BUFFER_BYTES", "HEADROOM_BYTES", "Limits", "require_room", "volume_bytes"]

_MIB = 1024 * 1024
_PAGE = 4096
BUFFER_BYTES = 64 * _MIB
"""The most that transfers hold beside the output."""
HEADROOM_BYTES = BUFFER_BYTES + 64 * _MIB
"""Buffers, and the interpreter with its libraries."""


@dataclass(frozen=True)
class Limits:
    """In bytes; None: not known, not checked."""

    memory: int | None = None
    """Of the container: the output is charged to it as well."""
    volume: int | None = None
    """The volume's sizeLimit."""


def volume_bytes(sizes: Iterable[int]) -> int:
    """What files of these sizes take in a memory volume: whole pages."""
    return sum(-(-size // _PAGE) * _PAGE for size in sizes)


def require_room(sizes: Iterable[int], limits: Limits) -> None:
    """Raises Refusal(TooLarge), naming the limit and the least value that would do."""
    output = volume_bytes(sizes)
    needed = output + HEADROOM_BYTES
    if limits.memory is not None and needed > limits.memory:
        raise Refusal(
            Reason.TOO_LARGE,
            f"memory limit {limits.memory} is below {needed} bytes: {output} for the parameters "
            f"and {HEADROOM_BYTES} to unseal them",
            needed_bytes=needed,
        )
    if limits.volume is not None and output > limits.volume:
        raise Refusal(
            Reason.TOO_LARGE,
            f"the volume's size limit {limits.volume} is below the {output} bytes of the parameters",
            needed_bytes=output,
        )
