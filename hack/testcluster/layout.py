"""Where everything of one cluster lives: names, addresses, folders. Pure; nothing here touches the machine."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from testcluster.errors import UsageError

STATE_ROOT: Final = Path("/var/lib/verticalmodel-test")
"""One folder per cluster; nothing of a cluster is on disk elsewhere, caches aside."""
MEMORY_ROOT: Final = Path("/dev/shm/verticalmodel-test")  # noqa: S108  # a folder of root's, not a shared temporary file
"""etcd's data, when it is kept in memory."""
LOCK_ROOT: Final = Path("/run/lock/verticalmodel-test")

SLOTS: Final = range(100)
MAX_NODES: Final = 20
SERVICE_RANGE: Final = ipaddress.IPv4Network("10.96.0.0/16")
API_SERVICE_ADDRESS: Final = ipaddress.IPv4Address("10.96.0.1")
DNS_SERVICE_ADDRESS: Final = ipaddress.IPv4Address("10.96.0.10")
API_PORT: Final = 6443
KUBELET_PORT: Final = 10250
CONTROL_PLANE: Final = "control-plane"
SWITCH: Final = "switch"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}(?<!-)")


def check_name(name: str) -> str:
    """Return a valid cluster name unchanged.

    Raises UsageError: a name is a path component, a cgroup and a certificate subject.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"cluster name {name!r}: use 1 to 20 of a-z, 0-9 and '-', starting with a letter, not ending with '-'",
        )
    return name


@dataclass(frozen=True, slots=True)
class Shape:
    """What kind of cluster: two clusters of one shape can stand in for each other."""

    nodes: int = 3
    etcd: Literal["tmpfs", "disk"] = "tmpfs"
    kubernetes: str = "1.37"

    def __post_init__(self) -> None:
        if not 0 <= self.nodes <= MAX_NODES:
            raise UsageError(f"nodes: {self.nodes} is not in 0..{MAX_NODES}")
        if self.etcd not in {"tmpfs", "disk"}:
            raise UsageError(f"etcd: {self.etcd!r} is neither 'tmpfs' nor 'disk'")


@dataclass(frozen=True, slots=True)
class Machine:
    """One simulated machine: a set of Linux namespaces with an address on the cluster's switch."""

    name: str
    address: ipaddress.IPv4Address
    pods: ipaddress.IPv4Network | None
    """The pod range of a node; None for the control plane, which runs no pods."""
    directory: Path
    cgroup: str

    @property
    def run(self) -> Path:
        """The machine's /run, as seen from outside."""
        return self.directory / "run"

    @property
    def var_lib(self) -> Path:
        """The machine's /var/lib, as seen from outside."""
        return self.directory / "var-lib"

    @property
    def var_log(self) -> Path:
        """The machine's /var/log, as seen from outside."""
        return self.directory / "var-log"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd" / "containerd.sock"


@dataclass(frozen=True, slots=True)
class Layout:
    """Every name and address of a cluster follows from its name, its slot and its shape."""

    name: str
    slot: int
    shape: Shape

    @property
    def directory(self) -> Path:
        return STATE_ROOT / self.name

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def pki(self) -> Path:
        return self.directory / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def etcd_data(self) -> Path:
        return (MEMORY_ROOT if self.shape.etcd == "tmpfs" else STATE_ROOT) / self.name / "etcd"

    @property
    def cgroup(self) -> str:
        """The cgroup below which every process of the cluster lives, in every hierarchy."""
        return cluster_cgroup(self.name)

    @property
    def subnet(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network((f"10.77.{self.slot}.0", 24))

    @property
    def pods(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network((f"10.{128 + self.slot}.0.0", 16))

    @property
    def gateway(self) -> ipaddress.IPv4Address:
        """The root network namespace's own address in the cluster."""
        return self.subnet[1]

    @property
    def link(self) -> str:
        """The one network device that the cluster has in the root network namespace."""
        return link_name(self.slot)

    @property
    def api_url(self) -> str:
        return f"https://{self.control_plane.address}:{API_PORT}"

    @property
    def control_plane(self) -> Machine:
        return self._machine(CONTROL_PLANE, 2, None)

    @property
    def switch(self) -> Machine:
        return self._machine(SWITCH, 1, None)

    @property
    def nodes(self) -> tuple[Machine, ...]:
        return tuple(
            self._machine(f"node{index}", 10 + index, self._pod_range(index))
            for index in range(1, self.shape.nodes + 1)
        )

    @property
    def machines(self) -> tuple[Machine, ...]:
        return (self.control_plane, *self.nodes)

    def node(self, name: str) -> Machine:
        """The node of that name. Raises UsageError where there is none."""
        for machine in self.nodes:
            if machine.name == name:
                return machine
        known = ", ".join(machine.name for machine in self.nodes) or "none"
        raise UsageError(f"cluster {self.name!r} has no node {name!r}; it has: {known}")

    def machine_cgroup(self, name: str) -> str:
        return f"{self.cgroup}/{name}"

    def _pod_range(self, index: int) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network((f"10.{128 + self.slot}.{index}.0", 24))

    def _machine(self, name: str, host: int, pods: ipaddress.IPv4Network | None) -> Machine:
        return Machine(name, self.subnet[host], pods, self.directory / "machines" / name, self.machine_cgroup(name))


def cluster_cgroup(name: str) -> str:
    """The cgroup of a cluster known by its name only (its record may be lost)."""
    return f"/verticalmodel-test-{name}"


def link_name(slot: int) -> str:
    """The root-side network device of a slot; at most 15 characters, a kernel limit."""
    return f"vmtest{slot}"


def free_slot(taken: set[int], routes: list[ipaddress.IPv4Network]) -> int:
    """The first slot that no cluster holds and whose ranges this machine does not route already.

    Raises UsageError when none is left.
    """
    for slot in SLOTS:
        probe = Layout("probe", slot, Shape(nodes=0))
        if slot not in taken and not any(r.overlaps(probe.subnet) or r.overlaps(probe.pods) for r in routes):
            return slot
    raise UsageError(
        f"no free network slot among {len(SLOTS)}: `hack/cluster status` lists the clusters that hold them"
    )
