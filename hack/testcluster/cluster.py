"""A cluster as its users see it: bring it up, load images, switch nodes off and on, take it down."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testcluster import bringup, health, images, limits, machines, network, packages, records, teardown
from testcluster.build import Builder, Toolchain, cache_folder
from testcluster.errors import UsageError
from testcluster.layout import Layout, Shape, check_name, free_slot
from testcluster.locks import locked
from testcluster.machines import Running
from testcluster.records import Record

UP_SECONDS: Final = 300.0
"""How long to wait for another process that is changing the same cluster."""

Report = Callable[[str], None]


def silent(_: str) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that was up when this object was made."""

    layout: Layout

    @classmethod
    def up(cls, name: str = "vm", shape: Shape | None = None, *, report: Report = silent) -> Cluster:
        """Bring a cluster up, or return the healthy one of that name and shape.

        What a killed or half-dead predecessor left is removed first. Raises UsageError where the machine lacks
        something or a healthy cluster of another shape has the name; ClusterError when the cluster does not come up
        or does not pass its checks: it is left as it is, for `logs`, and the next `up` replaces it.
        """
        wanted = shape or Shape()
        check_name(name)
        require_root()
        packages.check_installed()
        limits.raise_inotify(report)
        bundle = build(wanted.kubernetes, report=report)
        with locked(records.lock_path(name), timeout=UP_SECONDS, remove=True) as hold:
            kept = bringup.keep(name, wanted, report)
            if kept is not None:
                for node in kept.powered_off:
                    kept = bringup.power_on(kept, node, hold=hold)
                return cls(kept.layout)
            teardown.remove(name)
            routes = network.routed()
            record = records.reserve(name, wanted, str(bundle), lambda taken: free_slot(taken, routes))
            bringup.create(record, hold=hold, report=report)
            return cls(record.layout)

    @classmethod
    def find(cls, name: str = "vm") -> Cluster:
        """The cluster of that name. Raises UsageError when there is none that was ever complete."""
        record = Record.load(check_name(name))
        if record is None or record.state != "up":
            raise UsageError(f"there is no cluster {name!r}: `hack/cluster up --name {name}` makes one")
        return cls(record.layout)

    @classmethod
    def of_any_state(cls, name: str) -> Cluster:
        """The cluster of that name, complete or not, for looking at its logs. Raises UsageError when there is none."""
        record = Record.load(check_name(name))
        if record is None:
            raise UsageError(f"there is no cluster {name!r}: `hack/cluster up --name {name}` makes one")
        return cls(record.layout)

    @property
    def name(self) -> str:
        return self.layout.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; its server is reachable from this machine."""
        return self.layout.kubeconfig

    @property
    def ca_certificate(self) -> Path:
        """The cluster CA's certificate: it signs the API server, the kubelets and the clients."""
        return self.layout.directory / "ca.crt"

    @property
    def node_names(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.layout.nodes)

    @property
    def addresses(self) -> dict[str, str]:
        """Address by machine name, the control plane's included; all reachable from this machine."""
        return {machine.name: str(machine.address) for machine in self.layout.machines}

    def load_image(self, *archives: Path) -> dict[str, bool]:
        """Import docker-archives or OCI archives into every node that is on; what is there already is left out.

        Returns `NODE/ARCHIVE` -> imported now.
        """
        record = self._record()
        on = [node for node in self.layout.nodes if node.name not in record.powered_off]
        return images.load(on, archives, Path(record.bundle))

    def power_off(self, node: str) -> None:
        """Pull a node's plug: its link goes down and every process on it dies at once, pods included."""
        machine = self.layout.node(node)
        with locked(records.lock_path(self.name), timeout=UP_SECONDS, remove=True) as hold:
            self._record().switched(node, on=False).save()
            switch = machines.find(self.layout.switch)
            if switch is not None and machines.find(machine) is not None:
                network.unplug(switch, machine, hold=hold)
            machines.power_off(machine)

    def power_on(self, node: str) -> None:
        """Switch a node on again; returns when it is Ready. Its pods are started again meanwhile."""
        self.layout.node(node)
        with locked(records.lock_path(self.name), timeout=UP_SECONDS, remove=True) as hold:
            bringup.power_on(self._record(), node, hold=hold)

    def enter(self, machine: str, argv: Sequence[str], *, mounts: bool = True) -> list[str]:
        """The command line that runs `argv` on a machine as its root; without `mounts` it sees this host's files.

        Raises UsageError when the machine is off.
        """
        return [*self._running(machine).enter(mounts=mounts), *argv]

    def log(self, component: str, machine: str = "") -> Path:
        """The log file of a component; on the control plane, or on the named machine. Raises UsageError."""
        found = sorted(self.layout.logs.glob(f"{machine or '*'}/{component}.log"))
        if len(found) == 1:
            return found[0]
        problem = "on several machines: name one of" if found else "not there: these are"
        raise UsageError(f"a log of {component!r} is {problem} {', '.join(self.logs())}")

    def logs(self) -> list[str]:
        """Every log of the cluster, as MACHINE/COMPONENT."""
        return sorted(
            str(path.relative_to(self.layout.logs).with_suffix("")) for path in self.layout.logs.glob("*/*.log")
        )

    def health(self) -> health.Health:
        return health.look(self._record())

    def down(self) -> None:
        """Take the cluster away; nothing of it is left on the machine."""
        down(self.name)

    def _record(self) -> Record:
        record = Record.load(self.name)
        if record is None:
            raise UsageError(f"cluster {self.name!r} is gone: `hack/cluster up --name {self.name}` makes it anew")
        return record

    def _running(self, name: str) -> Running:
        place = self.layout.control_plane
        machine = place if name == place.name else self.layout.node(name)
        running = machines.find(machine)
        if running is None:
            raise UsageError(f"machine {name!r} of cluster {self.name!r} is switched off")
        return running


def build(kubernetes: str, *, report: Report) -> Path:
    """Build what is missing for a Kubernetes version; returns the folder with all programs and images."""
    return Builder(cache_folder(), Toolchain.find(), report).bundle(kubernetes)


def down(name: str) -> None:
    """Take a cluster away, or what a killed `up` or `down` left of one; fine if there is nothing."""
    check_name(name)
    require_root()
    with locked(records.lock_path(name), timeout=UP_SECONDS, remove=True):
        teardown.remove(name)


def names() -> list[str]:
    """Every cluster on this machine, half-made ones included."""
    return records.names()


def require_root() -> None:
    """Raises UsageError when not root."""
    if os.geteuid() != 0:
        raise UsageError("root is needed for namespaces, mounts and cgroups: run `sudo hack/cluster ...`")
