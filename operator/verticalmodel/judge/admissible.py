"""Which evidence may speak at all, and until when (DESIGN section 4). Pure.

An entry speaks about an instance only where its object is about this model by name and uid, was written by a measurer
of this measure, and its chain holds; where the entry is bound to the instance that lives now; where it comes from
neither the future nor a time too long ago; and where it was a measurement, of real hardware. What falls short says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from verticalmodel import evidence as chain
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry, Evidence, EvidenceMeta, Subject
from verticalmodel.facts import Observed

FUTURE_TOLERANCE = timedelta(seconds=5)
"""How far ahead of our clock a time may lie: what synchronised clocks differ by, and no more."""

CONTAINER = "container"
"""Observation that names the container which was measured, by its id or the beginning of it."""
_TROUBLES = 3


@dataclass(frozen=True)
class Admission:
    """What one measure lets in."""

    measure: str
    measurers: frozenset[str]
    """Who may measure it: names of measurers, equal to their field managers."""
    lifetime: timedelta
    unit: str | None = None
    """The only unit that is understood; None where the value decides nothing."""


@dataclass(frozen=True)
class Instance:
    """Something that ought to be measured, and what evidence about it must be bound to."""

    name: str
    pod_uid: str = ""
    service_uid: str = ""
    container_id: str | None = None
    """The container that answers for it: a restarted one has not been measured. Empty: it does not exist, so nothing
    speaks for it. None: no container answers for it."""
    since: datetime | None = None
    """What answers for it is no older: an earlier look was at something else. None where nobody knows."""
    template_digest: str = ""
    """Of the pod's template, where the entry is about an event; empty where it is about a state."""

    def is_subject_of(self, entry: Entry) -> bool:
        """Whether an entry of this name is about the instance that lives now."""
        scope = "Event" if self.template_digest else "State"
        if entry.scope != scope or (entry.binding.template_digest or "") != self.template_digest:
            return False
        if self.since is not None and entry.measured_at < self.since:
            return False
        about = next((one.value for one in entry.observations if one.name == CONTAINER), "")
        if self.container_id is not None and not (about and self.container_id.startswith(about)):
            return False
        if self.pod_uid:
            return entry.binding.pod_uid == self.pod_uid
        return bool(self.service_uid) and entry.binding.service_uid == self.service_uid


@dataclass(frozen=True)
class Witness:
    """An entry about an instance: admitted where `reason` is Measured, else refused, with why."""

    entry: Entry
    expires_at: datetime
    reason: ClauseReason
    why: str = ""


def witnesses(observed: Observed, admission: Admission) -> Mapping[str, tuple[Witness, ...]]:
    """All entries of one measure about this model by instance, bindings not yet looked at, in an order of their own."""
    found: dict[str, list[Witness]] = {}
    for evidence in observed.evidence:
        if evidence.spec.subject.uid != observed.model.metadata.uid:
            continue
        if evidence.spec.measurer not in admission.measurers:
            continue
        broken = _broken(evidence, observed)
        for entry in _entries(evidence, admission.measure):
            found.setdefault(entry.instance, []).append(_heard(entry, evidence.metadata, broken, observed, admission))
    return {
        instance: tuple(sorted(several, key=lambda one: (one.reason, one.why, one.expires_at, one.entry.digest)))
        for instance, several in found.items()
    }


def _entries(evidence: Evidence, measure: str) -> Iterator[Entry]:
    return (entry for entry in evidence.spec.entries if entry.measure == measure)


def _broken(evidence: Evidence, observed: Observed) -> str:
    meta = observed.model.metadata
    try:
        return chain.verify(evidence, Subject(name=meta.name, uid=meta.uid))
    except ValueError:
        # Canonical JSON has no form for NaN and infinity, so no digest can cover them.
        return "it holds a number that is not finite"


def _heard(entry: Entry, meta: EvidenceMeta, broken: str, observed: Observed, admission: Admission) -> Witness:
    taken = _taken_at(entry, meta)
    # An entry may claim less time than the standard grants, never more. (A sum first could leave the calendar.)
    granted = entry.expires_at - taken <= admission.lifetime
    expires = entry.expires_at if granted else taken + admission.lifetime
    if broken:
        return Witness(entry, expires, ClauseReason.INCONSISTENT, f"the chain of evidence is broken: {broken}")
    objections = _objections(entry, meta, expires, observed, admission)
    return Witness(entry, expires, *next(objections, (ClauseReason.MEASURED, "")))


def _taken_at(entry: Entry, meta: EvidenceMeta) -> datetime:
    """When the look ended: the older of the measurer's clock and the API server's."""
    return entry.measured_at if meta.managed_at is None else min(entry.measured_at, meta.managed_at)


def _objections(
    entry: Entry, meta: EvidenceMeta, expires: datetime, observed: Observed, admission: Admission
) -> Iterator[tuple[ClauseReason, str]]:
    """What speaks against an entry whose chain holds, the weightiest first."""
    horizon = observed.now + FUTURE_TOLERANCE
    if entry.measured_at > horizon or (meta.managed_at is not None and meta.managed_at > horizon):
        yield ClauseReason.INCONSISTENT, "the measurement is from the future: compare the clocks of the nodes"
    # Expiry before everything that the entry says: an old look is no look, whatever it saw.
    if expires <= observed.now:
        yield ClauseReason.EVIDENCE_EXPIRED, "the last measurement has expired"
    if meta.managed_at is None:
        yield ClauseReason.INCONSISTENT, "the API server's time of writing is missing, so its age is not known"
    if entry.outcome != "Measured":
        yield ClauseReason.PROBE_FAILED, f"the last attempt to measure came to no conclusion{_trouble(entry)}"
    if entry.window_seconds > admission.lifetime.total_seconds():
        yield ClauseReason.INCONSISTENT, "the samples lie further apart than evidence may be old"
    if entry.value is None or not math.isfinite(entry.value) or entry.samples == 0:
        yield ClauseReason.INCONSISTENT, "a measurement without a number or without a sample"
    if admission.unit is not None and entry.unit != admission.unit:
        yield ClauseReason.INCONSISTENT, f"measured in {entry.unit!r}, the clause asks for {admission.unit!r}"
    if entry.simulated and not _accepts_simulation(observed):
        yield ClauseReason.SIMULATED, "measured on simulated hardware, which this standard does not accept"


def _trouble(entry: Entry) -> str:
    """What the measurer says of its failed attempt, in brackets."""
    said = sorted(
        f"{one.name}: {one.value}"
        for one in entry.observations
        if one.name == "failure" or one.value.startswith("inconclusive")
    )
    return f" ({'; '.join(said[:_TROUBLES])})" if said else ""


def _accepts_simulation(observed: Observed) -> bool:
    return observed.standard is not None and observed.standard.spec.simulation
