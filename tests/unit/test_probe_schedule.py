"""Whose turn it is."""

from __future__ import annotations

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from verticalmodel.probe.schedule import Schedule


def schedule(limit: int = 2, spacing: float = 5.0, settle: float = 1.0) -> Schedule[str]:
    return Schedule(limit=limit, spacing=spacing, settle=settle)


def test_a_change_is_let_settle_and_a_burst_of_changes_is_one_turn() -> None:
    turns = schedule()
    for now in (0.0, 0.5, 0.9):
        turns.touch("a", now)

    assert turns.take(0.9) == []
    assert turns.idle_seconds(0.9) == 1.0 - 0.9
    assert turns.take(1.5) == [("a", 0.5)]
    assert turns.take(1.6) == []


def test_a_change_during_a_turn_means_another_one_after_it_not_beside_it() -> None:
    turns = schedule()
    turns.touch("a", 0.0)
    turns.take(1.0)
    turns.touch("a", 1.5)

    assert turns.take(10.0) == []
    turns.finish("a", 10.0, wait=100.0)
    assert [key for key, _ in turns.take(10.0)] == ["a"]


def test_turns_of_one_key_keep_their_distance() -> None:
    turns = schedule(spacing=5.0)
    turns.touch("a", 0.0)
    turns.take(1.0)
    turns.finish("a", 1.5, wait=0.0)

    assert turns.take(5.9) == []
    assert turns.take(6.0) == [("a", 0.0)]


def test_the_most_overdue_goes_first_and_no_more_than_the_limit_at_once() -> None:
    turns = schedule(limit=2)
    for key, now in (("c", 2.0), ("a", 0.0), ("b", 1.0)):
        turns.touch(key, now)

    assert [key for key, _ in turns.take(10.0)] == ["a", "b"]
    assert turns.idle_seconds(10.0) == 5.0
    turns.finish("a", 11.0, wait=100.0)
    assert [key for key, _ in turns.take(11.0)] == ["c"]


def test_turns_that_wait_for_slow_answers_make_room_though_not_without_end() -> None:
    turns = Schedule[int](limit=2, spacing=5.0, settle=0.0, patience=5.0)
    for key in range(40):
        turns.touch(key, 0.0)

    assert [key for key, _ in turns.take(0.0)] == [0, 1]
    assert turns.take(4.9) == []
    assert turns.idle_seconds(4.5) == 0.5, "nobody has to end for the next to start"
    assert [key for key, _ in turns.take(5.0)] == [2, 3]
    for now in range(10, 100, 5):
        turns.take(float(now))
    assert turns.idle_seconds(1000.0) == inf
    turns.finish(0, 1000.0, wait=inf)
    assert [key for key, _ in turns.take(1000.0)] == [18], "18 at once were the most"


def test_a_finished_key_waits_as_long_as_it_asked_for() -> None:
    turns = schedule()
    turns.touch("a", 0.0)
    turns.take(1.0)
    turns.finish("a", 2.0, wait=300.0)

    assert turns.take(301.9) == []
    assert turns.take(302.0) == [("a", 0.0)]


def test_a_key_that_asked_for_nothing_sleeps_until_it_is_touched() -> None:
    turns = schedule()
    turns.touch("a", 0.0)
    turns.take(1.0)
    turns.finish("a", 2.0, wait=inf)

    assert turns.take(1e9) == []
    turns.touch("a", 1e9)
    assert turns.take(1e9 + 1) == [("a", 0.0)]


def test_a_forgotten_key_has_no_turn_even_where_its_last_one_ends_later() -> None:
    turns = schedule()
    turns.touch("a", 0.0)
    turns.take(1.0)
    turns.forget("a")
    turns.finish("a", 2.0, wait=0.0)

    assert len(turns) == 0
    assert turns.take(100.0) == []


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(["touch", "finish", "take"]), st.floats(0, 5)), max_size=60
    )
)
def test_no_order_of_events_loses_a_change_or_runs_a_key_twice_at_once(events: list[tuple[str, str, float]]) -> None:
    turns, now, running, waiting = schedule(), 0.0, dict[str, float](), set[str]()
    for key, what, passed in events:
        now += passed
        if what == "touch":
            turns.touch(key, now)
            waiting.add(key)
        elif what == "finish" and key in running:
            del running[key]
            turns.finish(key, now, wait=inf)
        elif what == "take":
            taken = [key for key, _ in turns.take(now)]
            assert not running.keys() & set(taken)
            running |= dict.fromkeys(taken, now)
            waiting -= set(taken)
            assert sum(now - started < 5.0 for started in running.values()) <= 2
    while waiting or running:
        for key in sorted(running):
            turns.finish(key, now, wait=inf)
        now += 10.0
        running = {key: now for key, _ in turns.take(now)}
        assert running or not waiting, "a change was lost"
        waiting -= running.keys()
