"""How long service is away: from the end of a container to the next good answer, the worst of a pod."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from verticalmodel.api.evidence import Binding
from verticalmodel.probe.restarts import Outage, Restarts, restart
from verticalmodel.probe.world import End, Pod

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
DIGEST = "sha256:" + "1" * 64
CLOCK = 1000.0


def end(ago: float = 0.0, container: str = "server") -> End:
    return End(container, NOW - timedelta(seconds=ago), 137, "OOMKilled")


def pod(*ends: End, ready_after: float | None = None) -> Pod:
    """A pod, Ready again so many seconds after NOW by the kubelet's stamp."""
    loaded = () if ready_after is None else (("loaded", NOW + timedelta(seconds=ready_after)),)
    return Pod(
        "a", "u", "m", "n", "10.0.0.1",
        ready=True, containers=(), template_digest=DIGEST, ends=ends, milestones=loaded,
    )  # fmt: skip


def serving() -> Restarts:
    """A pod that has answered well."""
    restarts = Restarts()
    restarts.seen(pod(), now=NOW, clock=CLOCK)
    restarts.answered(pod(), asked=CLOCK, clock=CLOCK)
    return restarts


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_an_outage_lasts_from_the_end_of_the_container_to_the_first_good_answer() -> None:
    restarts = serving()
    restarts.seen(pod(end()), now=at(0.5), clock=CLOCK + 0.5)
    back = pod(end(), ready_after=4)
    restarts.answered(back, asked=CLOCK + 5, clock=CLOCK + 5.2)
    restarts.answered(back, asked=CLOCK + 20, clock=CLOCK + 20.1)
    assert restarts.worst("u") == Outage(end(), pytest.approx(5.2), 3.0)
    assert restarts.over() == {"u"}


def test_until_a_bad_answer_there_certainly_was_no_good_one() -> None:
    restarts = serving()
    restarts.seen(pod(end()), now=NOW, clock=CLOCK)
    restarts.refused(pod(end()), asked=CLOCK + 12)
    restarts.answered(pod(end(), ready_after=2), asked=CLOCK + 27, clock=CLOCK + 28)
    assert restarts.worst("u") == Outage(end(), 28.0, 12.0)


def test_a_nodes_clock_that_lags_makes_nothing_certain() -> None:
    """Its stamp seems three seconds old though the container has just ended."""
    restarts = serving()
    restarts.seen(pod(end(ago=3.0)), now=NOW, clock=CLOCK)
    restarts.refused(pod(end(ago=3.0)), asked=CLOCK + 28)
    restarts.answered(pod(end(ago=3.0)), asked=CLOCK + 29, clock=CLOCK + 29)
    assert restarts.worst("u") == Outage(end(ago=3.0), 32.0, 28.0)


def test_an_answer_that_was_asked_for_before_the_end_ends_nothing() -> None:
    restarts = serving()
    restarts.seen(pod(end()), now=NOW, clock=CLOCK)
    restarts.answered(pod(end()), asked=CLOCK - 0.1, clock=CLOCK + 0.1)
    assert restarts.worst("u") is None


def test_a_second_end_on_the_way_back_makes_the_outage_longer_and_not_another() -> None:
    restarts = serving()
    restarts.seen(pod(end()), now=NOW, clock=CLOCK)
    second = end(ago=-10, container="guard")
    restarts.seen(pod(end(), second), now=at(10), clock=CLOCK + 10)
    restarts.answered(pod(end(), second, ready_after=14), asked=CLOCK + 15, clock=CLOCK + 15)
    assert restarts.worst("u") == Outage(end(), 15.0, 13.0)


def test_the_worst_of_a_pod_is_kept() -> None:
    restarts = serving()
    for begins, lasts in ((0, 5), (100, 40), (300, 6)):
        ended = end(ago=-begins)
        restarts.seen(pod(ended), now=at(begins), clock=CLOCK + begins)
        back = CLOCK + begins + lasts
        restarts.answered(pod(ended, ready_after=begins + lasts - 1), asked=back, clock=back)
    assert restarts.worst("u") == Outage(end(ago=-100), 40.0, 38.0)


@pytest.mark.parametrize(("ago", "timed"), [(3.0, True), (3.1, False), (-5.0, True), (-5.1, False)])
def test_an_end_that_was_seen_late_begins_nothing(*, ago: float, timed: bool) -> None:
    restarts = serving()
    restarts.seen(pod(end(ago)), now=NOW, clock=CLOCK)
    restarts.answered(pod(end(ago)), asked=CLOCK + 1, clock=CLOCK + 1)
    assert (restarts.worst("u") is not None) is timed


def test_what_ended_before_the_first_good_answer_is_part_of_a_start() -> None:
    restarts = Restarts()
    restarts.seen(pod(), now=NOW, clock=CLOCK)
    restarts.seen(pod(end()), now=NOW, clock=CLOCK)
    restarts.answered(pod(end()), asked=CLOCK + 1, clock=CLOCK + 1)
    assert restarts.worst("u") is None


def test_what_had_ended_when_the_prober_came_is_no_news() -> None:
    restarts = Restarts()
    for _ in range(2):
        restarts.seen(pod(end()), now=NOW, clock=CLOCK)
        restarts.answered(pod(end()), asked=CLOCK + 1, clock=CLOCK + 1)
    assert restarts.worst("u") is None


def test_what_is_gone_is_forgotten() -> None:
    restarts = serving()
    restarts.seen(pod(end()), now=NOW, clock=CLOCK)
    restarts.answered(pod(end()), asked=CLOCK + 1, clock=CLOCK + 1)
    restarts.gone("u")
    assert (restarts.worst("u"), restarts.over()) == (None, frozenset())


def test_an_outage_is_an_event_of_the_pods_template_and_says_what_ended() -> None:
    found = restart(pod(), Outage(end(), 6.25, 4.0), NOW)
    assert (found.key, found.value, found.unit) == (("restart-within-budget", "restart/a"), 6.25, "s")
    assert (found.scope, found.binding) == ("Event", Binding(pod_uid="u", template_digest=DIGEST))
    assert found.observations == {
        "notBeforeSeconds": "4.0",
        "ended": "server",
        "exitCode": "137",
        "reason": "OOMKilled",
    }
