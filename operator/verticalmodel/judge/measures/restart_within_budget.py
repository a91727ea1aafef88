"""Clause 8, service is back within 30 seconds (part II, section (2), item 1 (2)).

Reads: the prober's `restart-within-budget` evidence for each pod of the model's own (`restart/NAME`, an event, bound to
the pod's uid and its template's digest): seconds from the end of a container, as it happened, to the next good answer,
the worst of this pod.

One that certainly took longer than the limit (`notBeforeSeconds`: until then the pod was not Ready, or answered badly)
breaks the clause. Shorter ones show nothing: a container that ends is less than a power loss, which a drill has to
stand for. So this is never True.

Ignores: outages of pods that are gone or replaced, and such as have not ended.
"""

from __future__ import annotations

from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed
from verticalmodel.judge.events import Events, read_duration
from verticalmodel.judge.instances import Reading, unknown
from verticalmodel.judge.numbers import shown
from verticalmodel.judge.verdict import Verdict

NAME = "restart-within-budget"
MEASURERS = frozenset({names.MANAGER_PROBER})
HOW = (
    "The prober times each way back from the end of a container to the next good answer; one over the limit breaks the "
    "clause, and only a drill will show that it holds"
)
_REMEDY = "See why it ended and what its start waits for: kubectl describe pod"


def restart_within_budget(clause: Clause, observed: Observed) -> Verdict:
    """Clause 8 over the worst outage of every pod of the model's own; value in seconds."""
    outages = Events("restart", clause, observed, MEASURERS)
    told = outages.told(lambda entry: _read(clause, entry), remedy=_REMEDY)
    if told is not None:
        return told
    timed = [entry.value for _, entry in outages.admitted() if entry.value is not None]
    slowest = f"; the longest took {shown(clause, max(timed))}" if timed else ""
    return unknown(
        clause,
        ClauseReason.NOT_MEASURED,
        f"No drill has shown it. Real outages that were timed, by pod: {len(timed)}{slowest}",
    )


def _read(clause: Clause, entry: Entry) -> Reading:
    ended = next((one.value for one in entry.observations if one.name == "ended"), "")
    broken = f"after the end of container {ended} there was no good answer for too long"
    return read_duration(clause, entry, held="less than a power loss", broken=broken)
