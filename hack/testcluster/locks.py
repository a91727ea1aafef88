"""Advisory locks that survive nothing: the kernel drops them with the last process that holds them."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testcluster.errors import TimedOutError

if TYPE_CHECKING:
    from collections.abc import Iterator

POLL_SECONDS: Final = 0.05


@contextmanager
def locked(path: Path, *, timeout: float, remove: bool = False) -> Iterator[int]:
    """Hold the lock file `path` exclusively; yields its descriptor.

    A child process that inherits the descriptor keeps the lock until it ends or closes it. That is used on
    purpose: whoever takes the lock next knows that no helper of a killed predecessor is still at work.
    With `remove` the file is taken away on release. Raises TimedOutError after `timeout` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    while (descriptor := _try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise TimedOutError(f"{path} is still held after {timeout:.0f} s by {_holder(path)}")
        time.sleep(POLL_SECONDS)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield descriptor
    finally:
        if remove:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # another lock still lives in the folder
                path.parent.rmdir()
        os.close(descriptor)


def _try_lock(path: Path) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:  # a release has just removed the folder
        path.parent.mkdir(parents=True, exist_ok=True)
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The holder before us may have removed the file: then ours is a lock on nothing.
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _holder(path: Path) -> str:
    try:
        pid = path.read_text(encoding="ascii").strip()
        command = Path(f"/proc/{int(pid)}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (OSError, ValueError):
        return "a child of a process that has ended"
    return f"process {pid} ({command.strip()})"
