"""Changes of a good world that every state measure must bear or see through, whatever it measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from unit.builders import CANARY, NOW, World, standard
from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Evidence, Subject

Change = Callable[[World], World]


@dataclass(frozen=True)
class Fixtures:
    """Changes of a good world by what they are called."""

    passing: Mapping[str, Change]
    failing: Mapping[str, Change]
    unknown: Mapping[str, tuple[ClauseReason, Change]]


def at(measure: str, place: Callable[[World], str], **changes: Any) -> Change:
    """The entry about one instance, with changed fields or observations."""
    return lambda world: world.changed(measure, place(world), **changes)


def forged(forge: Callable[[Evidence], Evidence]) -> Change:
    return lambda world: replace(world, forge=forge)


def valued(measure: str, value: float) -> Callable[[Evidence], Evidence]:
    """Somebody writes another value into entries that are chained already."""

    def forge(found: Evidence) -> Evidence:
        entries = tuple(
            one.model_copy(update={"value": value}) if one.measure == measure else one for one in found.spec.entries
        )
        return found.model_copy(update={"spec": found.spec.model_copy(update={"entries": entries})})

    return forge


def unknown_for(
    measure: str, place: Callable[[World], str], lifetime: int = 600
) -> dict[str, tuple[ClauseReason, Change]]:
    """What makes evidence of any state measure worthless; `lifetime` of the clause in seconds."""

    def iso(seconds: int) -> str:
        return (NOW + timedelta(seconds=seconds)).isoformat()

    later, over = 2 * lifetime, lifetime + 1
    return {
        "there is no evidence": (ClauseReason.NOT_MEASURED, lambda world: replace(world, drafts=())),
        "the measure has no entries": (ClauseReason.NOT_MEASURED, lambda world: world.without(measure)),
        "one instance was not measured": (
            ClauseReason.NOT_MEASURED,
            lambda world: world.without(measure, place(world)),
        ),
        "no pod exists": (ClauseReason.NOT_MEASURED, lambda world: replace(world, pods=())),
        "every pod is on its way out": (
            ClauseReason.NOT_MEASURED,
            lambda world: replace(world, pods=tuple(replace(one, deleting=True) for one in world.pods)),
        ),
        "the pod was replaced by one of the same name": (
            ClauseReason.NOT_MEASURED,
            lambda world: world.with_pod(0, uid="uid-of-the-next-one"),
        ),
        "a new pod runs that nobody has measured": (
            ClauseReason.NOT_MEASURED,
            lambda world: replace(
                world, pods=(*world.pods, replace(world.pods[0], name="new", uid="uid-of-new", ready=False))
            ),
        ),
        "a pod that nobody measured has started in part": (
            ClauseReason.NOT_MEASURED,
            lambda world: replace(
                world, pods=(*world.pods, replace(world.pods[0], name="new", uid="uid-of-new", phase="Pending"))
            ),
        ),
        "the entries are bound to nothing": (ClauseReason.NOT_MEASURED, at(measure, place, binding={})),
        "the entries tell of an event": (ClauseReason.NOT_MEASURED, at(measure, place, scope="Event")),
        "the model was created anew": (
            ClauseReason.NOT_MEASURED,
            lambda world: replace(
                world, subject=Subject(name=world.model.metadata.name, uid="uid-of-the-former-model")
            ),
        ),
        "the evidence names another model with this uid": (
            ClauseReason.INCONSISTENT,
            lambda world: replace(world, subject=Subject(name="another", uid=world.model.metadata.uid)),
        ),
        "somebody measured who may not": (
            ClauseReason.NOT_MEASURED,
            lambda world: replace(world, measurer=names.MANAGER_CHILDREN),
        ),
        "a value was changed after it was chained": (ClauseReason.INCONSISTENT, forged(valued(measure, 0.5))),
        "a value is not a number": (ClauseReason.INCONSISTENT, forged(valued(measure, float("nan")))),
        "the evidence has expired": (ClauseReason.EVIDENCE_EXPIRED, at(measure, place, expiresAt=iso(-1))),
        "the evidence claims to live longer than the clause allows": (
            ClauseReason.EVIDENCE_EXPIRED,
            at(measure, place, measuredAt=iso(-over), expiresAt=iso(later)),
        ),
        "the evidence is exactly as old as the clause allows": (
            ClauseReason.EVIDENCE_EXPIRED,
            at(measure, place, measuredAt=iso(-lifetime), expiresAt=iso(later)),
        ),
        "the API server has not seen the object for longer than the clause allows": (
            ClauseReason.EVIDENCE_EXPIRED,
            lambda world: replace(world, managed_at=NOW - timedelta(seconds=over)).changed(
                measure, expiresAt=iso(later)
            ),
        ),
        "the measurement is from the future": (
            ClauseReason.INCONSISTENT,
            at(measure, place, measuredAt=iso(6), expiresAt=iso(later)),
        ),
        "the API server wrote it in the future": (
            ClauseReason.INCONSISTENT,
            lambda world: replace(world, managed_at=NOW + timedelta(seconds=6)),
        ),
        "the API server's time is not known": (
            ClauseReason.INCONSISTENT,
            lambda world: replace(world, managed_at=None),
        ),
        "the last attempt was inconclusive": (
            ClauseReason.PROBE_FAILED,
            at(measure, place, outcome="Inconclusive", value=None, seen={"failure": "timeout"}),
        ),
        "a measurement has no value": (ClauseReason.INCONSISTENT, at(measure, place, value=None)),
        "a measurement has no sample": (ClauseReason.INCONSISTENT, at(measure, place, samples=0)),
        "the value has another unit": (ClauseReason.INCONSISTENT, at(measure, place, unit="furlongs")),
        "the samples are spread over more than the lifetime": (
            ClauseReason.INCONSISTENT,
            at(measure, place, windowSeconds=float(over)),
        ),
        "the hardware is simulated": (ClauseReason.SIMULATED, at(measure, place, simulated=True)),
    }


def passing_for(measure: str) -> dict[str, Change]:
    fresh = {"measuredAt": NOW.isoformat(), "expiresAt": (NOW + timedelta(seconds=600)).isoformat()}
    return {
        "everything is as it should be": lambda world: world,
        "one pod is not ready but measured": lambda world: world.with_pod(0, ready=False),
        "a pod that nobody measured has not started yet": lambda world: replace(
            world, pods=(*world.pods, replace(world.pods[0], name="pending", uid="p", phase="Pending", containers=()))
        ),
        "a pod that nobody measured is on its way out": lambda world: replace(
            world, pods=(*world.pods, replace(world.pods[0], name="leaving", uid="l", deleting=True))
        ),
        "a pod that nobody measured has failed": lambda world: replace(
            world, pods=(*world.pods, replace(world.pods[0], name="failed", uid="f", phase="Failed"))
        ),
        "an entry about a pod that is gone was bad": lambda world: replace(
            world, drafts=(*world.drafts, {**first(world, measure), "instance": "pod/gone", "value": 0.0})
        ),
        "the measurer's clock is ahead as clocks are": lambda world: world.changed(
            measure, measuredAt=(NOW + timedelta(seconds=5)).isoformat(), expiresAt=fresh["expiresAt"]
        ),
        "it was measured this instant": lambda world: world.changed(measure, **fresh),
        "a simulation edition accepts simulated hardware": lambda world: replace(
            world.changed(measure, simulated=True), standard=standard(simulation=True)
        ),
        "canaries fail": lambda world: world.changed(CANARY, seen={"answer": "bad 500"}),
    }


def first(world: World, measure: str) -> dict[str, Any]:
    return next(one for one in world.drafts if one["measure"] == measure)
