"""Copies the files of a plain artifact in parallel, and hashes what arrived rather than what was sent."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from verticalmodel.seal.progress import Progress
from verticalmodel.seal.source import Source
from verticalmodel.seal.staging import Staging
from verticalmodel.seal.workers import each

__all__ = ["copy_files", "hash_files"]

_Unit = tuple[str, int, int]


def copy_files(
    files: Mapping[str, str], sizes: Mapping[str, int], source: Source, staging: Staging, progress: Progress
) -> None:
    """Write the objects `files` (path -> name in the source) of known `sizes` (path -> bytes) to `staging`.

    Raises Refusal: Truncated, TooLarge (the volume was full), or of the source.
    """
    for path, size in sizes.items():
        staging.create(path, size)
    units = [
        (path, start, min(source.unit_bytes, size - start))
        for path, size in sizes.items()
        for start in range(0, size, source.unit_bytes)
    ]

    def worker() -> Callable[[_Unit], None]:
        scratch = memoryview(bytearray(source.unit_bytes))

        def copy(unit: _Unit) -> None:
            path, start, length = unit
            began = time.monotonic()
            content = source.fetch(files[path], start, scratch[:length])
            fetched = time.monotonic()
            staging.write(path, [(start, content)])
            progress.add(fetched - began, time.monotonic() - fetched, length)

        return copy

    each(units, worker, workers=max(1, min(source.fetchers, len(units))))


def hash_files(folder: Path, paths: list[str], processors: int) -> dict[str, str]:
    """Hexadecimal SHA-256 of each file below `folder`."""
    hashes: dict[str, str] = {}

    def hash_one(path: str) -> None:
        with (folder / path).open("rb", buffering=0) as file:
            hashes[path] = hashlib.file_digest(file, "sha256").hexdigest()

    each(paths, lambda: hash_one, workers=min(processors, len(paths)))
    return hashes
