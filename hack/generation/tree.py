"""Generated files against a checkout: what differs, and writing it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Difference", "differences", "write"]


@dataclass(frozen=True, order=True)
class Difference:
    """One file that is not what the code says; `kind` is missing, outdated or stale."""

    path: str
    kind: str


def differences(root: Path, wanted: Mapping[str, str], folders: Iterable[str]) -> list[Difference]:
    """What a write would change below `root`, sorted by path. Files in `folders` that nothing generates are stale."""
    found = []
    for path, text in wanted.items():
        try:
            present = (root / path).read_bytes()
        except FileNotFoundError:
            found.append(Difference(path, "missing"))
        else:
            if present != text.encode():
                found.append(Difference(path, "outdated"))
    present_paths = (path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    names = {path.relative_to(root).as_posix() for path in present_paths}
    return sorted(found + [Difference(name, "stale") for name in names - wanted.keys()])


def write(root: Path, wanted: Mapping[str, str], changes: Iterable[Difference]) -> None:
    """Make `changes` true: write the missing and outdated files, remove the stale ones."""
    for change in changes:
        path = root / change.path
        if change.kind == "stale":
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[change.path].encode())
