"""Clause 30, each model has its own process space and cgroups keep it in bounds (part I, section (2), item 2 (1)).

Reads: the prober's `sandbox-enforced` evidence for every container of each pod of which anything runs
(`pod/POD/CONTAINER`, bound to the pod's uid); the live pod's own limits; and whether it shares a namespace of the host
or the process namespace of the pod.

The value is the number of limits missing: memory, CPU quota and number of processes in the live cgroup, each missing
where it is absent or not a positive number, and for memory and CPU also where it is above what the live pod declares;
plus one where the pod sets hostPID, hostIPC, hostNetwork or shareProcessNamespace. The last needs no evidence, since
the API server shows it. It is worked out again from the observations, and an entry that claims less than its own
observations show, or more than there is, speaks for nobody. An entry counts only for the container that lives now: its
cgroup's path holds the container's id, and the kernel was read at most `parameters.sampleAgeSeconds` before.

Ignores: requests, use below a limit, the spec of the Deployment, containers that have ended for good, and limits
tighter than declared. `processes` and `memoryWorkingSetBytes` are there for people and decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal

from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.api.schema import parse_quantity
from verticalmodel.facts import Observed, ObservedContainer, ObservedPod
from verticalmodel.judge.admissible import Instance
from verticalmodel.judge.instances import Look, Reader, Reading, combine, examine, missing, runs
from verticalmodel.judge.numbers import holds
from verticalmodel.judge.verdict import Verdict

NAME = "sandbox-enforced"
MEASURERS = frozenset({names.MANAGER_PROBER})
HOW = "The prober reads the limits of every container's live cgroup from the kubelet"

_SAMPLE_AGE_SECONDS = "60"
# systemd rounds a quota up to whole percents of a core, and the kubelet sets no quota below one.
_CPU_ROUNDING = Decimal("0.01")
_NOTHING = "No container of the model runs, so there is no cgroup to read"
_REMEDY = (
    "Compare the pod with what the operator rendered (kubectl get pod -o yaml), and where the pod is right, check the "
    "cgroup settings and podPidsLimit of its node's kubelet"
)


def sandbox_enforced(clause: Clause, observed: Observed) -> Verdict:
    """Clause 30 over every container; value in missing limits."""
    oldest = float(clause.parameters.get("sampleAgeSeconds", _SAMPLE_AGE_SECONDS))
    live = [pod for pod in observed.pods if runs(pod)]
    looks = (*_shared(clause, live), *examine(clause, observed, MEASURERS, _expected(live, oldest)), *_absent(live))
    if not any(pod.owned for pod in live):
        looks = tuple(look for look in looks if look.status == "False")
    return combine(clause, looks, nothing=_NOTHING, remedy=_REMEDY)


def _expected(live: list[ObservedPod], oldest: float) -> Iterator[tuple[Instance, Reader]]:
    for pod in live:
        for container in pod.containers:
            if container.running:
                instance = Instance(_instance(pod, container), pod_uid=pod.uid, container_id=container.container_id)
                yield instance, _reader(pod, container, oldest)


def _instance(pod: ObservedPod, container: ObservedContainer) -> str:
    return f"pod/{pod.name}/{container.name}"


def _shared(clause: Clause, live: list[ObservedPod]) -> Iterator[Look]:
    """Pods that share a namespace: known from the API server, whatever evidence says or does not say."""
    for pod in live:
        if pod.shares_host and not holds(clause, 1.0):
            detail = f"the pod sets {', '.join(sorted(pod.shares_host))}"
            yield Look(f"pod/{pod.name}", "False", ClauseReason.THRESHOLD_EXCEEDED, detail, 1.0)


def _absent(live: list[ObservedPod]) -> Iterator[Look]:
    """Containers that ought to run and have no cgroup to read; a debugging one that has ended is not missed."""
    for pod in live:
        if not pod.containers:
            yield missing(f"pod/{pod.name}", "its containers are not known")
        for container in pod.containers:
            ended = bool(container.container_id) and not container.waiting_reason
            permanent = container.name in (names.CONTAINER_GUARD, names.CONTAINER_SERVER)
            if not container.running and (permanent or not ended):
                reason = f" ({container.waiting_reason})" if container.waiting_reason else ""
                yield missing(_instance(pod, container), f"the container does not run{reason}")


def _reader(pod: ObservedPod, container: ObservedContainer, oldest: float) -> Reader:
    return lambda entry: _read(entry, pod, container, oldest)


def _read(entry: Entry, pod: ObservedPod, container: ObservedContainer, oldest: float) -> Reading:
    """Missing limits by the observations, checked against the value that the entry claims."""
    seen = {one.name: one.value for one in entry.observations}
    if not container.container_id or container.container_id not in seen.get("cgroup", ""):
        return Reading(None, "not measured since the container started", ClauseReason.NOT_MEASURED)
    age = _number(seen.get("sampleAgeSeconds"))
    if age is None or not 0 <= age <= oldest:
        return Reading(None, f"called a measurement without a sample of the kernel's figures within {oldest:g} s")
    absent = [name for name, figure in _figures(seen).items() if figure is None]
    loose = _loose(seen, container.limits)
    shared = bool(pod.shares_host)
    if entry.value is None or not len(absent) <= entry.value <= len(absent) + len(loose) + shared:
        return Reading(None, f"the claimed value {entry.value} contradicts the observations: {_said(absent, loose)}")
    return Reading(float(len(absent) + len(loose) + shared), _said(absent, loose))


def _figures(seen: Mapping[str, str]) -> dict[str, float | None]:
    """Each limit that the live cgroup must have; None where it has none."""
    quota, period = _limit(seen.get("cpuQuotaMicroseconds")), _limit(seen.get("cpuPeriodMicroseconds"))
    return {
        "memory": _limit(seen.get("memoryLimitBytes")),
        "CPU": None if quota is None or period is None else quota / period,
        "processes": _limit(seen.get("pidsMax")),
    }


def _loose(seen: Mapping[str, str], declared: Mapping[str, str]) -> list[str]:
    """Limits of the live cgroup that are above what the live pod declares."""
    figures = _figures(seen)
    found = []
    if figures["memory"] is not None and "memory" in declared:
        allowed = parse_quantity(declared["memory"])
        if Decimal(figures["memory"]) > allowed:
            found.append(f"memory up to {figures['memory']:.0f} bytes where the pod declares {declared['memory']}")
    if figures["CPU"] is not None and "cpu" in declared:
        allowed = parse_quantity(declared["cpu"]) + _CPU_ROUNDING
        if Decimal(figures["CPU"]) > allowed:
            found.append(f"{figures['CPU']:.4g} cores where the pod declares {declared['cpu']}")
    return found


def _said(absent: list[str], loose: list[str]) -> str:
    parts = [f"no limit on {' and '.join(absent)}"] if absent else []
    return "; ".join([*parts, *loose]) or "memory, CPU and processes are limited in the live cgroup as declared"


def _limit(text: str | None) -> float | None:
    """A limit in force; `max`, 0, -1 and an absent figure all mean none."""
    number = _number(text)
    return number if number is not None and number > 0 else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
