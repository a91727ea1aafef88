"""Seals a file or a folder: encrypts in parallel, hashes in order, writes the manifest last."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from verticalmodel.seal.manifest import MANIFEST_NAME, Manifest, SealedFile, digest, usable_path
from verticalmodel.seal.progress import Progress
from verticalmodel.seal.reasons import Reason, Refusal
from verticalmodel.seal.segments import (
    PREFIX_BYTES,
    SALT_BYTES,
    Header,
    Segment,
    associated_data,
    sealed_size,
    segment,
    segment_count,
    segment_key,
)
from verticalmodel.seal.wrapping import KEY_BYTES, NONCE_BYTES, KeyProvider

__all__ = ["Sealed", "files_of", "seal"]


@dataclass(frozen=True)
class Sealed:
    """What was made: the manifest, and the digest that pins it."""

    manifest: Manifest
    digest: str


def files_of(path: Path) -> Mapping[str, Path]:
    """The files that make up an artifact, by their path in it. Links to files are followed: they are the user's own.

    Raises Refusal: SourceNotFound or SourceInvalid.
    """
    if not path.exists():
        raise Refusal(Reason.SOURCE_NOT_FOUND, f"{path} does not exist")
    found = {path.name: path} if path.is_file() else {str(file.relative_to(path)): file for file in _walk(path)}
    if not found:
        raise Refusal(Reason.SOURCE_NOT_FOUND, f"{path} holds no file")
    for name in found:
        if not usable_path(name):
            raise Refusal(Reason.SOURCE_INVALID, f"name {name!r} has control characters or backslashes")
    return dict(sorted(found.items()))


def seal(files: Mapping[str, Path], out: Path, provider: KeyProvider, progress: Progress, processors: int) -> Sealed:
    """Write the sealed artifact of `files` (path in it -> file) into the new or empty folder `out`.

    Raises Refusal(SourceInvalid) where `out` is not empty or a file changes meanwhile, and OSError.
    """
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise Refusal(Reason.SOURCE_INVALID, f"{out} is not empty; a sealed artifact needs a folder of its own")
    artifact, data_key = os.urandom(16).hex(), os.urandom(KEY_BYTES)
    with ThreadPoolExecutor(processors) as pool:
        sealing = _Sealing(artifact, data_key, pool, processors, progress)
        sealed = [
            sealing.file(path, file, out / f"{artifact[:12]}-{number:05}.sealed")
            for number, (path, file) in enumerate(files.items())
        ]
    wire = Manifest.sealed(artifact, sealed, provider, (data_key, os.urandom(NONCE_BYTES)))
    partial = out / f".{MANIFEST_NAME}.partial"
    partial.write_bytes(wire)
    partial.rename(out / MANIFEST_NAME)
    return Sealed(Manifest.parse(wire), digest(wire))


@dataclass(frozen=True)
class _Sealing:
    """One artifact in the making."""

    artifact: str
    data_key: bytes = field(repr=False)
    pool: ThreadPoolExecutor
    ahead: int
    """Segments in flight beside the one that is written."""
    progress: Progress

    def file(self, path: str, file: Path, blob: Path) -> SealedFile:
        header = Header(os.urandom(SALT_BYTES), os.urandom(PREFIX_BYTES))
        sha256 = hashlib.sha256(header.encode())
        with file.open("rb") as plain, blob.open("xb") as out:
            size = os.fstat(plain.fileno()).st_size
            out.write(header.encode())
            for sealed in self._segments(plain.fileno(), size, path, header):
                sha256.update(sealed)
                out.write(sealed)
        return SealedFile(
            path=path,
            size=size,
            blob=blob.name,
            blob_size=sealed_size(size),
            blob_digest="sha256:" + sha256.hexdigest(),
            header=header.encode().hex(),
        )

    def _segments(self, plain: int, size: int, path: str, header: Header) -> Iterator[bytes]:
        """In order; others are encrypted meanwhile."""
        cipher = AESGCM(segment_key(self.data_key, header, associated_data(self.artifact, path)))

        def sealed(part: Segment) -> bytes:
            content = os.pread(plain, part.plain_length, part.plain_start)
            if len(content) != part.plain_length:
                raise Refusal(Reason.SOURCE_INVALID, f"{path} became shorter while it was sealed")
            wire = cipher.encrypt(part.nonce(header), content, None)
            self.progress.add(0, 0, part.plain_length)
            return wire

        running: deque[Future[bytes]] = deque()
        for number in range(segment_count(size)):
            running.append(self.pool.submit(sealed, segment(number, size)))
            if len(running) > self.ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)
        elif entry.is_file():
            yield entry
        else:
            raise Refusal(Reason.SOURCE_INVALID, f"{entry} is neither a file nor a folder")
