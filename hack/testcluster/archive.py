"""Container images without a builder: a docker-archive is a tar with a layer, a configuration and a list."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from testcluster.errors import UsageError

EPOCH: Final = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Image:
    """An image of one layer. The same contents make the same bytes."""

    reference: str
    files: Mapping[str, Path]
    """Executables: absolute path in the image -> file on this machine."""
    entrypoint: Sequence[str]
    links: Mapping[str, str] = field(default_factory=dict)
    """Symbolic links: absolute path in the image -> target."""
    user: str = "65532:65532"


def write_archive(image: Image, target: Path) -> None:
    """Write the image as a docker-archive, complete or not at all."""
    layer = _layer(image)
    diff_id = hashlib.sha256(layer).hexdigest()
    configuration = json.dumps(
        {
            "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
            "os": "linux",
            "created": EPOCH,
            "config": {"User": image.user, "Entrypoint": list(image.entrypoint), "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
            "history": [{"created": EPOCH, "created_by": "hack/cluster"}],
        },
    ).encode()
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [image.reference], "Layers": [f"{diff_id}/layer.tar"]}]
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    with tarfile.open(partial, "w") as archive:
        _add(archive, f"{diff_id}/layer.tar", layer)
        _add(archive, name, configuration)
        _add(archive, "manifest.json", json.dumps(manifest).encode())
    partial.replace(target)


def identity(archive: Path) -> tuple[str, tuple[str, ...]]:
    """What a docker-archive or OCI archive holds: a digest of its list of contents, and its image references.

    Only the list is read: it names configuration and layers by digest, so it stands for all of the archive.
    Raises UsageError for a file that is neither.
    """
    try:
        with tarfile.open(archive) as content:
            for member, references in (("manifest.json", _docker_references), ("index.json", _oci_references)):
                try:
                    stream = content.extractfile(member)
                except KeyError:
                    continue
                if stream is not None:
                    raw = stream.read()
                    return hashlib.sha256(raw).hexdigest(), references(json.loads(raw))
    except (OSError, tarfile.TarError) as failure:
        raise UsageError(f"{archive} is not a readable tar archive: {failure}") from failure
    raise UsageError(f"{archive} is neither a docker-archive nor an OCI archive: no manifest.json, no index.json")


def _docker_references(manifest: Any) -> tuple[str, ...]:
    return tuple(tag for entry in manifest for tag in entry.get("RepoTags") or ())


def _oci_references(index: Any) -> tuple[str, ...]:
    names = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
    annotations = (entry.get("annotations", {}) for entry in index["manifests"])
    return tuple(found for marks in annotations for name in names if (found := marks.get(name)))


def _layer(image: Image) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        folders = {"/tmp": 0o1777, "/etc": 0o755}  # noqa: S108  # a folder inside the image
        for path in (*image.files, *image.links):
            folders |= {str(parent): 0o755 for parent in Path(path).parents if str(parent) != "/"}
        for path, mode in sorted(folders.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            layer.addfile(entry)
        for path, source in sorted(image.files.items()):
            _add(layer, path.lstrip("/"), source.read_bytes(), mode=0o755)
        for path, destination in sorted(image.links.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, destination
            layer.addfile(entry)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
