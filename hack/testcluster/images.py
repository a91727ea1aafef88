"""Puts image archives into the containerd of every node."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from testcluster.archive import identity
from testcluster.layout import Machine
from testcluster.processes import run

IMPORT_SECONDS: Final = 600.0
NAMESPACE: Final = "k8s.io"


def load(nodes: Sequence[Machine], archives: Sequence[Path], bundle: Path) -> dict[str, bool]:
    """Import the archives into every node at once; an archive that a node has already is left out.

    Returns `NODE/ARCHIVE` -> whether it was imported. Raises UsageError for a file that is no image archive,
    CommandError when containerd refuses.
    """
    known = {archive: identity(archive) for archive in archives}
    with ThreadPoolExecutor(max_workers=max(1, len(nodes))) as pool:
        futures = {
            f"{node.name}/{archive.name}": pool.submit(_load, node, archive, *known[archive], bundle)
            for archive in archives
            for node in nodes
        }
        return {name: future.result() for name, future in futures.items()}


def _load(node: Machine, archive: Path, digest: str, references: tuple[str, ...], bundle: Path) -> bool:
    control = [str(bundle / "ctr"), "--address", str(node.containerd_socket), "--namespace", NAMESPACE, "images"]
    mark = node.directory / "images" / digest
    if mark.exists() and json.loads(mark.read_text(encoding="utf-8")) == _digests(control, references):
        return False
    run([*control, "import", "--snapshotter=overlayfs", str(archive)], timeout=IMPORT_SECONDS)
    mark.parent.mkdir(exist_ok=True)
    mark.write_text(json.dumps(_digests(control, references)), encoding="utf-8")
    return True


def _digests(control: list[str], references: tuple[str, ...]) -> dict[str, str]:
    """What the references of an archive stand for on the node now."""
    lines = (line.split() for line in run([*control, "list"]).splitlines()[1:])
    wanted = {canonical(reference) for reference in references}
    return {fields[0]: fields[2] for fields in lines if fields[0] in wanted}


def canonical(reference: str) -> str:
    """The full form of an image reference: `name` is `docker.io/library/name:latest`."""
    name, _, digest = reference.partition("@")
    first, slash, _ = name.partition("/")
    has_host = slash and ("." in first or ":" in first or first == "localhost")
    if not has_host:
        name = f"docker.io/{name}" if slash else f"docker.io/library/{name}"
    if digest:
        return f"{name}@{digest}"
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
