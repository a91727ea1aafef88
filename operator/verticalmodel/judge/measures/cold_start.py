"""Clause 7, a cold start takes at most five minutes (part II, section (2), item 1 (1)).

Reads: the prober's `cold-start` evidence for each pod of the model's own (`start/NAME`, an event, bound to the pod's
uid and its template's digest): seconds from the creation of the pod to its first good answer.

A start that took longer than the limit breaks the clause, cold or warm: with nothing cached it would have taken longer
still. What counts is the time until which the pod certainly gave no good answer (`notBeforeSeconds`: it was not Ready,
or it answered badly), for the prober may have asked late. A shorter one shows nothing yet. Whether its images were
really pulled is told by events of the kubelet, which whoever may write events in the namespace can forge, so this
version takes no start for a cold one: never True.

Ignores: starts of pods that are gone, starts that have not ended, what the node lists as its images.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry
from verticalmodel.api.model_status import Start, StartPhase
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed
from verticalmodel.judge.events import SECONDS, Events, read_duration
from verticalmodel.judge.instances import Reading, unknown
from verticalmodel.judge.numbers import shown
from verticalmodel.judge.verdict import Verdict

NAME = "cold-start"
MEASURERS = frozenset({names.MANAGER_PROBER})
HOW = (
    "The prober times each start from the creation of the pod to its first good answer; one over the limit breaks the "
    "clause, and none is taken for a cold one yet"
)
_REMEDY = "See where the seconds went with `kubectl vmodel timeline`"
_PHASE = "phase."
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_KUBELET = "kubelet's stamp, whole seconds"
_SOURCES = {"scheduled": "API server's stamp, whole seconds"} | dict.fromkeys(
    ("image", "unsealed", "started", "loaded"), _KUBELET
)
"""Phases in their order, each with where its stamp is from."""
_OURS = "prober's monotonic clock"


def cold_start(clause: Clause, observed: Observed) -> Verdict:
    """Clause 7 over the starts of all pods of the model's own; value in seconds."""
    starts = _starts(clause, observed)
    told = starts.told(lambda entry: _read(clause, entry), remedy=_REMEDY)
    if told is not None:
        return told
    pods = starts.pods
    if not pods:
        return unknown(clause, ClauseReason.NOT_MEASURED, "No pod of the model exists, so there is no start to time")
    timed = [entry.value for _, entry in starts.admitted() if entry.value is not None]
    slowest = f"; the slowest took {shown(clause, max(timed))}" if timed else ""
    return unknown(
        clause,
        ClauseReason.NOT_MEASURED,
        f"No start is known to have been cold. {len(timed)} of {len(pods)} starts were timed, those that the prober "
        f"saw begin{slowest}. Whether images were pulled for one this version cannot tell for certain",
    )


def last_start(observed: Observed) -> Start | None:
    """The newest start that was timed, phase by phase; None where there is none or no clause that asks for it."""
    clauses = observed.standard.spec.clauses if observed.standard is not None else ()
    starts = [one for clause in clauses if clause.measure == NAME for one in _starts(clause, observed).admitted()]
    timed = [(pod, entry, entry.value) for pod, entry in starts if entry.value is not None and entry.value >= 0]
    if not timed:
        return None
    pod, entry, value = max(timed, key=lambda one: (one[0].created_at or _LONG_AGO, one[1].measured_at, one[0].name))
    seconds = round(value, 1)
    phases = (*_phases(entry), StartPhase(name="firstAnswer", seconds=seconds, source=_OURS))
    return Start(pod=pod.name, kind="Unknown", seconds=seconds, phases=phases)


def _phases(entry: Entry) -> Iterator[StartPhase]:
    ends: dict[str, float] = {}
    for one in entry.observations:
        name = one.name.removeprefix(_PHASE)
        if name != one.name and name in _SOURCES and SECONDS.fullmatch(one.value):
            ends[name] = float(one.value)
    for name in sorted((name for name in _SOURCES if name in ends), key=ends.__getitem__):
        yield StartPhase(name=name, seconds=ends[name], source=_SOURCES[name])


def _starts(clause: Clause, observed: Observed) -> Events:
    return Events("start", clause, observed, MEASURERS)


def _read(clause: Clause, entry: Entry) -> Reading:
    return read_duration(clause, entry, held="not known to be cold", broken="cold or not, the start took too long")
