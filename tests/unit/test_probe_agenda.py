"""What to look at, when, and which finding is worth a write."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest

from verticalmodel import evidence
from verticalmodel.api.evidence import Binding, Entry
from verticalmodel.probe.agenda import PERSISTENT, REFRESH, agenda, doubtful, gone, wait_seconds, worth_writing
from verticalmodel.probe.doubts import retry_seconds
from verticalmodel.probe.measurement import (
    CANARY,
    CONTAINER,
    FRAMEWORK,
    ISOLATION,
    LOADING,
    MEASURES,
    OPERATING_SYSTEM,
    SANDBOX,
    TENANTS,
    TRANSPORT,
    Key,
    Measurement,
    gist,
    key_of,
)
from verticalmodel.probe.model import Model
from verticalmodel.probe.world import Container, Pod, Service

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LIFETIME = 600.0
SHARE = 0.6
DIGEST = "sha256:" + "1" * 64
SYSTEM = (OPERATING_SYSTEM, "pod/a")
ENDPOINT, GUARD, SERVER, ANSWER = (
    (TRANSPORT, "pod/a:8443"),
    (SANDBOX, "pod/a/guard"),
    (SANDBOX, "pod/a/server"),
    (CANARY, "pod/a"),
)
GOOD = {
    ENDPOINT: {"tls1.3": "accepted X", "control.gapSeconds": "0.1", "container": "g" * 12},
    GUARD: {"memoryWorkingSetBytes": "1", "container": "g" * 12},
    SERVER: {"memoryWorkingSetBytes": "2", "container": "s" * 12},
    ANSWER: {"answer": "good", "container": "s" * 12},
    SYSTEM: {"operatingSystem": "linux", "node": "n"},
    (FRAMEWORK, "pod/a"): {"platform": "onnx_onnxv1", "container": "s" * 12},
    (LOADING, "pod/a"): {"control": "good", "container": "s" * 12},
    (TENANTS, "pod/a"): {"noToken": "refused 401", "container": "s" * 12},
    (ISOLATION, "pod/a/near"): {"net.8443": "refused", "from": "n"},
    (ISOLATION, "pod/a/far"): {"net.8443": "refused", "from": "o"},
}


def pod(name: str = "a", **changes: Any) -> Pod:
    containers = (Container("guard", "g" * 64, running=True), Container("server", "s" * 64, running=True))
    return replace(Pod(name, f"uid-{name}", "m", "n", "10.0.0.1", ready=True, containers=containers), **changes)


def model(*pods: Pod, service: Service | None = None, lifetime: float = LIFETIME) -> Model:
    return Model("ns", "m", "uid-m", pods or (pod(),), service, dict.fromkeys(MEASURES, lifetime))


def look(key: Key, *, age: float = 0.0, **changes: Any) -> Measurement:
    """A good look at the one pod."""
    made = Measurement(
        measure=key[0],
        instance=key[1],
        unit="x",
        value=0.25,
        samples=1,
        window_seconds=0.0,
        method="test",
        binding=Binding(pod_uid="uid-a"),
        observations=GOOD[key],
        measured_at=NOW - timedelta(seconds=age),
    )
    return replace(made, **changes)


def recorded(*looks: Measurement, lifetime: float = LIFETIME) -> dict[Key, Entry]:
    entries, _ = evidence.extend(None, [one.draft(source="p", load=0.0, lifetime=lifetime) for one in looks])
    return {key_of(entry): entry for entry in entries}


def everything(age: float = 0.0, **changes: Any) -> dict[Key, Entry]:
    return recorded(*(look(key, age=age, **changes) for key in GOOD))


def test_a_new_pod_is_looked_at_in_every_respect() -> None:
    todo = agenda(model(), {}, NOW, SHARE)

    assert (todo.wanted, todo.renewal) == (frozenset(GOOD), False)
    assert wait_seconds(model(), {}, NOW, SHARE) == 0.0


def test_what_is_recorded_and_young_is_left_alone_until_its_share_of_the_lifetime() -> None:
    entries = everything(age=100)

    assert agenda(model(), entries, NOW, SHARE).wanted == frozenset()
    assert wait_seconds(model(), entries, NOW, SHARE) == SHARE * LIFETIME - 100


def test_all_of_a_models_evidence_is_renewed_together_except_what_is_fresh() -> None:
    entries = {
        **everything(age=0.2 * LIFETIME),
        **recorded(look(ENDPOINT, age=SHARE * LIFETIME)),
        **recorded(look(GUARD, age=0.26 * LIFETIME)),
        **recorded(look(SERVER, age=0.26 * LIFETIME)),
    }

    todo = agenda(model(), entries, NOW, SHARE)

    assert (todo.wanted, todo.renewal) == (frozenset({ENDPOINT, GUARD, SERVER}), True)


def test_what_is_older_than_a_request_is_measured_anew_and_written_though_nothing_changed() -> None:
    asked = replace(model(), asked_at=NOW - timedelta(seconds=50))
    entries = {**everything(age=60), **recorded(look(ENDPOINT, age=40))}

    todo = agenda(asked, entries, NOW, SHARE)

    assert (todo.wanted, todo.renewal) == (frozenset(GOOD) - {ENDPOINT}, True)
    assert agenda(asked, everything(age=50), NOW, SHARE).wanted == frozenset()


@pytest.mark.parametrize(("ahead", "taken"), [(5, True), (6, False)])
def test_a_request_from_the_future_is_none(*, ahead: int, taken: bool) -> None:
    """Whose clock is an hour ahead would have the model measured without end for an hour."""
    asked = replace(model(), asked_at=NOW + timedelta(seconds=ahead))

    assert agenda(asked, everything(), NOW, SHARE).renewal is taken


def test_a_standard_with_a_shorter_lifetime_takes_effect_at_once() -> None:
    entries = everything(age=100)

    assert agenda(model(lifetime=150), entries, NOW, SHARE).renewal
    assert not agenda(model(lifetime=200), entries, NOW, SHARE).renewal


def test_evidence_written_with_a_short_lifetime_is_renewed_before_it_expires_whatever_the_standard_says_now() -> None:
    entries = recorded(*(look(key, age=7) for key in GOOD), lifetime=10)

    assert agenda(model(), entries, NOW, SHARE).renewal


@pytest.mark.parametrize(
    ("entries", "world"),
    [
        (everything(binding=Binding(pod_uid="uid-of-its-namesake")), model()),
        (everything(age=LIFETIME), model()),
        (everything(value=None), model()),
    ],
    ids=["another pod of that name", "expired", "inconclusive"],
)
def test_evidence_that_is_not_about_what_lives_now_is_made_anew(entries: dict[Key, Entry], world: Model) -> None:
    assert agenda(world, entries, NOW, SHARE).wanted == frozenset(GOOD)


def test_what_was_seen_of_a_container_is_made_anew_once_it_has_restarted_and_its_nodes_system_is_not() -> None:
    started_again = (Container("guard", "x" * 64, running=True), Container("server", "y" * 64, running=True))

    wanted = agenda(model(pod(containers=started_again)), everything(), NOW, SHARE).wanted
    assert wanted == {key for key in GOOD if key[0] not in (OPERATING_SYSTEM, ISOLATION)}


def test_a_look_at_the_service_lapses_with_the_last_pod_that_was_behind_it() -> None:
    """One that stands since before the look keeps it; and a look that ended before all of them began is not written."""
    key = (TRANSPORT, "service/m:443")
    through = look(ENDPOINT, age=60, instance=key[1], binding=Binding(service_uid="uid-s"))
    through = replace(through, observations={**through.observations, CONTAINER: ""})
    entries = recorded(through)
    older, younger = (NOW - timedelta(seconds=seconds) for seconds in (90, 30))

    def world(*births: datetime | None) -> Model:
        pods = (pod(f"p{number}", created_at=born) for number, born in enumerate(births))
        return model(*pods, service=Service("m", "uid-s", "10.96.0.9"))

    for kept in (world(older), world(older, younger), world(younger, None)):
        assert key not in agenda(kept, entries, NOW, SHARE).wanted
        assert written(through, entries={}, world=kept) == [key]
    assert key in agenda(world(younger, younger), entries, NOW, SHARE).wanted
    assert written(through, entries={}, world=world(younger)) == []


def test_entries_go_with_their_pod_and_stay_while_it_only_is_not_ready() -> None:
    entries = everything()

    assert gone(model(pod(ready=False, ip="")), entries) == frozenset()
    assert gone(model(pod("b")), entries) == frozenset(GOOD)
    assert wait_seconds(model(pod("b", containers=())), entries, NOW, SHARE) == 0.0


def test_where_nothing_exists_there_is_nothing_to_wait_for() -> None:
    assert wait_seconds(model(pod(containers=())), {}, NOW, SHARE) == inf


def written(*looks: Measurement, entries: dict[Key, Entry], world: Model | None = None, **how: Any) -> list[Key]:
    arguments = {"renewal": False, "doubted": {}, **how}
    return [one.key for one in worth_writing(world or model(), looks, entries, NOW, **arguments)]


def test_news_is_written_and_what_is_known_is_not() -> None:
    entries = everything(age=10)
    same = [look(key) for key in GOOD]

    assert written(*same, entries={}) == sorted(GOOD)
    assert written(*same, entries=entries) == []
    assert written(*same, entries=entries, renewal=True) == sorted(GOOD)
    assert written(look(ENDPOINT, value=1.2), entries=entries) == [ENDPOINT]
    assert written(look(ANSWER, observations={**GOOD[ANSWER], "answer": "bad 503"}), entries=entries) == [ANSWER]


def test_figures_that_always_move_are_no_news() -> None:
    entries = everything(age=10)
    moved = look(GUARD, observations={**GOOD[GUARD], "memoryWorkingSetBytes": "999"})
    slower = look(ANSWER, value=0.9)
    gap = look(ENDPOINT, observations={**GOOD[ENDPOINT], "control.gapSeconds": "0.2"})

    assert written(moved, slower, gap, entries=entries) == []


def test_a_canary_that_names_another_fault_each_time_is_written_once() -> None:
    def bad(fault: str) -> Measurement:
        return look(ANSWER, observations={"answer": f"bad {fault}", CONTAINER: "s" * 12})

    known = everything() | recorded(bad("another id"))
    assert written(bad("output 7 is not in the metadata"), entries=known) == []
    assert written(look(ANSWER), entries=known) == [ANSWER]


def test_an_inconclusive_look_takes_nothing_back_that_still_holds() -> None:
    blind = look(ENDPOINT, value=None)
    doubted = {ENDPOINT: PERSISTENT}

    assert written(blind, entries=everything(), doubted=doubted) == []
    assert written(blind, entries=everything(), doubted=doubted, renewal=True) == []


def test_an_inconclusive_look_is_written_where_nothing_holds_and_it_persists() -> None:
    blind = look(ENDPOINT, value=None)

    assert written(blind, entries={}, doubted={ENDPOINT: PERSISTENT - 1}) == []
    assert written(blind, entries={}, doubted={ENDPOINT: PERSISTENT}) == [ENDPOINT]
    assert written(blind, entries=everything(age=LIFETIME), doubted={ENDPOINT: PERSISTENT}) == [ENDPOINT]


def test_an_inconclusive_entry_is_not_repeated_before_its_renewal_and_gives_way_to_a_finding() -> None:
    entries = recorded(look(ENDPOINT, value=None, age=10))
    doubted = {ENDPOINT: 99.0}
    otherwise = look(ENDPOINT, value=None, observations={**GOOD[ENDPOINT], "tls1.3": "inconclusive reset"})

    assert written(otherwise, entries=entries, doubted=doubted) == []
    assert written(otherwise, entries=entries, doubted=doubted, renewal=True) == [ENDPOINT]
    assert written(look(ENDPOINT), entries=entries, doubted=doubted) == [ENDPOINT]


def test_a_certificate_that_no_longer_verifies_ends_what_was_known_at_once() -> None:
    assert written(look(ENDPOINT, value=None, unsettling=True), entries=everything()) == [ENDPOINT]


@pytest.mark.parametrize(
    "world",
    [
        model(pod(uid="uid-new")),
        model(pod("b")),
        model(pod(containers=(Container("guard", "x" * 64, running=True),))),
    ],
    ids=["replaced", "gone", "restarted"],
)
def test_a_look_at_what_was_replaced_meanwhile_is_thrown_away(world: Model) -> None:
    looks = (look(key) for key in GOOD if key != SYSTEM)
    assert written(*looks, entries={}, world=world, renewal=True) == []


def test_only_a_good_canary_that_turns_bad_is_asked_again() -> None:
    bad = look(ANSWER, observations={**GOOD[ANSWER], "answer": "bad 503"})

    assert doubtful([bad], everything()) == {ANSWER}
    assert doubtful([bad], {}) == frozenset()
    assert doubtful([bad], recorded(bad)) == frozenset()
    assert doubtful([look(ANSWER)], everything()) == frozenset()
    assert doubtful([replace(bad, value=None)], everything()) == frozenset()


@pytest.mark.parametrize("key", sorted(GOOD))
def test_a_look_and_the_entry_made_of_it_have_the_same_gist(key: Key) -> None:
    one = look(key, value=0.123456789)

    assert gist(recorded(one)[key]) == gist(one)


def test_renewal_leaves_time_to_try_again_and_never_comes_before_half_the_lifetime() -> None:
    least, most = REFRESH

    assert 0.5 <= least < most <= 0.8
    assert (1 - most) * LIFETIME > sum(retry_seconds(tries, 1.0) for tries in range(1, 6))


def test_retries_come_at_growing_distances_up_to_a_minute() -> None:
    assert [retry_seconds(tries, 0.5) for tries in (1, 2, 3, 4, 5, 6, 1000)] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert retry_seconds(1, 0.0) == 1.6


def outage(certain: float, *, age: float = 0.0) -> Measurement:
    """An outage of the one pod that took at least so long."""
    return replace(
        look(ANSWER, age=age),
        measure="restart-within-budget",
        instance="restart/a",
        observations={"notBeforeSeconds": f"{certain:.1f}", "ended": "server"},
        binding=Binding(pod_uid="uid-a", template_digest=DIGEST),
        scope="Event",
    )


def test_a_quicker_way_back_never_takes_the_place_of_a_slower_one() -> None:
    world = replace(model(pod(template_digest=DIGEST)), restarted=frozenset({"uid-a"}))
    known = recorded(outage(12.0))

    def wrote(certain: float, entries: dict[Key, Entry], *, renewal: bool = False) -> int:
        return len(written(outage(certain), entries=entries, world=world, renewal=renewal))

    assert wrote(4.0, {}) == 1
    assert (wrote(4.0, known), wrote(12.0, known), wrote(4.0, known, renewal=True)) == (0, 0, 0)
    assert wrote(12.1, known) == 1


def test_an_outage_is_not_looked_for_again_and_keeps_no_request_waiting() -> None:
    world = replace(model(pod(template_digest=DIGEST)), restarted=frozenset({"uid-a"}), asked_at=NOW)
    key = ("restart-within-budget", "restart/a")
    assert key in agenda(world, {}, NOW, SHARE).wanted
    assert key not in agenda(world, everything() | recorded(outage(12.0, age=LIFETIME - 1)), NOW, SHARE).wanted
