"""Looks that said nothing: tried again at growing distances, and counted by how long they have said nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from verticalmodel.api.evidence import Binding
from verticalmodel.probe.doubts import Doubts
from verticalmodel.probe.measurement import Key, Measurement

ONE, OTHER = ("m", "one"), ("m", "other")


def look(key: Key, value: float | None) -> Measurement:
    at = datetime(2026, 11, 27, tzinfo=UTC)
    return Measurement(*key, "u", value, 1, 0.0, "test", Binding(pod_uid="u"), {}, at)


def test_a_look_that_says_nothing_waits_for_its_next_try_and_the_others_do_not() -> None:
    doubts = Doubts()
    doubts.note([ONE, OTHER], [look(ONE, None), look(OTHER, 1.0)], now=100.0, draw=0.5)
    assert doubts.waiting(101.9) == {ONE}
    assert doubts.next_in(101.0) == 1.0
    assert doubts.waiting(102.0) == frozenset()


def test_tries_come_at_growing_distances_and_the_series_is_as_long_as_it_is() -> None:
    doubts = Doubts()
    moments = [100.0, 102.0, 106.0, 114.0]
    for now in moments:
        assert doubts.waiting(now) == frozenset()
        doubts.note([ONE], [], now=now, draw=0.5)
    assert doubts.seconds(114.0) == {ONE: 14.0}
    assert doubts.next_in(114.0) == 16.0


def test_who_says_something_begins_anew() -> None:
    doubts = Doubts()
    doubts.note([ONE], [look(ONE, None)], now=100.0, draw=0.5)
    doubts.note([ONE], [look(ONE, 1.0)], now=102.0, draw=0.5)
    assert (doubts.seconds(103.0), doubts.next_in(103.0)) == ({}, None)


def test_what_is_not_wanted_any_more_is_forgotten_and_what_was_not_tried_is_kept() -> None:
    doubts = Doubts()
    doubts.note([ONE, OTHER], [], now=100.0, draw=0.5)
    doubts.note([], [], now=101.0, draw=0.5)
    assert doubts.seconds(101.0) == {ONE: 1.0, OTHER: 1.0}
    doubts.keep([ONE])
    assert doubts.seconds(101.0) == {ONE: 1.0}


def test_who_asks_need_not_wait() -> None:
    doubts = Doubts()
    for now in (100.0, 102.0, 106.0):
        doubts.note([ONE], [], now=now, draw=0.5)
    doubts.hurry()
    assert (doubts.waiting(106.5), doubts.next_in(106.5)) == (frozenset(), 0.0)
    assert doubts.seconds(106.5) == {ONE: 6.5}
