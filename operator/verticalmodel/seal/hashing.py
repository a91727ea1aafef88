"""Hashes objects where they are: what can be said of an artifact without any key and without a copy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from verticalmodel.seal.manifest import Manifest
from verticalmodel.seal.reasons import Reason, Refusal
from verticalmodel.seal.source import Source
from verticalmodel.seal.workers import each

__all__ = ["check_blobs", "hash_objects"]


def hash_objects(source: Source, names: Mapping[str, str]) -> dict[str, str]:
    """Hexadecimal SHA-256 of objects, by the key under which each name is given. Raises Refusal of the source."""
    hashes: dict[str, str] = {}

    def hash_one(item: tuple[str, str]) -> None:
        key, name = item
        sha256 = hashlib.sha256()
        size, scratch = source.size(name), memoryview(bytearray(source.unit_bytes))
        for start in range(0, size, source.unit_bytes):
            sha256.update(source.fetch(name, start, scratch[: min(source.unit_bytes, size - start)]))
        hashes[key] = sha256.hexdigest()

    each(names.items(), lambda: hash_one, workers=min(source.fetchers, len(names)))
    return hashes


def check_blobs(manifest: Manifest, source: Source, base: str) -> None:
    """Compare every blob with the digest in the manifest. Raises Refusal: Corrupted, or of the source."""
    hashes = hash_objects(source, {file.path: base + file.blob for file in manifest.files})
    for file in manifest.files:
        if f"sha256:{hashes[file.path]}" != file.blob_digest:
            raise Refusal(
                Reason.CORRUPTED,
                f"{file.blob} ({file.path}) has sha256:{hashes[file.path]}, the manifest says {file.blob_digest}",
            )
