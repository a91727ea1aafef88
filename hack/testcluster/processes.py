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
from typing import Final

from testcluster.errors import CommandError, TimedOutError

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

    @property
    def namespace_ids(self) -> tuple[int, ...]:
        """Its id here and in each process namespace further in; empty once it is gone."""
        with suppress(OSError):
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8", errors="replace")
            return next(tuple(map(int, line.split()[1:])) for line in status.splitlines() if line.startswith("NSpid:"))
        return ()

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
    """Kill the processes and wait until the kernel has let go of them. Raises TimedOutError."""
    handles = [handle for process in processes if (handle := process.kill()) is not None]
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    deadline = time.monotonic() + timeout
    try:
        waiting = len(handles)
        while waiting:
            ended = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ended:
                raise TimedOutError(f"{waiting} processes outlived SIGKILL by {timeout:.0f} s")
            for handle, _ in ended:
                poll.unregister(handle)
            waiting -= len(ended)
    finally:
        for handle in handles:
            os.close(handle)


def run(
    argv: Sequence[str],
    *,
    hold: int | None = None,
    text: str = "",
    timeout: float = HELPER_SECONDS,
) -> str:
    """Run a helper program to its end and return its standard output.

    `hold` is a lock's descriptor that the helper keeps open, so that an orphaned helper still holds the lock.
    Raises CommandError (status, what it said) and TimedOutError.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=text,
            capture_output=True,
            check=False,
            text=True,
            pass_fds=() if hold is None else (hold,),
            timeout=timeout,
            env={"PATH": SYSTEM_PATH, "HOME": "/root", "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as late:
        raise TimedOutError(f"{' '.join(argv)} did not end within {timeout:.0f} s") from late
    if done.returncode != 0:
        raise CommandError(list(argv), done.returncode, done.stderr or done.stdout)
    return done.stdout
