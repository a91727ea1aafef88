"""How long something took, by evidence that says how long it took at least and at most. Pure."""

from __future__ import annotations

import re

from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.judge.instances import Reading
from verticalmodel.judge.numbers import holds, shown

__all__ = ["SECONDS", "read_duration"]

SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
"""A number of seconds as measurers write it."""
_NOT_BEFORE = "notBeforeSeconds"


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
