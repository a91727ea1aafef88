"""Looks at a cluster from outside: is everything that should run running, and does it answer?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from testcluster import machines
from testcluster.api import Api, Object, collection
from testcluster.errors import ClusterError
from testcluster.layout import Machine
from testcluster.records import Record

CONTROL_PLANE_PROGRAMS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE_PROGRAMS: Final = ("containerd", "kubelet", "kube-proxy", "kube-router")
READY_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class MachineHealth:
    """One machine: its missing programs; a machine that was switched off on purpose misses none."""

    name: str
    address: str
    powered: bool
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """A cluster's condition, worst first in `problems`; empty means healthy."""

    machines: tuple[MachineHealth, ...]
    problems: tuple[str, ...]


def look(record: Record) -> Health:
    """Examine a cluster. Never raises for a sick one."""
    place = record.layout
    found = [
        _machine(place.control_plane, _wanted_on_control_plane(place.shape.nodes), powered=True),
        *(_machine(node, NODE_PROGRAMS, powered=node.name not in record.powered_off) for node in place.nodes),
    ]
    problems = [f"{m.name}: not running: {', '.join(m.missing)}" for m in found if m.missing]
    if machines.find(place.switch) is None:
        problems.append("the switch is not running")
    if record.state != "up":
        problems.append("it was never completed")
    if not problems:
        problems += _api_problems(record)
    return Health(tuple(found), tuple(problems))


def not_ready(nodes: list[Object]) -> list[str]:
    """Names of the nodes whose condition Ready is not True."""

    def ready(node: Object) -> bool:
        conditions = node.get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    return [node["metadata"]["name"] for node in nodes if not ready(node)]


def _wanted_on_control_plane(nodes: int) -> tuple[str, ...]:
    return (*CONTROL_PLANE_PROGRAMS, "local-path-provisioner") if nodes else CONTROL_PLANE_PROGRAMS


def _machine(machine: Machine, wanted: tuple[str, ...], *, powered: bool) -> MachineHealth:
    running = machines.components(machine) if powered else {}
    missing = tuple(program for program in wanted if powered and program not in running)
    return MachineHealth(machine.name, str(machine.address), powered, missing)


def _api_problems(record: Record) -> list[str]:
    try:
        api = Api.from_kubeconfig(record.layout.kubeconfig)
        api.wait_ready(timeout=READY_SECONDS)
        nodes = api.get(collection("Node"))["items"]
    except ClusterError as failure:
        return [f"the API server does not answer: {failure}"]
    # Tests register nodes of their own that no kubelet stands behind: not ours to judge.
    ours = {node.name for node in record.layout.nodes} - set(record.powered_off)
    late = sorted(ours.intersection(not_ready(nodes)))
    absent = ours - {node["metadata"]["name"] for node in nodes}
    problems = [f"nodes not Ready: {', '.join(late)}"] if late else []
    return problems + ([f"nodes not registered: {', '.join(sorted(absent))}"] if absent else [])
