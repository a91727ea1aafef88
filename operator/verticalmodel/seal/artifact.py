"""A sealed artifact that was found genuine: its manifest, its key, and where its blobs are."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from verticalmodel.seal.manifest import Manifest, SealedFile
from verticalmodel.seal.segments import associated_data, segment_key
from verticalmodel.seal.source import Source

__all__ = ["Artifact"]


@dataclass(frozen=True)
class Artifact:
    """What opening its files takes."""

    manifest: Manifest
    data_key: bytes = field(repr=False)
    source: Source
    base: str
    """Prefix of the blobs' names in the source."""

    def cipher(self, file: SealedFile) -> AESGCM:
        """The cipher of one file."""
        return AESGCM(segment_key(self.data_key, file.blob_header, associated_data(self.manifest.artifact, file.path)))

    def fetch(self, file: SealedFile, start: int, scratch: memoryview) -> memoryview:
        """Ciphertext of one file; as Source.fetch."""
        return self.source.fetch(self.base + file.blob, start, scratch)
