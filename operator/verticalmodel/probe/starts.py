"""Clause 7, how long a start takes: from the creation of a pod to its first good answer, on one monotonic clock.

Only a start that was seen from its beginning is timed. The creation is a stamp of the API server's clock in whole
seconds, so it is taken for our clock's only where the pod was first seen within a few seconds of it. All of this is
kept in memory: a prober that was started anew has seen no pod begin, and starts recorded before that stand.

A pod may have been able to answer before anybody could ask it. So beside the time of the first good answer stands the
time until which it certainly gave none: it was not Ready, or it answered badly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from verticalmodel.api.evidence import Binding
from verticalmodel.probe.measurement import START, Measurement
from verticalmodel.probe.world import Pod

__all__ = ["NOT_BEFORE", "STAMP_SECONDS", "Starts", "begun_at", "start"]

NOT_BEFORE = "notBeforeSeconds"
"""Observation: the start took at least that long."""

METHOD = (
    "from the creation of the pod, first seen at most 3 s later, to its first good canary answer, on the prober's "
    "monotonic clock; phases by the stamps of API server and kubelet, in whole seconds"
)
STAMP_SECONDS = 1.0
"""Stamps have whole seconds, so that much of the time between two of them is not certain."""
_LATE, _EARLY = 3.0, -5.0
"""Seconds from the stamp of an event to its first sight: the watch's delay and what clocks may differ by."""


def begun_at(stamp: datetime, *, now: datetime, clock: float) -> float | None:
    """When an event of this stamp happened by our monotonic clock, which shows `clock` now; None if seen too late."""
    since = (now - stamp).total_seconds()
    return clock - max(since, 0.0) if _EARLY <= since <= _LATE else None


@dataclass
class Starts:
    """Pods that were seen from their beginning, by uid; moments of the monotonic clock in seconds."""

    _begun: dict[str, float] = field(default_factory=dict)
    _refused: dict[str, float] = field(default_factory=dict)
    _answered: dict[str, float] = field(default_factory=dict)

    def appeared(self, pod: Pod, *, now: datetime, clock: float) -> None:
        """A watch told of a pod for the first time."""
        begun = begun_at(pod.created_at, now=now, clock=clock) if pod.created_at is not None else None
        if begun is not None:
            self._begun.setdefault(pod.uid, begun)

    def answered(self, uid: str, clock: float) -> None:
        """The pod gave a good answer; only the first one counts."""
        if uid in self._begun:
            self._answered.setdefault(uid, clock)

    def refused(self, uid: str, clock: float) -> None:
        """The pod was asked at this moment and answered badly; what comes after its first good answer is no start."""
        if uid in self._begun and uid not in self._answered:
            self._refused[uid] = clock

    def gone(self, uid: str) -> None:
        """The pod is no more."""
        self._begun.pop(uid, None)
        self._refused.pop(uid, None)
        self._answered.pop(uid, None)

    def seen(self) -> frozenset[str]:
        """Uids of the pods that were seen from their beginning."""
        return frozenset(self._begun)

    def seconds(self, uid: str) -> float | None:
        """How long the start took; None where it was not seen whole or has not ended."""
        return self._answered[uid] - self._begun[uid] if uid in self._answered else None

    def silent_seconds(self, uid: str) -> float:
        """How long after its creation the pod was last known to answer badly; 0 where it never was.

        Less what the stamp of its creation may be off our clock.
        """
        return max(self._refused[uid] - self._begun[uid] - _LATE, 0.0) if uid in self._refused else 0.0


def start(pod: Pod, seconds: float, silent_seconds: float, now: datetime) -> Measurement:
    """The start of a pod that has answered, and where its seconds went as far as stamps tell.

    `silent_seconds`: how long it was at least known to answer badly.
    """
    begun = pod.created_at
    phases = {} if begun is None else {name: max((end - begun).total_seconds(), 0.0) for name, end in pod.milestones}
    return Measurement(
        measure=START,
        instance=f"start/{pod.name}",
        unit="s",
        value=seconds,
        samples=1,
        window_seconds=seconds,
        method=METHOD,
        binding=Binding(pod_uid=pod.uid, template_digest=pod.template_digest),
        observations={
            NOT_BEFORE: f"{min(max(silent_seconds, phases.get('loaded', 0.0) - STAMP_SECONDS, 0.0), seconds):.1f}",
            **{f"phase.{name}": f"{end:g}" for name, end in phases.items()},
        },
        measured_at=now,
        scope="Event",
    )
