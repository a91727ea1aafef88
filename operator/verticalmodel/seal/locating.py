"""Finds out what a URI names: a sealed artifact, or a plain file or folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from verticalmodel.seal.credentials import Credentials
from verticalmodel.seal.folder import Folder
from verticalmodel.seal.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest
from verticalmodel.seal.reasons import Reason, Refusal
from verticalmodel.seal.source import Patience, Source

__all__ = ["Access", "Place", "Plain", "SealedAt", "identify", "place"]


@dataclass(frozen=True)
class Access:
    """What reaching a source may take."""

    mount: Path | None = None
    """Where the claim of a pvc:// URI is mounted."""
    credentials: Credentials = field(default_factory=Credentials)
    processors: int = 1
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class Place:
    """A source, and the name in it that a URI means."""

    source: Source
    name: str


@dataclass(frozen=True)
class SealedAt:
    """A sealed artifact: the exact bytes of its manifest (not yet believed), and the prefix of its blobs' names."""

    wire: bytes
    base: str


@dataclass(frozen=True)
class Plain:
    """Plain files: path in the artifact -> object name. `folder` tells whether the URI named a folder."""

    files: Mapping[str, str]
    folder: bool


def place(uri: str, access: Access) -> Place:
    """Where `uri` points: pvc://CLAIM/PATH, https://, s3://, or a local path. Raises Refusal(SourceInvalid)."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        path = Path(uri).absolute()
        return Place(Folder(path.parent, access.processors), path.name)
    if scheme == "pvc":
        if access.mount is None:
            raise Refusal(Reason.SOURCE_INVALID, f"source {uri}: the folder where the claim is mounted is not given")
        return Place(Folder(access.mount, access.processors), _within(uri, rest.partition("/")[2]))
    if scheme in {"https", "s3"}:
        # Its library takes a while to load, which a mounted claim need not wait for.
        from verticalmodel.seal.remote import Remote, object_name  # noqa: PLC0415

        return Place(Remote(uri, access.credentials, access.patience), object_name(uri))
    raise Refusal(Reason.SOURCE_INVALID, f"source scheme {scheme!r} is not known; pvc, https and s3 are")


def identify(where: Place, *, sealed_expected: bool) -> SealedAt | Plain:
    """What is there. Raises Refusal of the source, or NotSealed where only a sealed artifact will do."""
    folder = where.name.removesuffix(MANIFEST_NAME).rstrip("/")
    base = f"{folder}/" if folder else ""
    try:
        wire = where.source.small(base + MANIFEST_NAME, MAX_MANIFEST_BYTES)
    except Refusal as refusal:
        # S3 answers "denied" for what is not there to those who may not list.
        absent = {Reason.SOURCE_NOT_FOUND} if sealed_expected else {Reason.SOURCE_NOT_FOUND, Reason.SOURCE_DENIED}
        if refusal.reason not in absent:
            raise
    else:
        if sealed_expected or Manifest.looks_like(wire):
            return SealedAt(wire, base)
    files = where.source.plain_files(where.name)
    if sealed_expected:
        raise Refusal(
            Reason.NOT_SEALED, f"a key is given, and {where.name} is a plain artifact: it has no {MANIFEST_NAME}"
        )
    return Plain(files, folder=list(files.values()) != [where.name])


def _within(uri: str, path: str) -> str:
    parts = [part for part in path.split("/") if part]
    if {".", ".."} & set(parts):
        raise Refusal(Reason.SOURCE_INVALID, f"source {uri}: the path must not contain . or ..")
    return "/".join(parts)
