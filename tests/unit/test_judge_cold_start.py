"""Clause 7: a start over the limit breaks it, and none makes it hold while none is known to be cold."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from unit.builders import DIGEST, NAME, NOW, OLD_DIGEST, Draft, World, event_draft, good_world, standard
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.model_status import Start, StartPhase
from verticalmodel.judge.judge import judge
from verticalmodel.judge.measures.cold_start import last_start
from verticalmodel.judge.verdict import Verdict

A, B = f"{NAME}-a", f"{NAME}-b"


def start_draft(pod: str, seconds: float, *, not_before: str | None = None, **changes: Any) -> Draft:
    """A start that the prober timed, to the moment unless `not_before` says how long it took at least."""
    seen = {"notBeforeSeconds": f"{max(seconds, 0):g}" if not_before is None else not_before}
    seen |= {"phase.scheduled": "0", "phase.image": "2", "phase.unsealed": "3", "phase.started": "3"}
    return event_draft("cold-start", "start", pod, seconds, seen, **changes)


def world(*starts: Draft, **changes: Any) -> World:
    base = good_world(**changes)
    return replace(base, drafts=(*base.drafts, *starts))


def verdict(found: World) -> Verdict:
    return next(one for one in judge(found.observed()) if one.clause == 7)


@pytest.mark.parametrize(
    "starts",
    [
        (start_draft(A, 300.1), start_draft(B, 4)),
        (start_draft(A, 4), start_draft(B, 4000)),
        (start_draft(A, 301),),
    ],
    ids=["the first", "the second", "the only one that was timed"],
)
def test_one_start_over_the_limit_breaks_the_clause_cold_or_warm(starts: tuple[Draft, ...]) -> None:
    found = verdict(world(*starts))
    assert (found.status, found.reason) == ("False", ClauseReason.THRESHOLD_EXCEEDED)
    assert found.value == max(one["value"] for one in starts)
    assert "kubectl vmodel timeline" in found.message


def test_starts_within_the_limit_show_nothing_yet_and_the_slowest_is_told() -> None:
    found = verdict(world(start_draft(A, 6.2), start_draft(B, 8.7)))
    assert (found.status, found.reason, found.value) == ("Unknown", ClauseReason.NOT_MEASURED, None)
    assert found.message.startswith("No start is known to have been cold. 2 of 2 starts were timed")
    assert "the slowest took 8.7 s" in found.message


def test_pods_that_nobody_saw_begin_are_counted() -> None:
    assert "0 of 2 starts were timed" in verdict(world()).message
    assert "No pod of the model exists" in verdict(world(pods=())).message


@pytest.mark.parametrize("least", ["3.5", "300", "", "301.1", "-1", "nan", "1e9"])
def test_a_start_that_the_prober_saw_end_late_breaks_nothing(least: str) -> None:
    found = verdict(world(start_draft(A, 301, not_before=least)))
    assert (found.status, found.reason) == ("Unknown", ClauseReason.NOT_MEASURED)


def test_a_start_is_as_long_as_it_certainly_was() -> None:
    found = verdict(world(start_draft(A, 400, not_before="301.5")))
    assert (found.status, found.value) == ("False", 301.5)


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (start_draft(A, 301, scope="State"), ClauseReason.NOT_MEASURED),
        (
            start_draft(A, 301, binding={"podUid": f"uid-of-{A}", "templateDigest": OLD_DIGEST}),
            ClauseReason.NOT_MEASURED,
        ),
        (start_draft(A, 301, binding={"podUid": f"uid-of-{A}"}), ClauseReason.NOT_MEASURED),
        (
            start_draft(A, 301, binding={"podUid": "uid-of-a-namesake", "templateDigest": DIGEST}),
            ClauseReason.NOT_MEASURED,
        ),
        (start_draft(A, 301, unit="min"), ClauseReason.INCONSISTENT),
        (start_draft(A, -1), ClauseReason.INCONSISTENT),
        (start_draft(A, 301, simulated=True), ClauseReason.SIMULATED),
        (start_draft(A, 301, outcome="Inconclusive"), ClauseReason.PROBE_FAILED),
        (start_draft(A, 301, measuredAt=(NOW + timedelta(hours=1)).isoformat()), ClauseReason.INCONSISTENT),
        (start_draft(A, 301, expiresAt=(NOW - timedelta(seconds=1)).isoformat()), ClauseReason.EVIDENCE_EXPIRED),
    ],
    ids=[
        "a state",
        "of another template",
        "of no template",
        "of a namesake",
        "in minutes",
        "less than nothing",
        "simulated",
        "inconclusive",
        "from the future",
        "expired",
    ],
)
def test_what_is_no_evidence_of_the_live_pods_start_breaks_nothing(start: Draft, reason: ClauseReason) -> None:
    found = verdict(world(start))
    assert (found.status, found.reason) == ("Unknown", reason), found.message


def test_a_pod_that_nobody_controls_breaks_nothing_by_its_start() -> None:
    base = world(start_draft(A, 301))
    assert verdict(replace(base, pods=tuple(replace(one, owned=False) for one in base.pods))).status == "Unknown"


def test_the_last_start_is_the_newest_that_was_timed_phase_by_phase() -> None:
    newer = {"measuredAt": (NOW - timedelta(seconds=30)).isoformat()}
    found = last_start(world(start_draft(A, 9.0), start_draft(B, 5.55, **newer)).observed())

    stamp, ours = "kubelet's stamp, whole seconds", "prober's monotonic clock"
    assert found == Start(
        pod=B,
        kind="Unknown",
        seconds=5.5,
        phases=(
            StartPhase(name="scheduled", seconds=0, source="API server's stamp, whole seconds"),
            StartPhase(name="image", seconds=2, source=stamp),
            StartPhase(name="unsealed", seconds=3, source=stamp),
            StartPhase(name="started", seconds=3, source=stamp),
            StartPhase(name="firstAnswer", seconds=5.5, source=ours),
        ),
    )


@pytest.mark.parametrize(
    "seen",
    [
        {f"phase.p{number}": "1" for number in range(20)},
        {"phase.firstAnswer": "1"},
        {"phase.image": "9" * 400},
        {"phase.image": "-1"},
    ],
    ids=["too many", "ours", "endless", "less than nothing"],
)
def test_phases_that_are_none_are_left_out(seen: dict[str, str]) -> None:
    listed = [{"name": name, "value": value} for name, value in seen.items()]
    found = last_start(world({**start_draft(A, 4.0), "observations": listed}).observed())
    assert found is not None
    assert [phase.name for phase in found.phases] == ["firstAnswer"]
    assert last_start(world(start_draft(A, -5.0)).observed()) is None


def test_the_last_start_is_that_of_the_youngest_pod_whenever_it_was_written() -> None:
    base = world(start_draft(A, 9.0, measuredAt=NOW.isoformat()), start_draft(B, 5.0))
    pods = tuple(replace(one, created_at=NOW - timedelta(hours=2 if one.name == B else 900)) for one in base.pods)
    found = last_start(replace(base, pods=pods).observed())
    assert found is not None
    assert found.pod == B


def test_without_a_start_or_a_clause_that_asks_for_it_there_is_no_last_start() -> None:
    assert last_start(world().observed()) is None
    others = [one for one in standard().spec.clauses if one.measure != "cold-start"]
    assert last_start(world(start_draft(A, 9.0), standard=standard(*others)).observed()) is None
    assert last_start(replace(world(start_draft(A, 9.0)), standard=None).observed()) is None
