"""Where images live on this machine: one docker-archive per image and content, complete or absent."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagebuild.catalogue import REPOSITORY

KEPT_ARCHIVES = 3
"""Contents kept per image; others go when a new one is saved and they have not been used for KEPT_SECONDS."""
KEPT_SECONDS = 3600


@dataclass(frozen=True)
class Built:
    """One image at one content: what to call it, and where its archive is (or will be)."""

    name: str
    tag: str
    archive: Path

    @property
    def reference(self) -> str:
        return f"{REPOSITORY}/{self.name}:{self.tag}"


@dataclass(frozen=True)
class Store:
    """The cache folder; everything a build writes is below it."""

    root: Path

    @classmethod
    def default(cls) -> Store:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return cls(Path(cache) / "verticalmodel" / "images")

    def built(self, name: str, tag: str) -> Built:
        return Built(name, tag, self.root / "archives" / f"{name}-{tag}.tar")

    def archived(self, name: str) -> list[Built]:
        """What is there of an image, the most recently used first."""
        found = sorted(
            (self.root / "archives").glob(f"{name}-*.tar"), key=lambda path: path.stat().st_mtime, reverse=True
        )
        contents = [(path.stem.removeprefix(f"{name}-"), path) for path in found]
        return [Built(name, tag, path) for tag, path in contents if "-" not in tag]

    def use(self, built: Built) -> bool:
        """Whether the archive is there; if so it counts as used now, and is among the last to go."""
        try:
            os.utime(built.archive)
        except FileNotFoundError:
            return False
        return True

    def outdated(self, name: str) -> list[Built]:
        """What of an image may go: not among the last few used, and not used lately by someone still loading it."""
        limit = time.time() - KEPT_SECONDS
        return [built for built in self.archived(name)[KEPT_ARCHIVES:] if built.archive.stat().st_mtime < limit]

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the one build lock of this cache, waiting for it; yields whether there was a wait.

        What an interrupted build left is removed first: whoever holds the lock owns all of it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            waited = False
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = True
                fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(self.scratch, ignore_errors=True)
            for folder in ("archives", "scratch", "pip", "storage", "run"):
                (self.root / folder).mkdir(exist_ok=True)
            yield waited

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    @contextmanager
    def replacing(self, archive: Path) -> Iterator[Path]:
        """A path to write to that becomes `archive` when the block ends well."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            partial = Path(folder) / archive.name
            yield partial
            partial.replace(archive)
