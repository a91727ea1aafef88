"""Kernel limits that a default machine sets too low for several nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from testcluster.errors import UsageError

INOTIFY_INSTANCES: Final = 8192
_INSTANCES: Final = Path("/proc/sys/fs/inotify/max_user_instances")


def raise_inotify(report: Callable[[str], None], path: Path = _INSTANCES) -> None:
    """Let root have enough inotify instances: a node needs about a dozen, the default for all of them is 128.

    Without it a kubelet starts, says "too many open files" in its log, and never becomes Ready. This is the one
    setting of the machine that stays after `down`. Raises UsageError where it may not be changed.
    """
    now = int(path.read_text(encoding="ascii"))
    if now >= INOTIFY_INSTANCES:
        return
    try:
        path.write_text(f"{INOTIFY_INSTANCES}\n", encoding="ascii")
    except OSError as refused:
        raise UsageError(
            f"fs.inotify.max_user_instances is {now} and cannot be raised here ({refused.strerror}): "
            f"run `sysctl fs.inotify.max_user_instances={INOTIFY_INSTANCES}` on the host",
        ) from refused
    report(f"raised fs.inotify.max_user_instances from {now} to {INOTIFY_INSTANCES}")
