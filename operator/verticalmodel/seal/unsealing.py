"""Opens the files of a sealed artifact in parallel: fetch, verify, decrypt, write at the right place.

Plaintext leaves a worker's buffer only after its segment's tag was verified, and goes to the staging folder, which
nobody sees before everything is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from verticalmodel.seal.artifact import Artifact
from verticalmodel.seal.diagnosis import diagnose
from verticalmodel.seal.manifest import Manifest, SealedFile
from verticalmodel.seal.progress import Progress
from verticalmodel.seal.reasons import Reason, Refusal
from verticalmodel.seal.segments import (
    HEADER_BYTES,
    SEGMENT_BYTES,
    Segment,
    segment,
    segment_count,
)
from verticalmodel.seal.staging import Staging
from verticalmodel.seal.workers import each

__all__ = ["check_sizes", "unseal_files"]


@dataclass(frozen=True)
class _Run:
    """Neighbouring segments of one file, fetched at once."""

    file: SealedFile
    segments: tuple[Segment, ...]

    @property
    def start(self) -> int:
        """The header comes with the first segment, so that it is compared."""
        return self.segments[0].sealed_start if self.segments[0].number else 0

    @property
    def length(self) -> int:
        return self.segments[-1].sealed_start + self.segments[-1].sealed_length - self.start

    @property
    def plain_length(self) -> int:
        return sum(part.plain_length for part in self.segments)


class _NotOpened(Exception):  # noqa: N818 (it never leaves this module)
    def __init__(self, file: SealedFile, failed: Segment) -> None:
        super().__init__()
        self.file, self.failed = file, failed


def check_sizes(artifact: Artifact) -> None:
    """Look at every blob without fetching it. Raises Refusal: Truncated, Corrupted (too long), or of the source."""

    def check(file: SealedFile) -> None:
        size = artifact.source.size(artifact.base + file.blob)
        if size != file.blob_size:
            raise Refusal(
                Reason.TRUNCATED if size < file.blob_size else Reason.CORRUPTED,
                f"{file.blob} ({file.path}) has {size} bytes, {file.blob_size} were sealed",
            )

    files = artifact.manifest.files
    each(files, lambda: check, workers=min(artifact.source.fetchers, len(files)))


def unseal_files(artifact: Artifact, staging: Staging, progress: Progress) -> None:
    """Write the plaintext of all files to `staging`.

    Raises Refusal: Truncated, Corrupted, Spliced, TooLarge (the volume was full), or of the source.
    """
    for file in artifact.manifest.files:
        staging.create(file.path, file.size)
    runs = list(_runs(artifact.manifest, artifact.source.unit_bytes // SEGMENT_BYTES))
    try:
        each(runs, lambda: _Worker(artifact, staging, progress).open, workers=min(artifact.source.fetchers, len(runs)))
    except _NotOpened as error:
        raise diagnose(artifact, error.file, error.failed) from None


def _runs(manifest: Manifest, longest: int) -> Iterator[_Run]:
    for file in manifest.files:
        count = segment_count(file.size)
        for first in range(0, count, longest):
            numbers = range(first, min(first + longest, count))
            yield _Run(file, tuple(segment(number, file.size) for number in numbers))


class _Worker:
    """One thread's buffers and its latest file's cipher."""

    def __init__(self, artifact: Artifact, staging: Staging, progress: Progress) -> None:
        self._artifact, self._staging, self._progress = artifact, staging, progress
        self._scratch = memoryview(bytearray(artifact.source.unit_bytes))
        self._plain = memoryview(bytearray(SEGMENT_BYTES))
        self._cipher: tuple[str, AESGCM] | None = None

    def open(self, run: _Run) -> None:
        began = time.monotonic()
        body = self._artifact.fetch(run.file, run.start, self._scratch[: run.length])
        fetched = time.monotonic()
        if run.start == 0 and body[:HEADER_BYTES] != run.file.blob_header.encode():
            raise _NotOpened(run.file, run.segments[0])
        self._staging.write(run.file.path, self._opened(run, body))
        self._progress.add(fetched - began, time.monotonic() - fetched, run.plain_length)

    def _opened(self, run: _Run, body: memoryview) -> Iterator[tuple[int, memoryview]]:
        cipher, header = self._cipher_of(run.file), run.file.blob_header
        for part in run.segments:
            begin = part.sealed_start - run.start
            plain = self._plain[: part.plain_length]
            try:
                cipher.decrypt_into(part.nonce(header), body[begin : begin + part.sealed_length], None, plain)
            except InvalidTag:
                raise _NotOpened(run.file, part) from None
            yield part.plain_start, plain

    def _cipher_of(self, file: SealedFile) -> AESGCM:
        if self._cipher is None or self._cipher[0] != file.path:
            self._cipher = (file.path, self._artifact.cipher(file))
        return self._cipher[1]
