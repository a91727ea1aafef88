"""How long a start takes: only what was seen from its beginning, once, and on one clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from verticalmodel.api.evidence import Binding
from verticalmodel.probe.starts import Starts, start
from verticalmodel.probe.world import Pod

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
DIGEST = "sha256:" + "1" * 64


def pod(age: float = 0.0, uid: str = "u", milestones: tuple[tuple[str, datetime], ...] = ()) -> Pod:
    """A pod that was created `age` seconds before NOW by the API server's clock."""
    return Pod(
        "a",
        uid,
        "m",
        "n",
        "10.0.0.1",
        ready=True,
        containers=(),
        created_at=NOW - timedelta(seconds=age),
        template_digest=DIGEST,
        milestones=milestones,
    )


def begun(*pods: Pod) -> Starts:
    starts = Starts()
    for one in pods:
        starts.appeared(one, now=NOW, clock=1000.0)
    return starts


def test_a_start_lasts_from_the_creation_to_the_first_good_answer() -> None:
    starts = begun(pod(age=0.9))
    assert starts.seconds("u") is None

    starts.answered("u", 1005.5)
    starts.answered("u", 1090.0)

    assert starts.seconds("u") == pytest.approx(6.4)


@pytest.mark.parametrize(("age", "seen"), [(3.0, True), (3.1, False), (-5.0, True), (-5.1, False), (86400, False)])
def test_who_was_first_seen_long_after_his_creation_was_not_seen_from_the_beginning(*, age: float, seen: bool) -> None:
    assert (begun(pod(age=age)).seen() == {"u"}) is seen


def test_a_clock_behind_the_api_servers_makes_no_start_shorter_than_what_was_seen_of_it() -> None:
    starts = begun(pod(age=-4.0))
    starts.answered("u", 1010.0)
    assert starts.seconds("u") == 10.0


def test_an_answer_of_who_was_not_seen_to_begin_ends_no_start() -> None:
    starts = begun(pod(age=60))
    starts.answered("u", 1001.0)
    assert starts.seconds("u") is None


def test_a_start_took_at_least_until_the_last_bad_answer_before_the_first_good_one() -> None:
    starts = begun(pod(age=1.0))
    assert starts.silent_seconds("u") == 0.0
    for clock in (1005.0, 1020.0):
        starts.refused("u", clock)
    starts.answered("u", 1035.0)
    starts.refused("u", 1050.0)
    assert (starts.silent_seconds("u"), starts.seconds("u")) == (18.0, 36.0)


def test_who_was_not_seen_to_begin_is_not_known_to_have_answered_badly() -> None:
    starts = begun(pod(age=60))
    starts.refused("u", 1005.0)
    assert starts.silent_seconds("u") == 0.0


@pytest.mark.parametrize(
    ("ready", "silent", "expected"),
    [(4, 0.0, "3.0"), (4, 12.0, "12.0"), (None, 0.0, "0.0"), (400, 0.0, "30.0")],
    ids=["until Ready", "until a bad answer", "nobody knows", "never longer than the whole"],
)
def test_a_start_says_how_long_it_took_at_least(ready: int | None, silent: float, expected: str) -> None:
    loaded = () if ready is None else (("loaded", NOW + timedelta(seconds=ready)),)
    found = start(pod(milestones=loaded), 30.0, silent, NOW)
    assert (found.value, found.observations["notBeforeSeconds"]) == (30.0, expected)


def test_what_is_gone_is_forgotten() -> None:
    starts = begun(pod())
    starts.answered("u", 1001.0)
    starts.gone("u")
    assert (starts.seen(), starts.seconds("u")) == (frozenset(), None)


def test_a_second_sight_begins_nothing_anew() -> None:
    starts = begun(pod())
    starts.appeared(pod(), now=NOW, clock=1002.0)
    starts.answered("u", 1003.0)
    assert starts.seconds("u") == 3.0


def test_a_start_is_an_event_of_the_pods_template_with_its_phases() -> None:
    stamps = (("scheduled", NOW), ("image", NOW + timedelta(seconds=2)), ("loaded", NOW + timedelta(seconds=5)))
    found = start(pod(milestones=stamps), 6.25, 0.0, NOW)

    assert (found.key, found.value, found.unit, found.scope) == (("cold-start", "start/a"), 6.25, "s", "Event")
    assert found.binding == Binding(pod_uid="u", template_digest=DIGEST)
    assert found.observations == {
        "notBeforeSeconds": "4.0",
        "phase.scheduled": "0",
        "phase.image": "2",
        "phase.loaded": "5",
    }
