"""Live cgroups from the text of a kubelet's /metrics/cadvisor. Pure.

Only the label `id`, the cgroup's path, is relied on: names are missing where the kubelet's cAdvisor does not know the
container runtime's socket. Paths differ by driver, `.../pod<uid>/<container id>` for cgroupfs and
`...-pod<uid_with_underscores>.slice/cri-containerd-<container id>.scope` for systemd, on cgroup v1 and v2 alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Cgroup", "Cgroups", "parse_cadvisor"]

UNLIMITED_FROM = float(2**62)
"""From here on a figure is no limit but the absence of one: cgroup v1 says 2^63 - 4096 for `unlimited`."""

# Inside another label's value the quote would be escaped, so this finds the label itself (Prometheus text format).
_ID = re.compile(r"(?:^|,)id=\"((?:[^\"\\]|\\.)*)\"")
_POD = re.compile(
    r"(?:^|-)pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$"
)
_CONTAINER = re.compile(r"^(?:(?:cri-containerd|crio|docker)-)?([0-9a-f]{64})(?:\.scope)?$")


@dataclass(frozen=True)
class Cgroup:
    """One live cgroup. A series that was not in the text is None; `no limit` is 0."""

    path: str
    memory_limit: float | None = None
    cpu_quota: float | None = None
    cpu_period: float | None = None
    pids_max: float | None = None
    threads: float | None = None
    processes: float | None = None
    working_set: float | None = None
    started: float | None = None
    """Seconds since the epoch, the node's clock."""
    sampled: float | None = None
    """Newest sample's time in seconds since the epoch, the node's clock; None where no sample bears one."""


@dataclass(frozen=True)
class Cgroups:
    """What one node showed: cgroups of pods by pod uid, of containers by container id."""

    pods: Mapping[str, Cgroup] = field(default_factory=dict)
    containers: Mapping[str, Cgroup] = field(default_factory=dict)


_FIELD = {
    "container_spec_memory_limit_bytes": "memory_limit",
    "container_spec_cpu_quota": "cpu_quota",
    "container_spec_cpu_period": "cpu_period",
    "container_threads_max": "pids_max",
    "container_threads": "threads",
    "container_processes": "processes",
    "container_memory_working_set_bytes": "working_set",
    "container_start_time_seconds": "started",
}
_SERIES = tuple(_FIELD)
_LIMITS = frozenset({"memory_limit", "cpu_quota", "pids_max"})


def parse_cadvisor(text: str) -> Cgroups:
    """Cgroups of pods and their containers in the exposition text of one node; everything else is skipped.

    A line that is no sample, or whose value is no number, is as good as absent: what it would have told stays unknown.
    """
    found: dict[str, dict[str, float]] = {}
    for line in text.split("\n"):
        if line.startswith(_SERIES):
            _read_sample(line, found)
    pods: dict[str, Cgroup] = {}
    containers: dict[str, Cgroup] = {}
    for path, figures in found.items():
        parent, _, last = path.rpartition("/")
        if pod := _POD.search(last):
            pods[_uid(pod.group(1))] = Cgroup(path, **figures)
        elif (container := _CONTAINER.match(last)) and _POD.search(parent.rpartition("/")[2]):
            containers[container.group(1)] = Cgroup(path, **figures)
    return Cgroups(pods, containers)


def _read_sample(line: str, found: dict[str, dict[str, float]]) -> None:
    series, _, rest = line.partition("{")
    labels, _, tail = rest.rpartition("}")
    cgroup, sample = _ID.search(labels), tail.split()
    value = _number(sample[0]) if sample else None
    if series not in _FIELD or cgroup is None or value is None:
        return
    name = _FIELD[series]
    figures = found.setdefault(cgroup.group(1), {})
    figures[name] = _limit(value) if name in _LIMITS else value
    stamp = _number(sample[1]) if len(sample) > 1 else None
    if stamp is not None:
        figures["sampled"] = max(figures.get("sampled", -math.inf), stamp / 1000)


def _number(raw: str) -> float | None:
    try:
        value = float(raw)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def _limit(value: float) -> float:
    return value if 0 < value < UNLIMITED_FROM else 0.0


def _uid(text: str) -> str:
    """The uid as the API writes it: systemd slices have `_` for `-`, static pods' uids have neither."""
    return text.replace("_", "-")
