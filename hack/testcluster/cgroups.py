"""Control groups: the one place from which every process of a cluster can be found and ended.

Works on the hierarchies of version 1 (one per controller) and on the single one of version 2.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testcluster.errors import ClusterError, TimedOutError
from testcluster.processes import Process, end

ROUNDS: Final = 50
_V2_CONTROLLERS: Final = ("cpu", "cpuset", "memory", "pids", "io", "hugetlb")


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """The mounted cgroup hierarchies of this machine."""

    mounts: tuple[Path, ...]
    tracking: Path
    """The hierarchy that host processes join. One is enough to find them again."""
    unified: bool
    """True on a machine with cgroup version 2 only."""

    @classmethod
    def parse(cls, mountinfo: str) -> Hierarchies:
        """Read the text of /proc/self/mountinfo. Raises ClusterError when no hierarchy is mounted."""
        version1: dict[Path, str] = {}
        version2: list[Path] = []
        for line in mountinfo.splitlines():
            left, _, right = line.partition(" - ")
            mount_point, (kind, _, options) = Path(left.split()[4]), right.split()[:3]
            if kind == "cgroup":
                version1[mount_point] = options
            elif kind == "cgroup2":
                version2.append(mount_point)
        if not version1 and not version2:
            raise ClusterError("no cgroup hierarchy is mounted: mount one under /sys/fs/cgroup")
        if not version1:
            return cls((version2[0],), version2[0], unified=True)
        freezers = [path for path, options in version1.items() if "freezer" in options.split(",")]
        if not freezers:
            raise ClusterError("cgroup version 1 without a freezer hierarchy: mount it under /sys/fs/cgroup/freezer")
        return cls((*version1, *version2), freezers[0], unified=False)

    @classmethod
    def here(cls) -> Hierarchies:
        return cls.parse(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))

    def make(self, group: str) -> None:
        """Make a cgroup and its ancestors in every hierarchy, ready to hold processes and limits."""
        for mount in self.mounts:
            folder = mount
            for part in Path(group.lstrip("/")).parts:
                parent, folder = folder, folder / part
                if self.unified:
                    _delegate(parent)
                folder.mkdir(exist_ok=True)
                for name in ("cpuset.cpus", "cpuset.mems"):
                    _inherit(parent / name, folder / name)

    def processes(self, group: str) -> set[Process]:
        """Every living process in the cgroup and below, in any hierarchy."""
        return {
            process
            for mount in self.mounts
            for pid in _members(mount / group.lstrip("/"))
            if (process := Process.of(pid)) is not None
        }

    def kill(self, group: str) -> None:
        """End every process in the cgroup and below, those they start meanwhile included. Raises TimedOutError."""
        for _ in range(ROUNDS):
            living = self.processes(group)
            if not living:
                return
            end(living)
        raise TimedOutError(f"cgroup {group}: processes keep appearing: {sorted(p.command for p in living)}")

    def remove(self, group: str, *, timeout: float = 10.0) -> None:
        """Remove the cgroup and all below it from every hierarchy. Raises TimedOutError if one stays busy."""
        deadline = time.monotonic() + timeout
        for mount in self.mounts:
            top = mount / group.lstrip("/")
            for folder in _deepest_first(top):
                while not _removed(folder):
                    if time.monotonic() > deadline:
                        raise TimedOutError(f"cgroup {folder} is still busy after {timeout:.0f} s")
                    time.sleep(0.02)

    def limits(self, group: str) -> dict[str, float]:
        """The live limits of a cgroup: `memory` in bytes, `cpu` in CPUs, `pids`; infinite where there is none."""

        def read(controller: str, name: str) -> str:
            mount = self.tracking if self.unified else self.tracking.parent / controller
            return (mount / group.lstrip("/") / name).read_text(encoding="ascii").strip()

        if self.unified:
            memory = read("memory", "memory.max")
            quota, period = read("cpu", "cpu.max").split()
        else:
            memory = read("memory", "memory.limit_in_bytes")
            quota, period = read("cpu", "cpu.cfs_quota_us"), read("cpu", "cpu.cfs_period_us")
        limits = {"memory": memory, "cpu": quota, "pids": read("pids", "pids.max")}
        numbers = {name: math.inf if limit in {"max", "-1"} else int(limit) for name, limit in limits.items()}
        return numbers | {"cpu": numbers["cpu"] / int(period)}

    def folders(self, group: str) -> list[Path]:
        """The folders of this cgroup that exist."""
        return [path for mount in self.mounts if (path := mount / group.lstrip("/")).is_dir()]


def _members(top: Path) -> Iterable[int]:
    for folder in _deepest_first(top):
        with suppress(FileNotFoundError, OSError):
            yield from map(int, (folder / "cgroup.procs").read_text(encoding="ascii").split())


def _deepest_first(top: Path) -> list[Path]:
    return [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # EBUSY: the kernel has not finished with its last process
        return False
    return True


def _inherit(source: Path, target: Path) -> None:
    """A new cpuset is empty, and then takes no process: give it its parent's."""
    if target.exists() and not target.read_text(encoding="ascii").strip():
        target.write_text(source.read_text(encoding="ascii"), encoding="ascii")


def _delegate(folder: Path) -> None:
    available = (folder / "cgroup.controllers").read_text(encoding="ascii").split()
    wanted = " ".join(f"+{name}" for name in _V2_CONTROLLERS if name in available)
    (folder / "cgroup.subtree_control").write_text(wanted, encoding="ascii")
