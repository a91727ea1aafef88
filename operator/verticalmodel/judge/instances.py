"""From what ought to be measured to one verdict in three values (DESIGN section 4). Pure.

Which instances ought to exist is asked of the API server, never of the evidence. Then: any bad is False, any missing is
Unknown, none at all is Unknown; the worst counts, never the best and never the mean; and a bad one beats missing ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason, Status
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed, ObservedPod
from verticalmodel.judge.admissible import Admission, Instance, Witness, witnesses
from verticalmodel.judge.numbers import holds, margin, rounded, shown
from verticalmodel.judge.verdict import Verdict, bounded, shortened

_DETAIL_LIMIT = 300
# The most telling first: what somebody should look into before what time or the measurer will mend.
_UNKNOWN_REASONS = (
    ClauseReason.INCONSISTENT,
    ClauseReason.PROBE_FAILED,
    ClauseReason.SIMULATED,
    ClauseReason.EVIDENCE_EXPIRED,
    ClauseReason.NOT_MEASURED,
)
_MEASURER = f"check that the measurer runs: kubectl -n {names.SYSTEM_NAMESPACE} get pods"
_NEXT_STEP = {
    ClauseReason.INCONSISTENT: (
        "Do not rely on this Evidence object: find out who wrote it and why, then delete it; the measurer starts anew"
    ),
    ClauseReason.PROBE_FAILED: (
        "The measurer tries again; if this stays, look at its log and at the network between it and the instance"
    ),
    ClauseReason.SIMULATED: "Measure real hardware, or name a simulation edition in spec.standard on a test cluster",
    ClauseReason.EVIDENCE_EXPIRED: f"If this stays, {_MEASURER}",
    ClauseReason.NOT_MEASURED: f"A new instance is measured soon after its start; if this stays, {_MEASURER}",
}


@dataclass(frozen=True)
class Reading:
    """What one entry's observations say when a judge reads them again."""

    value: float | None
    """The number by the observations; None where they carry none."""
    detail: str
    """For people: what was seen, or why there is no number."""
    reason: ClauseReason = ClauseReason.INCONSISTENT
    """Why there is no number; without meaning where there is one."""


@dataclass(frozen=True)
class Look:
    """What is known of one instance."""

    instance: str
    status: Status
    reason: ClauseReason
    detail: str
    value: float | None = None
    expires_at: datetime | None = None


Reader = Callable[[Entry], Reading]


def admission(clause: Clause, measurers: frozenset[str]) -> Admission:
    """What the clause lets in as evidence, measured by any of `measurers`."""
    return Admission(clause.measure, measurers, timedelta(seconds=clause.lifetime_seconds), clause.unit)


def runs(pod: ObservedPod) -> bool:
    """Whether anything of a serving pod runs already: all of that ought to be measured, ready or not."""
    return pod.serving and (pod.phase != "Pending" or any(container.running for container in pod.containers))


def examine(
    clause: Clause, observed: Observed, measurers: frozenset[str], expected: Iterable[tuple[Instance, Reader]]
) -> tuple[Look, ...]:
    """One look for each instance that ought to be measured, each read by the reader beside it."""
    heard = witnesses(observed, admission(clause, measurers))
    return tuple(_look(clause, instance, heard, reader) for instance, reader in expected)


def of_each_pod(  # noqa: PLR0913 - what differs from measure to measure, named
    clause: Clause,
    observed: Observed,
    measurers: frozenset[str],
    reader_of: Callable[[ObservedPod], Reader],
    *,
    remedy: str,
    of_server: bool = False,
) -> Verdict:
    """The clause's verdict over `pod/NAME` of each pod of which anything runs, ready or not.

    `of_server`: an entry speaks for the server container that runs now, and for no other.
    """

    def instances(pod: ObservedPod) -> Iterator[tuple[Instance, Reader]]:
        server = container_id(pod, names.CONTAINER_SERVER) if of_server else None
        yield Instance(f"pod/{pod.name}", pod_uid=pod.uid, container_id=server), reader_of(pod)

    return of_pods(clause, observed, measurers, instances, remedy=remedy)


def of_pods(
    clause: Clause,
    observed: Observed,
    measurers: frozenset[str],
    instances: Callable[[ObservedPod], Iterable[tuple[Instance, Reader]]],
    *,
    remedy: str,
) -> Verdict:
    """The clause's verdict over the `instances` of each pod of which anything runs, ready or not.

    Strangers' pods under the model's label can break it; without a pod of the model's own they cannot make it hold.
    """
    running = [pod for pod in observed.pods if runs(pod)]
    looks = examine(clause, observed, measurers, (one for pod in running for one in instances(pod)))
    if not any(pod.owned for pod in running):
        looks = tuple(look for look in looks if look.status == "False")
    return combine(clause, looks, nothing="No pod of the model runs, so there is nothing to measure", remedy=remedy)


