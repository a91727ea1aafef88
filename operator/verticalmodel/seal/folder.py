"""A folder of this machine as a source: a mounted claim, or what `vmodel` is pointed at.

Whoever can write to a claim chooses the names and links in it, while this process can read keys and credentials: so no
link is ever followed, at any level, and nothing but regular files is read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from verticalmodel.seal.manifest import usable_path
from verticalmodel.seal.reasons import Reason, Refusal
from verticalmodel.seal.segments import SEGMENT_BYTES
from verticalmodel.seal.source import truncated

__all__ = ["Folder"]

_MOST_FILES = 10_000
# Without O_NONBLOCK, opening a named pipe waits for a writer.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Folder:
    """Objects are files below `root`; names are relative to it, the empty name is `root` itself."""

    unit_bytes = SEGMENT_BYTES

    def __init__(self, root: Path, processors: int) -> None:
        self._root = root
        self.fetchers = processors

    def small(self, name: str, limit: int) -> bytes:
        with self._file(name) as handle:
            return os.pread(handle, limit + 1, 0)

    def size(self, name: str) -> int:
        with self._file(name) as handle:
            return os.fstat(handle).st_size

    def fetch(self, name: str, start: int, scratch: memoryview) -> memoryview:
        done = 0
        # Opened anew each time: microseconds, and no limit on open files to meet.
        with self._file(name) as handle:
            while done < len(scratch):
                count = os.preadv(handle, [scratch[done:]], start + done)
                if not count:
                    raise truncated(name, start, len(scratch), done)
                done += count
        return scratch

    def plain_files(self, name: str) -> Mapping[str, str]:
        with self._opened(name) as handle:
            mode = os.fstat(handle).st_mode
            if stat.S_ISREG(mode):
                return {name.rpartition("/")[2]: name}
            if not stat.S_ISDIR(mode):
                raise Refusal(Reason.SOURCE_INVALID, f"{name} is neither a file nor a folder")
            files = {path: f"{name}/{path}".lstrip("/") for path in _walk(handle, "")}
        if not files:
            raise Refusal(Reason.SOURCE_NOT_FOUND, f"{name or self._root} holds no file")
        return files

    @contextmanager
    def _file(self, name: str) -> Iterator[int]:
        with self._opened(name) as handle:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                if stat.S_ISDIR(os.fstat(handle).st_mode):
                    raise Refusal(Reason.SOURCE_NOT_FOUND, f"{name} is a folder, not a file")
                raise Refusal(Reason.SOURCE_INVALID, f"{name} is not a regular file")
            yield handle

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        handles: list[int] = []
        try:
            with _refusing(str(self._root)):
                handles.append(os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            for part in filter(None, name.split("/")):
                with _refusing(name):
                    handles.append(os.open(part, _FLAGS, dir_fd=handles[-1]))
            with _refusing(name):
                yield handles[-1]
        finally:
            for handle in handles:
                os.close(handle)


def _walk(folder: int, prefix: str) -> Iterator[str]:
    """Paths of all files below an open folder. Raises Refusal for what is neither file nor folder."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    if len(found) > _MOST_FILES:
        raise Refusal(Reason.SOURCE_INVALID, f"{prefix or 'the folder'} holds more than {_MOST_FILES} entries")
    for entry in found:
        path = prefix + entry.name
        if not usable_path(path):
            raise Refusal(Reason.SOURCE_INVALID, f"name {path!r} has control characters or backslashes")
        if entry.is_dir(follow_symlinks=False):
            handle = os.open(entry.name, _FLAGS | os.O_DIRECTORY, dir_fd=folder)
            try:
                yield from _walk(handle, f"{path}/")
            finally:
                os.close(handle)
        elif entry.is_file(follow_symlinks=False):
            yield path
        else:
            raise Refusal(Reason.SOURCE_INVALID, f"{path} is a link or a device; only files and folders are read")


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turn an operating system's error about `name` into a Refusal."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Refusal(Reason.SOURCE_NOT_FOUND, f"{name}: {error.strerror}") from None
    except PermissionError as error:
        raise Refusal(Reason.SOURCE_DENIED, f"{name}: {error.strerror}") from None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise Refusal(
                Reason.SOURCE_INVALID, f"{name} is a link or a device; only files and folders are read"
            ) from None
        raise Refusal(Reason.SOURCE_UNREACHABLE, f"{name}: {error.strerror}") from None
