"""Clause 8: a real outage that certainly took too long breaks it, and none that was seen in passing shows it kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from unit.builders import DIGEST, NAME, NOW, OLD_DIGEST, Draft, World, event_draft, good_world, pod
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.judge.judge import judge
from verticalmodel.judge.verdict import Verdict

A, B = f"{NAME}-a", f"{NAME}-b"


def outage(of: str, seconds: float, *, certain: str | None = None, **changes: Any) -> Draft:
    """An outage that the prober timed, to the moment unless `certain` says how long it took at least."""
    seen = {"notBeforeSeconds": f"{seconds:g}" if certain is None else certain, "ended": "server", "exitCode": "137"}
    return event_draft("restart-within-budget", "restart", of, seconds, seen, **changes)


def verdict(*outages: Draft, **changes: Any) -> Verdict:
    base = good_world(**changes)
    found: World = replace(base, drafts=(*base.drafts, *outages))
    return next(one for one in judge(found.observed()) if one.clause == 8)


def test_an_outage_over_the_limit_breaks_the_clause_and_names_the_container() -> None:
    found = verdict(outage(A, 4.0), outage(B, 41.5))
    assert (found.status, found.reason, found.value) == ("False", ClauseReason.THRESHOLD_EXCEEDED, 41.5)
    assert found.instance == f"restart/{B}"
    assert "after the end of container server there was no good answer for too long" in found.message


@pytest.mark.parametrize("seconds", [0.0, 4.2, 30.0])
def test_shorter_ones_show_nothing_and_are_told(seconds: float) -> None:
    found = verdict(outage(A, seconds))
    assert (found.status, found.reason, found.value) == ("Unknown", ClauseReason.NOT_MEASURED, None)
    assert found.message == (
        f"No drill has shown it. Real outages that were timed, by pod: 1; the longest took {seconds:g} s, "
        "limit at most 30"
    )


def test_without_an_outage_nothing_is_known() -> None:
    assert verdict().message == "No drill has shown it. Real outages that were timed, by pod: 0"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (outage(A, 31, certain="30"), ClauseReason.NOT_MEASURED),
        (outage(A, 31, certain=""), ClauseReason.NOT_MEASURED),
        (outage(A, 31, certain="32"), ClauseReason.NOT_MEASURED),
        (outage(A, 31, scope="State"), ClauseReason.NOT_MEASURED),
        (
            outage(A, 31, binding={"podUid": f"uid-of-{A}", "templateDigest": OLD_DIGEST}),
            ClauseReason.NOT_MEASURED,
        ),
        (outage(A, 31, binding={"podUid": "uid-of-a-namesake", "templateDigest": DIGEST}), ClauseReason.NOT_MEASURED),
        (outage(A, -1.0), ClauseReason.INCONSISTENT),
        (outage(A, 31, unit="min"), ClauseReason.INCONSISTENT),
        (outage(A, 31, outcome="Inconclusive"), ClauseReason.PROBE_FAILED),
        (outage(A, 31, simulated=True), ClauseReason.SIMULATED),
        (outage(A, 31, expiresAt=(NOW - timedelta(seconds=1)).isoformat()), ClauseReason.EVIDENCE_EXPIRED),
    ],
    ids=[
        *("asked late", "nobody knows how late", "longer than the whole", "a state", "another template"),
        *("another pod", "below nothing", "another unit", "inconclusive", "simulated", "expired"),
    ],
)
def test_it_is_unknown_by_an_outage_that_cannot_be_counted(found: Draft, reason: ClauseReason) -> None:
    told = verdict(found)
    assert (told.status, told.reason) == ("Unknown", reason), told.message


def test_a_strangers_pod_breaks_nothing() -> None:
    pods = (pod(A, owned=False), pod(B))
    assert verdict(outage(A, 99), pods=pods).status == "Unknown"
