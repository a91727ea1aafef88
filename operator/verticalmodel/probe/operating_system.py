"""Clause 5, Linux or Windows Server 2022: what the node that runs a pod reports of itself, as the API server has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from verticalmodel.api.evidence import Binding
from verticalmodel.probe.measurement import OPERATING_SYSTEM, Measurement
from verticalmodel.probe.world import Node, Pod

__all__ = ["operating_systems"]

METHOD = "status.nodeInfo of the pod's node, as its kubelet reports it"


def operating_systems(pods: Iterable[Pod], nodes: Mapping[str, Node], now: datetime) -> tuple[Measurement, ...]:
    """One look for each pod whose node is known; `nodes` by name. Its value is 1: which systems do is the judge's."""
    return tuple(_look(pod, nodes[pod.node], now) for pod in pods if pod.node in nodes)


def _look(pod: Pod, node: Node, now: datetime) -> Measurement:
    told = {"operatingSystem": node.operating_system, "osImage": node.os_image, "kernel": node.kernel}
    known = bool(node.operating_system)
    return Measurement(
        measure=OPERATING_SYSTEM,
        instance=f"pod/{pod.name}",
        unit="supported",
        value=1.0 if known else None,
        samples=1,
        window_seconds=0.0,
        method=METHOD,
        binding=Binding(pod_uid=pod.uid),
        observations={"node": node.name, **told, **({} if known else {"failure": "the node reports no system"})},
        measured_at=now,
    )
