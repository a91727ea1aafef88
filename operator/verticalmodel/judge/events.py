"""What happened once to pods of the model's own, and how long it took at least and at most. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed, ObservedPod
from verticalmodel.judge.admissible import Instance, witnesses
from verticalmodel.judge.instances import Reader, Reading, admission, combine, examine
from verticalmodel.judge.numbers import holds, shown
from verticalmodel.judge.verdict import Verdict

__all__ = ["SECONDS", "Events", "read_duration"]

SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
"""A number of seconds as measurers write it."""
_NOT_BEFORE = "notBeforeSeconds"


@dataclass(frozen=True)
class Events:
    """One kind of event, `NAME/POD`, of each pod of the model's own."""

    name: str
    clause: Clause
    observed: Observed
    measurers: frozenset[str]

    @property
    def pods(self) -> list[ObservedPod]:
        """Those that such an event can be known of."""
        return [pod for pod in self.observed.pods if pod.serving and pod.owned and pod.template_digest]

    def admitted(self) -> Iterator[tuple[ObservedPod, Entry]]:
        """Each pod with what is admitted of its event."""
        heard = witnesses(self.observed, admission(self.clause, self.measurers))
        for pod in self.pods:
            instance = self._instance(pod)
            for witness in heard.get(instance.name, ()):
                if witness.reason is ClauseReason.MEASURED and instance.is_subject_of(witness.entry):
                    yield pod, witness.entry

    def told(self, reader: Reader, *, remedy: str) -> Verdict | None:
        """The verdict over all events that say more than that nothing is known; None where none does."""
        expected = ((self._instance(pod), reader) for pod in self.pods)
        looks = examine(self.clause, self.observed, self.measurers, expected)
        telling = [look for look in looks if look.reason is not ClauseReason.NOT_MEASURED]
        return combine(self.clause, telling, nothing="", remedy=remedy) if telling else None

    def _instance(self, pod: ObservedPod) -> Instance:
        return Instance(f"{self.name}/{pod.name}", pod_uid=pod.uid, template_digest=pod.template_digest)


def read_duration(clause: Clause, entry: Entry, *, held: str, broken: str) -> Reading:
    """What an event says that can break a limit of seconds and never show that it is kept.

    Only what is certain counts (`notBeforeSeconds`: until then there was no good answer), for the measurer may have
    asked late. `held` says why a short one shows nothing, `broken` what a long one shows.
    """
    seconds = entry.value
    if seconds is None or seconds < 0:
        return Reading(None, f"called an event of {seconds} seconds")
    if holds(clause, seconds):
        return Reading(None, held, ClauseReason.NOT_MEASURED)
    least = next((one.value for one in entry.observations if one.name == _NOT_BEFORE), "")
    certain = float(least) if SECONDS.fullmatch(least) else 0.0
    if certain > seconds or holds(clause, certain):
        between = f"between {shown(clause, min(certain, seconds))} and {shown(clause, seconds)}"
        return Reading(None, f"{between}: the prober asked late", ClauseReason.NOT_MEASURED)
    return Reading(certain, broken)
