"""How many threads inference may use: the container's CPU limit, never the machine's core count.

ONNX Runtime sizes its pool by the cores it sees; in a container with a limit of one core on a machine
with 64 that is 64 threads fighting over one quota, and the throttling shows up as tail latency.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

CPU_LIMIT_ENV = "CPU_LIMIT"
"""Whole cores, as the downward API renders `resourceFieldRef: limits.cpu` (divisor 1, rounded up)."""

CGROUP_ROOT = Path("/sys/fs/cgroup")


class CPULimitError(ValueError):
    """The environment names a CPU limit that is not a positive whole number."""


def thread_count(environ: Mapping[str, str], cgroup_root: Path = CGROUP_ROOT) -> int:
    """Threads to run inference with: CPU_LIMIT, else the cgroup's quota rounded up, else the cores we may run on.

    Never more than the cores this process may be scheduled on, never less than 1.
    Raises CPULimitError when CPU_LIMIT is set to anything but a positive whole number.
    """
    schedulable = len(os.sched_getaffinity(0))
    declared = environ.get(CPU_LIMIT_ENV)
    if declared is not None:
        if not declared.isascii() or not declared.isdigit() or int(declared) < 1:
            raise CPULimitError(f"{CPU_LIMIT_ENV} is {declared!r}; it takes whole cores, 1 or more")
        return min(int(declared), schedulable)
    quota = cgroup_quota(cgroup_root)
    return schedulable if quota is None else max(1, min(math.ceil(quota), schedulable))


def cgroup_quota(cgroup_root: Path) -> float | None:
    """Cores granted by the container's own cgroup (v2 `cpu.max`, v1 CFS quota), or None when there is no limit."""
    unified = _words(cgroup_root / "cpu.max")
    if len(unified) == 2:
        quota, period = unified
        return None if quota == "max" else int(quota) / int(period)
    quota_us = _words(cgroup_root / "cpu" / "cpu.cfs_quota_us")
    period_us = _words(cgroup_root / "cpu" / "cpu.cfs_period_us")
    if not quota_us or not period_us or int(quota_us[0]) <= 0:
        return None
    return int(quota_us[0]) / int(period_us[0])


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []
