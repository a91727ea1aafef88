"""The output folder: invisible until everything in it is verified, then there at once; gone after any failure."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from verticalmodel.seal.reasons import Reason, Refusal

__all__ = ["Staging"]


class Staging:
    """Files are written under a name beside `target`, which `publish` renames to `target`.

    What is at either name from an earlier run is removed on entry: it would take the memory that this run needs.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self.folder = target.with_name(f".{target.name}.partial")

    def __enter__(self) -> Self:
        self._wipe()
        shutil.rmtree(self._target, ignore_errors=True)
        self.folder.mkdir(mode=0o750, parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wipe()

    def free_bytes(self) -> int:
        """Room in the volume."""
        return shutil.disk_usage(self.folder).free

    def create(self, path: str, size: int) -> None:
        """A new file of `size` zero bytes, in new folders as needed. `path` is relative and in normal form."""
        file = self.folder / path
        file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            os.truncate(handle, size)
        finally:
            os.close(handle)

    def write(self, path: str, pieces: Iterable[tuple[int, memoryview]]) -> None:
        """Write pieces, each at its offset, into a created file. Raises Refusal(TooLarge) where the volume is full."""
        handle = os.open(self.folder / path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for start, data in pieces:
                _write_at(handle, data, start)
        finally:
            os.close(handle)

    def publish(self) -> None:
        """Make the folder visible under its name, in one step."""
        self.folder.rename(self._target)

    def _wipe(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _write_at(handle: int, data: memoryview, start: int) -> None:
    try:
        while data:
            count = os.pwrite(handle, data, start)
            data, start = data[count:], start + count
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise Refusal(Reason.TOO_LARGE, f"the volume was full: {error.strerror}") from None
        raise
