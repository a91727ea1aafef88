"""Clause 30, each model in its own process space behind cgroups that bite: read from the live cgroups, not the spec.

A missing limit is one that the kernel does not hold: memory and CPU quota in the container's own cgroup, the number of
processes in it or in the pod's (the kubelet's podPidsLimit sits there). A figure that the node did not show is not a
missing limit; it leaves the look inconclusive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from verticalmodel.api.evidence import Binding
from verticalmodel.probe.cadvisor import Cgroup, Cgroups
from verticalmodel.probe.measurement import CONTAINER, SANDBOX, Measurement
from verticalmodel.probe.world import Container, Pod, short

__all__ = ["SETTLING_SECONDS", "STALE_SECONDS", "Scrape", "sandbox_measurements"]

METHOD = "cgroup files of the live container, read by the kubelet's cAdvisor (/metrics/cadvisor)"
STALE_SECONDS = 60.0
SETTLING_SECONDS = 10.0
"""Younger samples cannot show that a limit is missing."""
_DATE_PRECISION = 2.0
"""The Date header has whole seconds; a sample further ahead of it comes from a clock that jumped."""


@dataclass(frozen=True)
class Scrape:
    """What one node answered at `taken`. `failure` is empty where it did; `node_time` is its clock (seconds, epoch)."""

    taken: datetime
    node_time: float = 0.0
    cgroups: Cgroups = field(default_factory=Cgroups)
    failure: str = ""


def sandbox_measurements(pods: Iterable[Pod], scrapes: Mapping[str, Scrape], now: datetime) -> tuple[Measurement, ...]:
    """One measurement per running container of `pods`; `scrapes` by node name, one that is missing was not reached."""
    return tuple(
        _measure(pod, container, scrapes.get(pod.node, Scrape(now, failure="not-scraped")))
        for pod in pods
        for container in pod.containers
        if container.running
    )


def _measure(pod: Pod, container: Container, scrape: Scrape) -> Measurement:
    own = scrape.cgroups.containers.get(container.container_id)
    around = scrape.cgroups.pods.get(pod.uid)
    if around is not None and around.sampled is not None and _stale(around.sampled, scrape):
        around = None
    trouble = _trouble(container, own, scrape)
    value: float | None = None
    observations: dict[str, str] = {}
    if own is not None:
        pids, pids_known = _tightest(own, around)
        observations = _observations(pod, own, around, pids, scrape.node_time)
        unseen = _unseen(own, pids_known=pids_known)
        if not trouble and unseen:
            trouble = f"not-shown {','.join(unseen)}"
        missing = (own.memory_limit or 0, own.cpu_quota or 0, pids).count(0)
        if not trouble and missing and _unsettled(container, own, around, scrape):
            trouble = "limits-not-settled"
        value = None if trouble else float(missing + bool(pod.shares_host))
    if trouble:
        observations["failure"] = trouble
    if container.container_id:
        observations[CONTAINER] = short(container.container_id)
    return Measurement(
        measure=SANDBOX,
        instance=f"pod/{pod.name}/{container.name}",
        unit="missing limits",
        value=value,
        samples=0 if own is None else 1,
        window_seconds=0.0,
        method=METHOD,
        binding=Binding(pod_uid=pod.uid),
        observations=observations,
        measured_at=scrape.taken,
    )


def _trouble(container: Container, own: Cgroup | None, scrape: Scrape) -> str:
    """Why this look says nothing about the container, or an empty string."""
    if scrape.failure:
        return scrape.failure
    if own is None:
        return "no-cgroup"
    if own.sampled is None:
        return "no-sample"
    if _stale(own.sampled, scrape):
        return "stale-sample"
    # Both stamps are the node's clock; startedAt has whole seconds, rounded down.
    return "sampled-before-start" if own.sampled < _started(container, own) else ""


def _stale(sampled: float, scrape: Scrape) -> bool:
    return not -_DATE_PRECISION <= scrape.node_time - sampled <= STALE_SECONDS


def _started(container: Container, own: Cgroup) -> float:
    return container.started_at.timestamp() if container.started_at else (own.started or 0.0)


def _unsettled(container: Container, own: Cgroup, around: Cgroup | None, scrape: Scrape) -> bool:
    """A limit that is missing may only not have been there yet.

    cAdvisor samples a cgroup when its directory appears; kubelet and runtime write the limits a moment later. That a
    limit is there can be believed at once, that one is not only of samples well after the start: of the container's own
    cgroup, of the pod's, and of the limits without a stamp, which cAdvisor reads at the scrape or seconds before.
    """
    stamps = (own.sampled, around.sampled if around else None, scrape.node_time)
    return any(stamp is not None and stamp - _started(container, own) < SETTLING_SECONDS for stamp in stamps)


def _tightest(own: Cgroup, around: Cgroup | None) -> tuple[float, bool]:
    """The tightest limit on processes (0: none), and whether that is known: a limit seen anywhere suffices."""
    shown = (own.pids_max, around.pids_max if around else None)
    limits = [value for value in shown if value]
    return (min(limits), True) if limits else (0.0, None not in shown)


def _unseen(own: Cgroup, *, pids_known: bool) -> list[str]:
    unseen = []
    if own.memory_limit is None:
        unseen.append("memory")
    if own.cpu_quota is None and own.cpu_period is None:  # the period alone says: no quota is set
        unseen.append("cpu")
    if not pids_known:
        unseen.append("pids")
    return unseen


def _observations(pod: Pod, own: Cgroup, around: Cgroup | None, pids: float, node_time: float) -> dict[str, str]:
    figures = {
        "memoryLimitBytes": own.memory_limit,
        "cpuQuotaMicroseconds": own.cpu_quota,
        "cpuPeriodMicroseconds": own.cpu_period,
        "pidsMax": pids,
        "processes": own.processes if own.processes is not None else own.threads,
        "memoryWorkingSetBytes": own.working_set,
    }
    observations = {name: f"{value:.0f}" for name, value in figures.items() if value is not None}
    observations["cgroup"] = own.path
    if around is not None:
        observations["cgroup.pod"] = around.path
    if own.sampled is not None:
        observations["sampleAgeSeconds"] = f"{max(node_time - own.sampled, 0.0):.0f}"
    if pod.shares_host:
        observations["sharesHost"] = ",".join(pod.shares_host)
    return observations
