"""The whole way from a source to a folder of verified parameters, and the report of it.

Order matters: what is cheap and decisive comes first (the key, the pinned digest, the manifest, the room), then the
bytes; the folder appears under its name only after the last of them was verified.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from verticalmodel.seal.artifact import Artifact
from verticalmodel.seal.copying import copy_files, hash_files
from verticalmodel.seal.credentials import Credentials
from verticalmodel.seal.keyfile import read_key
from verticalmodel.seal.listing import folder_digest
from verticalmodel.seal.locating import Access, Place, Plain, SealedAt, identify, place
from verticalmodel.seal.manifest import Manifest, digest
from verticalmodel.seal.progress import Progress
from verticalmodel.seal.reasons import Reason, Refusal
from verticalmodel.seal.report import Report
from verticalmodel.seal.sizing import Limits, require_room
from verticalmodel.seal.source import Patience, Source
from verticalmodel.seal.staging import Staging
from verticalmodel.seal.unsealing import check_sizes, unseal_files
from verticalmodel.seal.wrapping import KeyProvider

__all__ = ["Request", "check", "deliver"]


@dataclass(frozen=True)
class Request:
    """One delivery."""

    uri: str
    target: Path
    """The folder to make; its parent is the volume."""
    digest: str | None = None
    """The artifact that is wanted, and no other."""
    key_file: Path | None = None
    """None: only a plain artifact will do. Else only a sealed one will, whether or not the file is there."""
    mount: Path | None = None
    """Where the claim of a pvc:// URI is mounted."""
    credentials: Path | None = None
    limits: Limits = field(default_factory=Limits)
    processors: int = 1
    patience: Patience = field(default_factory=Patience)


def check(request: Request) -> Report:
    """Whether `request` could be delivered, as far as can be told without fetching parameters; nothing is written.

    Key, credentials, manifest, digest of a sealed artifact, the sizes of all files and the room for them. What only
    the bytes show (the digest of a plain artifact, what was done to a segment) is not looked at.
    """
    delivery = _Delivery(request, Progress(lambda _done: None))
    try:
        delivery.rehearse()
    except Refusal as refusal:
        return delivery.refused(refusal)
    return delivery.found()


def deliver(request: Request, advanced: Callable[[int], None] = lambda _done: None) -> Report:
    """Make `request.target`, or leave nothing there; what happened. `advanced` hears bytes done, from any thread.

    Raises nothing for what may go wrong with a source or a volume; any exception is a defect or a signal, and leaves
    nothing at the target either.
    """
    delivery = _Delivery(request, Progress(advanced))
    try:
        delivery.run()
    except Refusal as refusal:
        return delivery.refused(refusal)
    return delivery.succeeded()


class _Delivery:
    """One run, and what it has learned of the artifact by now: a refusal's report says that much."""

    def __init__(self, request: Request, progress: Progress) -> None:
        self._request = request
        self._progress = progress
        self._learned: dict[str, Any] = {}

    def run(self) -> None:
        key, where = self._opened()
        with Staging(self._request.target) as staging:
            found = identify(where, sealed_expected=key is not None)
            if isinstance(found, SealedAt):
                self._unseal(self._unlocked(found, where.source, key), staging)
            else:
                self._copy(found, where.source, staging)
            staging.publish()

    def rehearse(self) -> None:
        key, where = self._opened()
        found = identify(where, sealed_expected=key is not None)
        if isinstance(found, SealedAt):
            artifact = self._unlocked(found, where.source, key)
            check_sizes(artifact)
            sizes = [file.size for file in artifact.manifest.files]
        else:
            sizes = [where.source.size(name) for name in found.files.values()]
            self._learned |= {"sealed": False, "files": len(sizes)}
        require_room(sizes, self._request.limits)

    def found(self) -> Report:
        return self._report(Reason.FOUND)

    def _opened(self) -> tuple[KeyProvider | None, Place]:
        request = self._request
        key = read_key(request.key_file) if request.key_file else None
        credentials = Credentials.read(request.credentials)
        return key, place(request.uri, Access(request.mount, credentials, request.processors, request.patience))

    def refused(self, refusal: Refusal) -> Report:
        return self._report(refusal.reason, message=refusal.message[:1024], needed_bytes=refusal.needed_bytes)

    def succeeded(self) -> Report:
        reason = Reason.UNSEALED if self._learned["sealed"] else Reason.DELIVERED
        return self._report(reason, bytes=self._progress.done)

    def _report(self, reason: Reason, **more: Any) -> Report:
        return Report(reason=reason, seconds=self._progress.seconds(), **self._learned, **more)

    def _unlocked(self, found: SealedAt, source: Source, key: KeyProvider | None) -> Artifact:
        self._learned |= {"sealed": True}
        self._require_digest(digest(found.wire))
        manifest = Manifest.parse(found.wire)
        self._learned |= {"artifact": manifest.artifact, "key_id": manifest.key.id, "files": len(manifest.files)}
        if key is None:
            raise Refusal(
                Reason.KEY_MISSING,
                f"the artifact is sealed with {manifest.key.provider} key {manifest.key.id}, and no key is given",
            )
        return Artifact(manifest, manifest.unlock(key), source, found.base)

    def _unseal(self, artifact: Artifact, staging: Staging) -> None:
        self._require_room([file.size for file in artifact.manifest.files], staging)
        check_sizes(artifact)
        unseal_files(artifact, staging, self._progress)

    def _copy(self, found: Plain, source: Source, staging: Staging) -> None:
        sizes = {path: source.size(name) for path, name in found.files.items()}
        self._learned |= {"sealed": False, "files": len(sizes)}
        self._require_room(list(sizes.values()), staging)
        copy_files(found.files, sizes, source, staging, self._progress)
        hashes = hash_files(staging.folder, list(sizes), self._request.processors)
        self._require_digest(folder_digest(hashes) if found.folder else f"sha256:{next(iter(hashes.values()))}")

    def _require_room(self, sizes: list[int], staging: Staging) -> None:
        limits, free = self._request.limits, staging.free_bytes()
        volume = free if limits.volume is None else min(free, limits.volume)
        require_room(sizes, replace(limits, volume=volume))

    def _require_digest(self, found: str) -> None:
        self._learned |= {"digest": found}
        wanted = self._request.digest
        if wanted is not None and wanted != found:
            raise Refusal(
                Reason.DIGEST_MISMATCH, f"the source has {found}, wanted is {wanted}: another or older artifact"
            )
