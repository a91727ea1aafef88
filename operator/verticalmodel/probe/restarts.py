"""Clause 8, how long service is away when a container of a pod ends: from its end to the next good answer.

An outage begins at the kubelet's stamp of the end, taken for our monotonic clock only where it was first seen within a
few seconds; it ends with the first good answer that was asked for after that. Beside the whole stands the time until
which the pod certainly gave no good answer, for we may have asked late. Only pods that have answered well before have
something to lose: what ends earlier is part of a start. All of this is kept in memory, as starts are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from verticalmodel.api.evidence import Binding
from verticalmodel.probe.measurement import RESTART, Measurement
from verticalmodel.probe.starts import NOT_BEFORE, STAMP_SECONDS, begun_at
from verticalmodel.probe.world import End, Pod

__all__ = ["Outage", "Restarts", "restart"]

METHOD = (
    "from the end of a container of the pod, by the kubelet's stamp in whole seconds and seen at most 3 s later, to "
    "the first good canary answer asked for after it, on the prober's monotonic clock; the worst of this pod"
)
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Outage:
    """One that is over, in seconds of the monotonic clock from the end of the container."""

    end: End
    seconds: float
    """Until the first good answer."""
    certain_seconds: float
    """Until which the pod was not Ready, or answered badly."""


@dataclass
class _Open:
    end: End
    begun: float
    seen: float
    """When we heard of the end: a clock on the node that lags makes no outage certain for longer."""
    refused: float


@dataclass
class Restarts:
    """Outages of pods by uid, and the worst of each that is over."""

    _ends: dict[str, datetime] = field(default_factory=dict)
    _served: set[str] = field(default_factory=set)
    _open: dict[str, _Open] = field(default_factory=dict)
    _worst: dict[str, Outage] = field(default_factory=dict)

    def seen(self, pod: Pod, *, now: datetime, clock: float) -> None:
        """A watch told of a pod. What had ended when it was first told of is nobody's news."""
        last = max(pod.ends, key=lambda end: end.at, default=None)
        known = self._ends.get(pod.uid)
        self._ends[pod.uid] = max(known or _NEVER, last.at if last else _NEVER)
        if last is None or known is None or last.at <= known:
            return
        begun = begun_at(last.at, now=now, clock=clock)
        if begun is not None and pod.uid in self._served and pod.uid not in self._open:
            self._open[pod.uid] = _Open(last, begun, seen=clock, refused=clock)

    def refused(self, pod: Pod, *, asked: float) -> None:
        """The pod was asked at this moment and answered badly."""
        outage = self._open.get(pod.uid)
        if outage is not None:
            outage.refused = max(outage.refused, asked)

    def answered(self, pod: Pod, *, asked: float, clock: float) -> None:
        """The pod was asked at the moment `asked` and has answered well."""
        self._served.add(pod.uid)
        outage = self._open.get(pod.uid)
        if outage is None or asked < outage.begun:
            return
        del self._open[pod.uid]
        ready = next((moment for name, moment in pod.milestones if name == "loaded"), outage.end.at)
        certain = max(outage.refused - outage.seen, (ready - outage.end.at).total_seconds() - STAMP_SECONDS, 0.0)
        over = Outage(outage.end, clock - outage.begun, min(certain, clock - outage.begun))
        worst = self._worst.get(pod.uid)
        if worst is None or (over.certain_seconds, over.seconds) > (worst.certain_seconds, worst.seconds):
            self._worst[pod.uid] = over

    def gone(self, uid: str) -> None:
        """The pod is no more."""
        self._served.discard(uid)
        self._ends.pop(uid, None)
        self._open.pop(uid, None)
        self._worst.pop(uid, None)

    def over(self) -> frozenset[str]:
        """Uids of the pods that came back from an outage that was timed."""
        return frozenset(self._worst)

    def worst(self, uid: str) -> Outage | None:
        """The longest outage of a pod; None where none was timed."""
        return self._worst.get(uid)


def restart(pod: Pod, outage: Outage, now: datetime) -> Measurement:
    """A pod's worst outage, and which end of which container it began with."""
    return Measurement(
        measure=RESTART,
        instance=f"restart/{pod.name}",
        unit="s",
        value=outage.seconds,
        samples=1,
        window_seconds=outage.seconds,
        method=METHOD,
        binding=Binding(pod_uid=pod.uid, template_digest=pod.template_digest),
        observations={
            NOT_BEFORE: f"{outage.certain_seconds:.1f}",
            "ended": outage.end.container,
            "exitCode": str(outage.end.exit_code),
            **({"reason": outage.end.reason} if outage.end.reason else {}),
        },
        measured_at=now,
        scope="Event",
    )