def container_id(pod: ObservedPod, name: str) -> str:
    """Id of the pod's container of this name; empty where there is none."""
    return next((container.container_id for container in pod.containers if container.name == name), "")


def missing(instance: str, why: str) -> Look:
    """An instance that ought to be measured and was not."""
    return Look(instance, "Unknown", ClauseReason.NOT_MEASURED, why)


def _look(clause: Clause, instance: Instance, heard: Mapping[str, Sequence[Witness]], reader: Reader) -> Look:
    bound = [witness for witness in heard.get(instance.name, ()) if instance.is_subject_of(witness.entry)]
    # A fresh look replaces expired ones; where several are in force, the worst of them counts.
    in_force = [one for one in bound if one.reason is not ClauseReason.EVIDENCE_EXPIRED] or bound
    looks = [_heard(clause, instance.name, witness, reader) for witness in in_force]
    return min(looks, key=lambda look: _badness(clause, look), default=missing(instance.name, "not measured"))


def _heard(clause: Clause, instance: str, witness: Witness, reader: Reader) -> Look:
    if witness.reason is not ClauseReason.MEASURED:
        return Look(instance, "Unknown", witness.reason, shortened(witness.why, _DETAIL_LIMIT))
    reading = reader(witness.entry)
    detail = shortened(reading.detail, _DETAIL_LIMIT)
    if reading.value is None:
        return Look(instance, "Unknown", reading.reason, detail)
    if not holds(clause, reading.value):
        return Look(instance, "False", ClauseReason.THRESHOLD_EXCEEDED, detail, reading.value)
    reason = ClauseReason.SIMULATED if witness.entry.simulated else ClauseReason.MEASURED
    return Look(instance, "True", reason, detail, reading.value, witness.expires_at)


def _badness(clause: Clause, look: Look) -> tuple[int, float, str, str]:
    """Sort key: the worst look first, equal ones by name."""
    if look.status == "False":
        return (0, _margin(clause, look), look.instance, look.detail)
    if look.status == "Unknown":
        return (1, _UNKNOWN_REASONS.index(look.reason), look.instance, look.detail)
    return (2, _margin(clause, look), look.instance, look.detail)


def _margin(clause: Clause, look: Look) -> float:
    return 0.0 if look.value is None else margin(clause, look.value)


def combine(clause: Clause, looks: Sequence[Look], *, nothing: str, remedy: str) -> Verdict:
    """The clause's verdict over all instances.

    `nothing` says why no instance exists, `remedy` what to do about a bad one.
    """
    if not looks:
        return unknown(clause, ClauseReason.NOT_MEASURED, nothing)
    ordered = sorted(looks, key=lambda look: _badness(clause, look))
    worst = ordered[0]
    if worst.status == "True":
        return _met(clause, ordered)
    share = f" {sum(look.status == worst.status for look in looks)} of {len(looks)} instances" if len(looks) > 1 else ""
    if worst.status == "Unknown":
        counted = f"{share} are not known." if share else ""
        message = f"{worst.instance}: {worst.detail}.{counted} {_NEXT_STEP[worst.reason]}"
        return replace(unknown(clause, worst.reason, message), instance=worst.instance)
    counted = f"{share} break the limit." if share else ""
    message = f"{worst.instance}: {_figure(clause, worst)}: {worst.detail}.{counted} {remedy}"
    return _with_number(_verdict(clause, "False", worst.reason, message), clause, worst)


def unknown(clause: Clause, reason: ClauseReason, message: str) -> Verdict:
    """The clause's verdict where nothing speaks for or against it."""
    return _verdict(clause, "Unknown", reason, message)


def _met(clause: Clause, ordered: Sequence[Look]) -> Verdict:
    worst = ordered[0]
    simulated = any(look.reason is ClauseReason.SIMULATED for look in ordered)
    reason = ClauseReason.SIMULATED if simulated else ClauseReason.MEASURED
    count = f"All {len(ordered)} instances hold; the worst is " if len(ordered) > 1 else ""
    message = f"{count}{worst.instance}: {_figure(clause, worst)}: {worst.detail}"
    expiry = min(look.expires_at for look in ordered if look.expires_at is not None)
    return replace(_with_number(_verdict(clause, "True", reason, message), clause, worst), valid_until=expiry)


def _verdict(clause: Clause, status: Status, reason: ClauseReason, message: str) -> Verdict:
    return Verdict(
        clause=clause.id,
        condition=clause.condition,
        status=status,
        reason=reason,
        message=bounded(message),
        mandatory=clause.mandatory,
        unit=clause.unit,
        limit=clause.limit,
        lifetime_seconds=clause.lifetime_seconds,
    )


def _with_number(verdict: Verdict, clause: Clause, look: Look) -> Verdict:
    value = None if look.value is None else rounded(clause, look.value)
    return replace(verdict, value=value, instance=look.instance)


def _figure(clause: Clause, look: Look) -> str:
    return "" if look.value is None else shown(clause, look.value)
