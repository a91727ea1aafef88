"""Why parameters were delivered or refused: the vocabulary of the report, of conditions and of exit messages. Pure."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Reason", "Refusal"]


class Reason(StrEnum):
    """One situation each; never renamed lightly, because conditions and dashboards name them."""

    UNSEALED = "Unsealed"
    """Success: a sealed artifact was verified and decrypted."""
    DELIVERED = "Delivered"
    """Success: a plain artifact was copied, and fits the digest where one is given."""

    FOUND = "Found"
    """Success of a check: nothing was delivered, and nothing that can be told beforehand speaks against it."""

    KEY_MISSING = "KeyMissing"
    """The artifact is sealed, or the key is named, and there is no key."""
    KEY_INVALID = "KeyInvalid"
    """The key file holds something that is no key."""
    KEY_WRONG = "KeyWrong"
    """A key, but not the one that the artifact was sealed with."""
    NOT_SEALED = "NotSealed"
    """A key is given and the artifact is plain: somebody replaced it, or sealing was forgotten."""

    DIGEST_MISMATCH = "DigestMismatch"
    """Not the artifact that the digest pins: an older one, or another."""
    MANIFEST_INVALID = "ManifestInvalid"
    """The manifest is not one of this format, or contradicts itself."""
    MANIFEST_FORGED = "ManifestForged"
    """The manifest was changed after sealing."""
    TRUNCATED = "Truncated"
    """A file is shorter than it was."""
    CORRUPTED = "Corrupted"
    """Bytes of a file are not those that were sealed."""
    SPLICED = "Spliced"
    """Sealed bytes in the wrong place: of another artifact, another file or another position."""

    SOURCE_UNREACHABLE = "SourceUnreachable"
    """Nobody answered in time, or not as an HTTP server that this client may trust."""
    SOURCE_DENIED = "SourceDenied"
    """The source refused the credentials, or wants some."""
    SOURCE_NOT_FOUND = "SourceNotFound"
    """The source answers, and what the URI names is not there."""
    SOURCE_INVALID = "SourceInvalid"
    """The URI, or something found there, cannot be used: a link, a device, an unusable name."""
    TOO_LARGE = "TooLarge"
    """It does not fit in the memory or the volume; nothing was fetched. The report names what is needed."""

    INTERRUPTED = "Interrupted"
    """Told to stop before the end."""
    INTERNAL_ERROR = "InternalError"
    """A defect of ours or of the machine; the log has the details."""

    @property
    def succeeded(self) -> bool:
        """Whether what was asked for was done."""
        return self in {Reason.UNSEALED, Reason.DELIVERED, Reason.FOUND}


class Refusal(Exception):  # noqa: N818 (it is an answer, not a defect)
    """Nothing is delivered, for one reason. The message names the thing, its value and what is allowed; no secrets."""

    def __init__(self, reason: Reason, message: str, *, needed_bytes: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.needed_bytes = needed_bytes
        """With TooLarge: what the limit has to be at least."""
