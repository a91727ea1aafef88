"""Reads a key-encryption key from a file, the only way in: never an argument, never the environment."""

from __future__ import annotations

from pathlib import Path

from verticalmodel.seal.reasons import Reason, Refusal
from verticalmodel.seal.wrapping import KEY_BYTES, LocalKey

__all__ = ["read_key"]

_HEX_DIGITS = 2 * KEY_BYTES


def read_key(path: Path) -> LocalKey:
    """The key in `path`: 32 bytes, or 64 hexadecimal digits. Raises Refusal: KeyMissing or KeyInvalid."""
    try:
        with path.open("rb") as file:
            content = file.read(4 * _HEX_DIGITS)
    except OSError as error:
        raise Refusal(Reason.KEY_MISSING, f"key file {path}: {error.strerror}") from None
    try:
        return LocalKey(_decoded(content))
    except ValueError:
        raise Refusal(
            Reason.KEY_INVALID,
            f"key file {path}: {len(content)} bytes; a key is {KEY_BYTES} bytes or {_HEX_DIGITS} hexadecimal digits",
        ) from None


def _decoded(content: bytes) -> bytes:
    return content if len(content) == KEY_BYTES else bytes.fromhex(content.decode("ascii"))
