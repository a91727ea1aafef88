"""What is remembered of each cluster on disk, written before the thing it describes exists."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from testcluster import layout
from testcluster.layout import Layout, Shape
from testcluster.locks import locked

LOCK_SECONDS: Final = 30.0
_FILE: Final = "cluster.json"


@dataclass(frozen=True, slots=True)
class Record:
    """One cluster: who it is, and whether it was ever complete."""

    layout: Layout
    state: Literal["creating", "up"]
    bundle: str
    powered_off: tuple[str, ...] = ()

    def save(self) -> None:
        """Write the record, complete or not at all."""
        folder = self.layout.directory
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        partial = folder / f".{_FILE}.partial"
        partial.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="ascii")
        partial.replace(folder / _FILE)

    def up(self) -> Record:
        return replace(self, state="up")

    def switched(self, node: str, *, on: bool) -> Record:
        """The record after a node's power was switched."""
        others = tuple(name for name in self.powered_off if name != node)
        return replace(self, powered_off=others if on else (*others, node))

    @classmethod
    def load(cls, name: str) -> Record | None:
        """The record of a cluster; None when there is none or it is not readable."""
        try:
            document = json.loads((layout.STATE_ROOT / name / _FILE).read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None
        return cls._parse(document)

    @classmethod
    def _parse(cls, document: dict[str, Any]) -> Record:
        place = document["layout"]
        return cls(
            Layout(place["name"], place["slot"], Shape(**place["shape"])),
            document["state"],
            document["bundle"],
            tuple(document["powered_off"]),
        )


def names() -> list[str]:
    """Every cluster that has left anything in the state folder, half-made ones included."""
    try:
        return sorted(entry.name for entry in os.scandir(layout.STATE_ROOT) if entry.is_dir())
    except FileNotFoundError:
        return []


def reserve(name: str, shape: Shape, bundle: str, choose: Callable[[set[int]], int]) -> Record:
    """Write the record of a new cluster with a slot that no other cluster holds; `choose` gets the taken slots."""
    with locked(layout.LOCK_ROOT / "slots.lock", timeout=LOCK_SECONDS, remove=True):
        others = (Record.load(other) for other in names() if other != name)
        slot = choose({other.layout.slot for other in others if other})
        record = Record(Layout(name, slot, shape), "creating", bundle)
        record.save()
        (layout.MEMORY_ROOT / name).mkdir(parents=True, exist_ok=True)
        return record


def forget(name: str) -> None:
    """Remove a cluster's folders: its data first, its record last. Nothing of it may run any more."""
    for root in (layout.MEMORY_ROOT, layout.STATE_ROOT):
        if (root / name).exists():
            shutil.rmtree(root / name)
    # Under the lock, or a folder could go between another cluster's making it and making its own in it.
    with locked(layout.LOCK_ROOT / "slots.lock", timeout=LOCK_SECONDS, remove=True):
        for root in (layout.MEMORY_ROOT, layout.STATE_ROOT):
            with suppress(OSError):  # other clusters live in it, or it was never made
                root.rmdir()


def lock_path(name: str) -> Path:
    return layout.LOCK_ROOT / f"{name}.lock"
