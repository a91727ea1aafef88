"""Processes: named so that a recycled id is never mistaken, ended so that they are really gone."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from testcluster.errors import CommandFailed, TimedOut

HELPER_SECONDS: Final = 60.0
SYSTEM_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Process:
    """A process for ever: the kernel reuses an id, but not together with the start time."""

    pid: int
    started: int
    """Clock ticks after boot (proc(5), field 22 of stat)."""

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has this id now; None if there is none or it is dead already."""
        fields = _stat(pid)
        return None if fields is None or fields[0] in "ZX" else cls(pid, int(fields[19]))

    @property
    def alive(self) -> bool:
        return Process.of(self.pid) == self

    @property
    def command(self) -> str:
        """Name of the program, as it was called; empty once the process is gone."""
        with suppress(OSError):
            return Path(Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0", 1)[0].decode()).name
        return ""

    def kill(self) -> int | None:
        """Send SIGKILL; returns a descriptor that becomes readable at the end, or None if it had ended."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        # The descriptor pins whoever has the id now; only after that is the comparison safe.
        if self.alive:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                return handle
        os.close(handle)
        return None


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name stands in parentheses and may hold spaces and parentheses of its own.
    return text.rpartition(")")[2].split()


def end(processes: Iterable[Process], *, timeout: float = 20.0) -> None:
    """Kill the processes and wait until the kernel has let go of them. Raises TimedOut."""
    handles = [handle for process in processes if (handle := process.kill()) is not None]
    deadline = time.monotonic() + timeout
    waiting = set(handles)
    try:
        while waiting:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOut(f"{len(waiting)} processes outlived SIGKILL by {timeout:.0f} s")
            readable, _, _ = select.select(list(waiting), [], [], left)
            waiting.difference_update(readable)
    finally:
        for handle in handles:
            os.close(handle)


def run(
    argv: Sequence[str],
    *,
    hold: int | None = None,
    text: str | None = None,
    stdin: IO[bytes] | None = None,
    timeout: float = HELPER_SECONDS,
    environment: dict[str, str] | None = None,
) -> str:
    """Run a helper program to its end and return its standard output.

    `hold` is a lock's descriptor that the helper keeps open, so that an orphaned helper still holds the lock.
    Raises CommandFailed (status, what it said) and TimedOut.
    """
    source = {"stdin": stdin} if stdin is not None else {"input": text or ""}
    try:
        done = subprocess.run(  # noqa: PLW1510  # the status is looked at below
            list(argv),
            capture_output=True,
            text=True,
            pass_fds=() if hold is None else (hold,),
            timeout=timeout,
            env={"PATH": SYSTEM_PATH, "HOME": "/root", "LC_ALL": "C"} | (environment or {}),
            **source,  # type: ignore[call-overload]
        )
    except subprocess.TimeoutExpired as late:
        raise TimedOut(f"{' '.join(argv)} did not end within {timeout:.0f} s") from late
    if done.returncode != 0:
        raise CommandFailed(list(argv), done.returncode, done.stderr or done.stdout)
    return str(done.stdout)
