"""Takes a cluster away, whatever state it is in: found by name, not by what its creator managed to note down."""

from __future__ import annotations

from pathlib import Path

from testcluster import records
from testcluster.cgroups import Hierarchies
from testcluster.errors import CommandError
from testcluster.layout import Layout, cluster_cgroup
from testcluster.processes import run


def remove(name: str) -> None:
    """End every process of the cluster and remove all that it has on this machine, its record last.

    Mounts and inner network devices need no step of their own: they go with the last process of their namespace.
    The caller holds the cluster's lock, so no helper of an interrupted `up` is at work any more.
    """
    groups = Hierarchies.here()
    groups.kill(cluster_cgroup(name))
    record = records.Record.load(name)
    if record is not None:
        _remove_link(record.layout)
    groups.remove(cluster_cgroup(name))
    records.forget(name)


def _remove_link(place: Layout) -> None:
    if not Path(f"/sys/class/net/{place.link}").exists():
        return
    try:
        run(["ip", "link", "delete", place.link])
    except CommandError:  # it went with the switch's namespace in between
        if Path(f"/sys/class/net/{place.link}").exists():
            raise
