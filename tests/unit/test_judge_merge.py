"""The status after a pass: stable, honest about how long it holds, and written only when something changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.builders import DIGEST, EDITION, NOW, good_world
from verticalmodel.api.conditions import ClauseReason, Condition
from verticalmodel.api.model_status import CertificateStatus, ClauseStatus, Start, VerticalModelStatus
from verticalmodel.judge.judge import judge
from verticalmodel.judge.merge import ROLLUP_TYPES, Seen, merge, next_look
from verticalmodel.judge.ready import ready
from verticalmodel.judge.rollup import compliance
from verticalmodel.judge.verdict import Rollup, Verdict

LIFETIME = 600
EMPTY = VerticalModelStatus()


def seconds(number: float) -> timedelta:
    """A span."""
    return timedelta(seconds=number)


def held(clause: int = 13, *, until: datetime, **changes: Any) -> Verdict:
    """A clause that holds until then."""
    good = Verdict(
        clause=clause,
        condition=f"Clause{clause}",
        status="True",
        reason=ClauseReason.MEASURED,
        message="measured",
        value=1.3,
        unit="TLS",
        limit=1.3,
        instance="pod/a",
        valid_until=until,
        lifetime_seconds=LIFETIME,
    )
    return replace(good, **changes)


def broken(clause: int = 13) -> Verdict:
    """A clause that is broken."""
    return held(
        clause,
        until=NOW,
        status="False",
        reason=ClauseReason.THRESHOLD_EXCEEDED,
        message="too low",
        value=1.2,
        valid_until=None,
    )


READY = Rollup("Ready", "True", "Serving", "1 of 1 pods are Ready")


def merged(
    old: VerticalModelStatus, *verdicts: Verdict, now: datetime = NOW, generation: int = 1, **seen: Any
) -> VerticalModelStatus:
    """The status after a pass that saw these verdicts."""
    return merge(old, verdicts, (READY, *compliance(verdicts)), Seen(**seen), generation=generation, now=now)


def condition(status: VerticalModelStatus, type_: str) -> Condition:
    """The condition of a type."""
    return next(one for one in status.conditions if one.type == type_)


def test_a_first_status_holds_everything_that_was_found() -> None:
    until = NOW + seconds(540)
    seen = Seen(
        url="https://a.b.svc",
        replicas=2,
        ready_replicas=1,
        selector="a=b",
        template_digest=DIGEST,
        certificate=CertificateStatus(not_after=NOW, fingerprint=DIGEST, issuer=DIGEST),
        last_start=Start(pod="a", kind="Cold", seconds=12.5),
    )
    assert merge(EMPTY, [held(until=until)], [READY], seen, generation=3, now=NOW) == VerticalModelStatus(
        observed_generation=3,
        conditions=(
            Condition(
                type="Ready",
                status="True",
                reason="Serving",
                message="1 of 1 pods are Ready",
                last_transition_time=NOW,
                observed_generation=3,
            ),
            Condition(
                type="Clause13",
                status="True",
                reason="Measured",
                message="measured",
                last_transition_time=NOW,
                observed_generation=3,
            ),
        ),
        clauses=(
            ClauseStatus(
                id=13,
                condition="Clause13",
                verdict="True",
                reason="Measured",
                value=1.3,
                unit="TLS",
                limit=1.3,
                instance="pod/a",
                valid_until=until,
            ),
        ),
        met="1/1",
        url="https://a.b.svc",
        replicas=2,
        ready_replicas=1,
        selector="a=b",
        template_digest=DIGEST,
        certificate=CertificateStatus(not_after=NOW, fingerprint=DIGEST, issuer=DIGEST),
        last_start=Start(pod="a", kind="Cold", seconds=12.5),
        valid_until=until,
    )


def test_the_same_pass_again_changes_nothing() -> None:
    once = merged(EMPTY, held(until=NOW + seconds(540)), broken(30))
    assert merged(once, held(until=NOW + seconds(540)), broken(30), now=NOW + seconds(1)) == once


def test_roll_ups_come_first_in_their_order_then_clauses_by_number() -> None:
    rollups = [Rollup(type_, "Unknown", "R", "") for type_ in reversed(ROLLUP_TYPES)]
    status = merge(EMPTY, [broken(30), broken(7)], rollups, Seen(), generation=1, now=NOW)
    assert [one.type for one in status.conditions] == [*ROLLUP_TYPES, "Clause7", "Clause30"]
    assert [one.id for one in status.clauses] == [7, 30]


def test_a_transition_time_moves_only_with_the_status() -> None:
    old = merged(EMPTY, held(until=NOW + seconds(540)))
    told_otherwise = held(until=NOW + seconds(540), message="another", reason=ClauseReason.SIMULATED)
    same = merged(old, told_otherwise, now=NOW + seconds(9))
    assert condition(same, "Clause13").last_transition_time == NOW
    assert condition(same, "Clause13").message == "another"
    flipped = merged(same, broken(), now=NOW + seconds(10))
    assert condition(flipped, "Clause13").last_transition_time == NOW + seconds(10)


def test_every_condition_bears_the_generation_that_was_judged() -> None:
    old = merged(EMPTY, held(until=NOW + seconds(540)))
    new = merged(old, held(until=NOW + seconds(540)), generation=2)
    assert {one.observed_generation for one in new.conditions} == {2}
    assert new.observed_generation == 2
    assert condition(new, "Clause13").last_transition_time == NOW


def test_conditions_of_clauses_that_are_gone_are_dropped() -> None:
    """Another standard was named, or a roll-up no longer applies."""
    rollups = [READY, Rollup("Exposed", "False", "R", "")]
    old = merge(EMPTY, [broken(13), broken(30)], rollups, Seen(), generation=1, now=NOW)
    new = merge(old, [broken(30)], [READY], Seen(), generation=1, now=NOW)
    assert [one.type for one in new.conditions] == ["Ready", "Clause30"]


def test_conditions_of_others_stay_at_the_end() -> None:
    foreign = Condition(type="example.com/Checked", status="True", reason="R", last_transition_time=NOW)
    old = EMPTY.model_copy(update={"conditions": (foreign,)})
    assert merged(old, broken()).conditions[-1] == foreign


def test_a_clause_named_like_a_roll_up_never_makes_two_conditions_of_one_type() -> None:
    """The API server would refuse the whole status."""
    status = merged(EMPTY, replace(broken(), condition="Ready"))
    assert [one.type for one in status.conditions].count("Ready") == 1
    assert condition(status, "Ready").reason == "Serving"
    assert status.clauses[0].condition == "Ready"


def test_times_are_whole_seconds_in_utc_rounded_down() -> None:
    east = timezone(timedelta(hours=8))
    now = (NOW + timedelta(microseconds=900)).astimezone(east)
    status = merged(EMPTY, held(until=(NOW + timedelta(seconds=540, microseconds=999)).astimezone(east)), now=now)
    assert status.valid_until == NOW + seconds(540)
    assert status.wire()["validUntil"] == "2026-11-23T12:09:00Z"
    assert status.wire()["conditions"][0]["lastTransitionTime"] == "2026-11-23T12:00:00Z"
    assert status.valid_until.tzinfo is UTC


# validUntil: never more than the evidence supports, never expired while there is fresh evidence, and quiet.


def test_a_refreshed_expiry_waits_while_more_than_half_of_the_lifetime_is_left() -> None:
    old = merged(EMPTY, held(until=NOW + seconds(600)))
    refreshed = held(until=NOW + seconds(890))
    assert merged(old, refreshed, now=NOW + seconds(299)) == old
    assert merged(old, refreshed, now=NOW + seconds(300)).valid_until == NOW + seconds(890)


def test_an_expiry_that_comes_earlier_goes_out_at_once() -> None:
    """Evidence was withdrawn, or an instance was added whose evidence expires sooner."""
    old = merged(EMPTY, held(until=NOW + seconds(600)))
    assert merged(old, held(until=NOW + seconds(500))).valid_until == NOW + seconds(500)


def test_an_expiry_of_one_clause_that_comes_earlier_goes_out_though_the_earliest_stays() -> None:
    old = merged(EMPTY, held(13, until=NOW + seconds(600)), held(30, until=NOW + seconds(900)))
    new = merged(old, held(13, until=NOW + seconds(600)), held(30, until=NOW + seconds(700)))
    assert [one.valid_until for one in new.clauses] == [NOW + seconds(600), NOW + seconds(700)]


@pytest.mark.parametrize(
    "changed",
    [
        broken(30),
        held(30, until=NOW + seconds(900), value=1.2),
        held(30, until=NOW + seconds(900), instance="pod/b"),
        held(30, until=NOW + seconds(900), reason=ClauseReason.SIMULATED),
        held(30, until=NOW + seconds(900), limit=1.0),
        held(31, until=NOW + seconds(900)),
        held(30, until=NOW + seconds(900), valid_until=None),
    ],
)
def test_a_changed_clause_goes_out_at_once_with_all_expiries(changed: Verdict) -> None:
    old = merged(EMPTY, held(13, until=NOW + seconds(600)), held(30, until=NOW + seconds(600)))
    new = merged(old, held(13, until=NOW + seconds(650)), changed, now=NOW + seconds(10))
    assert new.valid_until == NOW + seconds(650)


def test_a_clause_more_or_less_goes_out_at_once() -> None:
    old = merged(EMPTY, held(13, until=NOW + seconds(600)))
    more = merged(old, held(13, until=NOW + seconds(650)), held(30, until=NOW + seconds(660)))
    assert more.valid_until == NOW + seconds(650)
    assert merged(more, held(13, until=NOW + seconds(700))).valid_until == NOW + seconds(700)


def test_a_taken_back_true_leaves_no_validity() -> None:
    old = merged(EMPTY, held(until=NOW + seconds(600)))
    assert merged(old, broken()).valid_until is None


def test_the_shortest_lifetime_behind_a_true_sets_the_pace() -> None:
    day = held(7, until=NOW + seconds(86400), lifetime_seconds=86400)
    old = merged(EMPTY, day, held(13, until=NOW + seconds(600)))
    refreshed = (day, held(13, until=NOW + seconds(890)))
    assert merged(old, *refreshed, now=NOW + seconds(299)) == old
    assert merged(old, *refreshed, now=NOW + seconds(300)) != old


def test_other_news_of_the_status_do_not_wait() -> None:
    old = merged(EMPTY, held(until=NOW + seconds(600)))
    new = merged(old, held(until=NOW + seconds(890)), now=NOW + seconds(10), ready_replicas=1)
    assert (new.ready_replicas, new.valid_until) == (1, NOW + seconds(600))


def test_the_next_look_is_when_the_first_true_expires() -> None:
    until = NOW + timedelta(seconds=540, microseconds=500)
    verdicts = [held(until=until), held(30, until=until + seconds(9))]
    assert next_look(merged(EMPTY, *verdicts), verdicts) == until


def test_the_next_look_is_when_a_withheld_expiry_is_due() -> None:
    old = merged(EMPTY, held(until=NOW + seconds(600)))
    refreshed = [held(until=NOW + seconds(890))]
    assert next_look(merged(old, *refreshed, now=NOW + seconds(290)), refreshed) == NOW + seconds(300)


def test_nothing_hangs_on_time_where_nothing_holds() -> None:
    assert next_look(merged(EMPTY, broken()), [broken()]) is None


GAPS = st.lists(st.floats(min_value=0.5, max_value=LIFETIME * 0.7), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None)
@given(GAPS)
def test_a_life_of_refreshes_is_quiet_and_never_promises_more_than_the_evidence(gaps: list[float]) -> None:
    """A measurer refreshes at most 0.7 lifetimes apart; we judge after each refresh and at each next look.

    A reader never sees more than the evidence supports, nor an expired True (but for the second that rounding takes).
    Where nothing but the expiry changes, nothing is written while more than half of it is left.
    """
    status, now, expiry = EMPTY, NOW, NOW + seconds(LIFETIME)
    for gap in gaps:
        refresh = now + seconds(gap)
        due: datetime | None = now
        while due is not None and due < refresh:
            now = due
            before, status = status, merged(status, held(until=expiry), now=now)
            assert status.valid_until is not None
            assert status.valid_until <= expiry
            if before.valid_until is not None and status != before:
                assert before.valid_until - now <= seconds(LIFETIME / 2)
            due = next_look(status, [held(until=expiry)])
            assert due is not None
            assert due > now
            assert status.valid_until > min(due, refresh) - seconds(1)
        now, expiry = refresh, refresh + seconds(LIFETIME)


VERDICTS = st.lists(
    st.builds(
        lambda clause, ahead, value: held(clause, until=NOW + seconds(ahead), value=value) if value else broken(clause),
        st.integers(1, 5),
        st.integers(1, 900),
        st.sampled_from([1.3, 1.4, None]),
    ),
    max_size=5,
    unique_by=lambda one: one.clause,
)


@settings(max_examples=100, deadline=None)
@given(VERDICTS, VERDICTS, st.integers(0, 900), st.randoms(use_true_random=False))
def test_merging_is_idempotent_and_blind_to_order(
    first: list[Verdict], second: list[Verdict], later: int, chance: Any
) -> None:
    old = merged(EMPTY, *first)
    new = merged(old, *second, now=NOW + seconds(later))
    assert merged(new, *second, now=NOW + seconds(later)) == new
    shuffled = list(second)
    chance.shuffle(shuffled)
    assert merged(old, *shuffled, now=NOW + seconds(later)) == merged(old, *second, now=NOW + seconds(later))


@settings(max_examples=100, deadline=None)
@given(VERDICTS, VERDICTS, st.integers(0, 900))
def test_a_published_expiry_is_never_later_than_its_evidence(
    first: list[Verdict], second: list[Verdict], later: int
) -> None:
    status = merged(merged(EMPTY, *first), *second, now=NOW + seconds(later))
    supported = {one.clause: one.valid_until for one in second}
    for one in status.clauses:
        limit = supported[one.id]
        assert (one.valid_until is None) == (limit is None)
        assert one.valid_until is None or limit is None or one.valid_until <= limit


def test_the_whole_way_from_a_good_world_to_its_status() -> None:
    """Judge, sum up, merge: what `kubectl get vmodel` shows of a model with six clauses that hold."""
    observed = good_world().observed()
    verdicts = judge(observed)
    rollups = (ready(observed, DIGEST), *compliance(verdicts))
    status = merge(EMPTY, verdicts, rollups, Seen(), generation=1, now=NOW)
    assert [(one.type, one.status) for one in status.conditions[:3]] == [
        ("Ready", "True"),
        ("Compliant", "Unknown"),
        ("NoKnownBreach", "True"),
    ]
    assert len(status.conditions) == 3 + len(EDITION.clauses)
    assert (status.met, status.valid_until) == ("8/34", NOW + seconds(540))
    assert VerticalModelStatus.model_validate(status.wire()) == status
