"""Takes a cluster away, whatever state it is in: found by name, not by what its creator managed to note down."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from testcluster import layout
from testcluster.cgroups import Hierarchies
from testcluster.errors import CommandFailed
from testcluster.layout import Layout, cluster_cgroup
from testcluster.processes import run
from testcluster.records import Record


def remove(name: str) -> None:
    """End every process of the cluster and remove all that it has on this machine, its record last.

    Mounts and inner network devices need no step of their own: they go with the last process of their namespace.
    The caller holds the cluster's lock, so no helper of an interrupted `up` is at work any more.
    """
    groups = Hierarchies.here()
    groups.kill(cluster_cgroup(name))
    record = Record.load(name)
    if record is not None:
        _remove_link(record.layout)
    groups.remove(cluster_cgroup(name))
    _remove_folder(layout.MEMORY_ROOT, name)
    _remove_folder(layout.STATE_ROOT, name)


def _remove_link(place: Layout) -> None:
    if not Path(f"/sys/class/net/{place.link}").exists():
        return
    try:
        run(["ip", "link", "delete", place.link])
    except CommandFailed:  # it went with the switch's namespace in between
        if Path(f"/sys/class/net/{place.link}").exists():
            raise


def _remove_folder(root: Path, name: str) -> None:
    target = root / name
    if target.exists():
        shutil.rmtree(target)
    with suppress(OSError):  # other clusters live in it, or it was never made
        root.rmdir()
