"""Artifacts for the tests of sealing: made by the real writer, of bytes that name their place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from verticalmodel.seal.delivery import Request, deliver
from verticalmodel.seal.manifest import MANIFEST_NAME, Manifest
from verticalmodel.seal.progress import Progress
from verticalmodel.seal.report import Report
from verticalmodel.seal.sealing import files_of, seal
from verticalmodel.seal.wrapping import LocalKey

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
MIB = 1024 * 1024


def content(size: int, seed: str = "") -> bytes:
    """Bytes that differ everywhere, so that nothing fits in the wrong place by chance."""
    return hashlib.shake_256(seed.encode()).digest(size)


@dataclass(frozen=True)
class World:
    """A folder with plain parameters, a sealed form of them, key files, and a place to deliver to."""

    root: Path

    @property
    def plain(self) -> Path:
        return self.root / "plain"

    @property
    def sealed(self) -> Path:
        return self.root / "sealed"

    @property
    def target(self) -> Path:
        return self.root / "volume" / "artifact"

    @property
    def manifest(self) -> Manifest:
        return Manifest.parse((self.sealed / MANIFEST_NAME).read_bytes())

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256((self.sealed / MANIFEST_NAME).read_bytes()).hexdigest()

    def key(self, value: bytes = KEY) -> Path:
        path = self.root / f"key-{value[0]}"
        path.write_bytes(value)
        return path

    def blob(self, path: str) -> Path:
        """The sealed form of one file."""
        return self.sealed / next(file.blob for file in self.manifest.files if file.path == path)

    def seal(self, files: dict[str, bytes], out: str = "sealed", key: bytes = KEY) -> Path:
        """Seal these files; the folder with the artifact."""
        self.write(files)
        seal(files_of(self.plain), self.root / out, LocalKey(key), Progress(), processors=2)
        return self.root / out

    def write(self, files: dict[str, bytes]) -> Path:
        for name, data in files.items():
            path = self.plain / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return self.plain

    def deliver(self, **wanted: object) -> Report:
        """Unseal the sealed folder with its key, unless told otherwise."""
        (self.root / "volume").mkdir(exist_ok=True)
        defaults = {
            "uri": "pvc://claim/sealed",
            "mount": self.root,
            "target": self.target,
            "key_file": self.key(),
            "processors": 2,
        }
        return deliver(Request(**(defaults | wanted)))  # type: ignore[arg-type]

    def delivered(self) -> dict[str, bytes]:
        """What the server would see."""
        return {
            str(path.relative_to(self.target)): path.read_bytes() for path in self.target.rglob("*") if path.is_file()
        }

    def nothing_is_left(self) -> bool:
        """Whether the volume is as empty as it was."""
        return not any((self.root / "volume").iterdir())
