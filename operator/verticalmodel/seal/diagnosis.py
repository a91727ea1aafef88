"""After a segment did not open: was it damaged, or put where it does not belong? Only for the message; nothing opens.

A segment of an artifact with another key looks like a damaged one: nobody without that key can tell.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from verticalmodel.seal.artifact import Artifact
from verticalmodel.seal.manifest import Manifest, SealedFile
from verticalmodel.seal.reasons import Reason, Refusal
from verticalmodel.seal.segments import (
    HEADER_BYTES,
    SEGMENT_BYTES,
    Segment,
    segment,
    segment_count,
)

__all__ = ["diagnose"]

_MOST_TRIALS = 4096


def diagnose(artifact: Artifact, file: SealedFile, failed: Segment) -> Refusal:
    """Why `failed`, a segment of `file`, does not open: Corrupted or Spliced, or why the source no longer says."""
    try:
        if _header_at(artifact, file, 0) != file.header:
            return _foreign_beginning(artifact, file)
        sealed = artifact.fetch(file, failed.sealed_start, memoryview(bytearray(failed.sealed_length)))
    except Refusal as refusal:
        return refusal
    where = f"{file.blob} ({file.path})"
    for other, number in _same_shape(artifact.manifest, len(sealed)):
        if _opens(artifact.cipher(other), other, segment(number, other.size), sealed):
            return Refusal(
                Reason.SPLICED, f"{where} has, in place of segment {failed.number}, segment {number} of {other.path}"
            )
    end = failed.sealed_start + failed.sealed_length
    return Refusal(
        Reason.CORRUPTED,
        f"{where}: bytes {failed.sealed_start} to {end} (segment {failed.number}) are not those that were sealed",
    )


def _foreign_beginning(artifact: Artifact, file: SealedFile) -> Refusal:
    """The beginning is not this file's; what else there is says whose it is. Raises Refusal of the source."""
    where = f"{file.blob} ({file.path})"
    header = _header_at(artifact, file, 0)
    for other in artifact.manifest.files:
        if header == other.header:
            return Refusal(Reason.SPLICED, f"{where} is the sealed form of {other.path}")
    count = segment_count(file.size)
    for number in range(1, min(count, _MOST_TRIALS)):
        if _header_at(artifact, file, number * SEGMENT_BYTES) == file.header:
            return Refusal(Reason.SPLICED, f"{where} has its beginning in place of segment {number}")
    cipher = artifact.cipher(file)
    for part in (segment(0, file.size), segment(count - 1, file.size)):
        if _opens(
            cipher, file, part, artifact.fetch(file, part.sealed_start, memoryview(bytearray(part.sealed_length)))
        ):
            return Refusal(Reason.CORRUPTED, f"{where}: the first {HEADER_BYTES} bytes are not those that were sealed")
    return Refusal(Reason.SPLICED, f"{where} is of another artifact or another sealing")


def _header_at(artifact: Artifact, file: SealedFile, start: int) -> str:
    """What stands at `start`, in the form in which a manifest has headers."""
    length = min(HEADER_BYTES, file.blob_size - start)
    return artifact.fetch(file, start, memoryview(bytearray(length))).hex()


def _same_shape(manifest: Manifest, length: int) -> Iterator[tuple[SealedFile, int]]:
    """Places where a segment of this length could come from, up to a bound on the work."""
    trials = 0
    for file in manifest.files:
        for number in range(segment_count(file.size)):
            if segment(number, file.size).sealed_length == length:
                trials += 1
                if trials > _MOST_TRIALS:
                    return
                yield file, number


def _opens(cipher: AESGCM, file: SealedFile, part: Segment, sealed: memoryview) -> bool:
    try:
        cipher.decrypt(part.nonce(file.blob_header), sealed, None)
    except InvalidTag:
        return False
    return True
