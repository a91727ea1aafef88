"""Which changes of a status are worth a Kubernetes Event (DESIGN section 2). Pure.

Ready and Compliant whenever they change; clauses and Accepted only between True and False. What was not known before,
a first Unknown or a first False on the way up, is no news to anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

from verticalmodel.api.conditions import ACCEPTED, COMPLIANT, READY, Condition, Status
from verticalmodel.api.model_status import VerticalModelStatus

__all__ = ["Transition", "transitions"]

_EVERY_CHANGE = (READY, COMPLIANT)


@dataclass(frozen=True)
class Transition:
    """One condition that changed its status."""

    before: Status
    condition: Condition

    @property
    def is_bad(self) -> bool:
        """Whether somebody should look: a False, or a True that is lost."""
        return self.condition.status != "True"


def transitions(old: VerticalModelStatus, new: VerticalModelStatus) -> tuple[Transition, ...]:
    """The changes from `old` to `new` that are worth an Event, in the order of the conditions."""
    before = {condition.type: condition.status for condition in old.conditions}
    judged = {ACCEPTED, *(clause.condition for clause in new.clauses)}
    found = (Transition(before.get(one.type, "Unknown"), one) for one in new.conditions)
    return tuple(
        one
        for one in found
        if (one.condition.type in _EVERY_CHANGE and _news(one, known=one.condition.type in before))
        or (one.condition.type in judged and {one.before, one.condition.status} == {"True", "False"})
    )


def _news(one: Transition, *, known: bool) -> bool:
    return one.before != one.condition.status and (known or one.condition.status == "True")
