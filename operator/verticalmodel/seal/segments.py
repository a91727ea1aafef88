"""Where each byte of a sealed file is: Tink's streaming AEAD `AES256_GCM_HKDF_1MB` on the wire. Pure.

A sealed file is a header (its own length in one byte, 32 bytes of salt, 7 bytes of nonce prefix) and segments of 1 MiB
of ciphertext, the first shorter by the header, each ending in a tag of 16 bytes. Every segment is AES-256-GCM under
HKDF-SHA256(data key, salt, associated data) with the nonce: prefix, segment number in 4 bytes, 1 for the last segment.
So segments cannot be swapped, dropped or taken from a file with other associated data.
https://developers.google.com/tink/wire-format#streaming_aead
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = [
    "HEADER_BYTES",
    "PREFIX_BYTES",
    "SALT_BYTES",
    "SEGMENT_BYTES",
    "TAG_BYTES",
    "Header",
    "Segment",
    "associated_data",
    "sealed_size",
    "segment",
    "segment_count",
    "segment_key",
]

SEGMENT_BYTES = 1024 * 1024
TAG_BYTES = 16
SALT_BYTES = 32
PREFIX_BYTES = 7
HEADER_BYTES = 1 + SALT_BYTES + PREFIX_BYTES
_PLAIN_BYTES = SEGMENT_BYTES - TAG_BYTES
_FIRST_PLAIN_BYTES = _PLAIN_BYTES - HEADER_BYTES
_MOST_SEGMENTS = 2**32


@dataclass(frozen=True)
class Header:
    """The public beginning of a sealed file. Salt and prefix must be fresh random bytes for each sealing."""

    salt: bytes
    prefix: bytes

    def encode(self) -> bytes:
        """The 40 bytes on the wire."""
        return bytes([HEADER_BYTES]) + self.salt + self.prefix

    @staticmethod
    def decode(wire: bytes) -> Header:
        """Raises ValueError for bytes that are no header of this format."""
        if len(wire) != HEADER_BYTES or wire[0] != HEADER_BYTES:
            raise ValueError(f"a header has {HEADER_BYTES} bytes and says so in the first")
        return Header(wire[1 : 1 + SALT_BYTES], wire[1 + SALT_BYTES :])


@dataclass(frozen=True)
class Segment:
    """One segment: where its ciphertext (tag included) and its plaintext are, in bytes from each file's start."""

    number: int
    sealed_start: int
    sealed_length: int
    plain_start: int
    last: bool

    @property
    def plain_length(self) -> int:
        return self.sealed_length - TAG_BYTES

    def nonce(self, header: Header) -> bytes:
        """The 12 bytes that bind the segment to its place, and to being the last or not."""
        return header.prefix + self.number.to_bytes(4) + bytes([self.last])


def segment_count(size: int) -> int:
    """How many segments a plaintext of `size` bytes has; an empty one has one."""
    return 1 + max(0, math.ceil((size - _FIRST_PLAIN_BYTES) / _PLAIN_BYTES))


def sealed_size(size: int) -> int:
    """Bytes of a sealed file with `size` bytes of plaintext. Raises ValueError where the format has no room for it."""
    count = segment_count(size)
    if size < 0 or count > _MOST_SEGMENTS:
        raise ValueError(f"size {size}: this format holds 0 to {_MOST_SEGMENTS} segments of 1 MiB")
    return HEADER_BYTES + size + count * TAG_BYTES


def segment(number: int, size: int) -> Segment:
    """Segment `number` of a file with `size` bytes of plaintext."""
    last = number == segment_count(size) - 1
    sealed_start = number * SEGMENT_BYTES if number else HEADER_BYTES
    sealed_end = sealed_size(size) if last else (number + 1) * SEGMENT_BYTES
    plain_start = number * _PLAIN_BYTES - HEADER_BYTES if number else 0
    return Segment(number, sealed_start, sealed_end - sealed_start, plain_start, last)


def associated_data(artifact: str, path: str) -> bytes:
    """What a sealed file is bound to beside its key: the artifact's id and the path in it."""
    return f"verticalmodel.io/sealed/v1\n{artifact}\n{path}".encode()


def segment_key(data_key: bytes, header: Header, associated: bytes) -> bytes:
    """The AES-256 key of one sealed file."""
    return HKDF(algorithm=SHA256(), length=32, salt=header.salt, info=associated).derive(data_key)
