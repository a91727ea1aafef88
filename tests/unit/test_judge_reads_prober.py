"""The prober's own words, chained as it chains them, are understood by the judge: one vocabulary in two rooms.

The rooms share no code but the evidence chain, so only this test keeps their spellings together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from unit.builders import (
    NAME,
    SERVICE_UID,
    World,
    container,
    container_drafts,
    endpoint_drafts,
    evidence,
    pod,
    service,
)
from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Binding
from verticalmodel.facts import ObservedPod
from verticalmodel.judge.judge import judge
from verticalmodel.judge.verdict import Verdict
from verticalmodel.probe import measurement, world
from verticalmodel.probe.cadvisor import Cgroup, Cgroups
from verticalmodel.probe.handshake import Handshake
from verticalmodel.probe.sandbox import Scrape, sandbox_measurements
from verticalmodel.probe.transport import Attempt, Limits, Look, Target, assemble, classify_hello, classify_plain

GIB = 2**30
LIVE = pod(containers=(container(names.CONTAINER_GUARD), container()))
REFUSED = classify_hello(bytes.fromhex("15030100020246"), closed=False)
PLAIN_CLOSED = classify_plain(b"", closed=True)
PLAIN_ANSWERED = classify_plain(b"HTTP/1.1 200 OK\r\n", closed=False)
assert REFUSED is not None
assert PLAIN_CLOSED is not None
assert PLAIN_ANSWERED is not None

NOTHING_OLD: Mapping[str, Attempt] = {"tls1.2": REFUSED, "tls1.1": REFUSED, "tls1.0": REFUSED, "plain": PLAIN_CLOSED}
HELD = Handshake(ended=10.0, cipher="TLS_AES_256_GCM_SHA384", group="x25519")
UNREACHED = Handshake(ended=10.0, failure="timeout", reached=False)


def probed(answers: Mapping[str, Attempt], before: Handshake = HELD, after: Handshake | None = None) -> World:
    """Every endpoint looked at by the prober, with these answers."""
    targets = (
        Target(
            f"pod/{LIVE.name}:8443", LIVE.ip, 8443, "x", Binding(pod_uid=LIVE.uid), LIVE.containers[0].container_id[:12]
        ),
        Target(f"service/{NAME}:443", "10.96.0.9", 443, "x", Binding(service_uid=SERVICE_UID)),
    )
    look = Look(9.9, before, answers, after or replace(HELD, ended=10.2), b"")
    return told(*(assemble(target, look, Limits()) for target in targets))


def read_kernel(own: Cgroup, *, live: ObservedPod = LIVE, age: float = 4.0, failure: str = "") -> World:
    """Both containers' cgroups read by the prober from one node."""
    seen = world.Pod(
        name=live.name,
        uid=live.uid,
        model=NAME,
        node=live.node,
        ip=live.ip,
        ready=live.ready,
        containers=tuple(world.Container(box.name, box.container_id, running=True) for box in live.containers),
        shares_host=live.shares_host,
    )
    boxes = {
        box.container_id: replace(own, path=f"/kubepods/pod{live.uid}/{box.container_id}", sampled=1000.0)
        for box in live.containers
    }
    around = {live.uid: Cgroup(f"/kubepods/pod{live.uid}", pids_max=1024.0)}
    answer = Scrape(datetime.now(UTC), 1000.0 + age, Cgroups(around, boxes), failure)
    found = told(*sandbox_measurements([seen], {live.node: answer}, datetime.now(UTC)))
    return replace(found, pods=(live,))


def told(*looks: measurement.Measurement) -> World:
    """What the judge gets of these looks: drafted, chained, and written a moment later."""
    now = datetime.now(UTC) + timedelta(seconds=1)
    drafts = [look.draft(source="verticalmodel-prober-0", load=0.1, lifetime=600) for look in looks]
    return World(pods=(LIVE,), service=service(), others=(evidence(drafts, managed_at=now),), now=now)


def verdict(number: int, seen: World) -> Verdict:
    """The verdict of one clause."""
    return next(one for one in judge(seen.observed()) if one.clause == number)


LIMITED = Cgroup("", memory_limit=GIB / 16, cpu_quota=10_000.0, cpu_period=100_000.0, pids_max=0.0, processes=3.0)


def test_an_endpoint_that_refuses_everything_old_holds() -> None:
    found = verdict(13, probed(NOTHING_OLD))
    assert (found.status, found.value) == ("True", 1.3), found.message


def test_plain_text_refused_by_an_alert_holds() -> None:
    alert = classify_plain(bytes.fromhex("15030100020246"), closed=True)
    assert alert is not None
    assert verdict(13, probed({**NOTHING_OLD, "plain": alert})).status == "True"


@pytest.mark.parametrize(
    ("name", "answer", "value"),
    [
        ("tls1.2", Attempt("accepted", "TLS 1.2 ECDHE-ECDSA-AES256-GCM-SHA384", 1.2), 1.2),
        ("tls1.2", Attempt("accepted", "TLS 1.0 AES128-SHA", 1.0), 1.0),
        ("tls1.0", Attempt("accepted", "TLS 1.0 suite 0x0005", 1.0), 1.0),
        ("plain", PLAIN_ANSWERED, 0.0),
        ("plain", Attempt("accepted", "HTTP/2", 0.0), 0.0),
    ],
)
def test_an_endpoint_that_accepts_something_old_is_broken(name: str, answer: Attempt, value: float) -> None:
    found = verdict(13, probed({**NOTHING_OLD, name: answer}))
    assert (found.status, found.value) == ("False", value), found.message


def test_an_endpoint_that_accepts_something_old_is_broken_without_a_control() -> None:
    answers = {**NOTHING_OLD, "tls1.2": Attempt("accepted", "TLS 1.2 AES128-SHA256", 1.2)}
    assert verdict(13, probed(answers, before=replace(HELD, failure="alert protocol_version"))).status == "False"


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(probed({}, before=UNREACHED, after=UNREACHED), id="nothing was reached"),
        pytest.param(probed(NOTHING_OLD, after=UNREACHED), id="the control after failed"),
        pytest.param(probed(NOTHING_OLD, after=replace(HELD, ended=11.5)), id="the controls were too far apart"),
        pytest.param(probed({**NOTHING_OLD, "tls1.1": Attempt("inconclusive", "timeout")}), id="one offer timed out"),
        pytest.param(
            probed(NOTHING_OLD, after=replace(HELD, failure="certificate-expired", distrusted=True)),
            id="the certificate did not verify",
        ),
    ],
)
def test_an_endpoint_of_which_the_prober_is_not_sure_is_unknown(seen: World) -> None:
    assert verdict(13, seen).reason is ClauseReason.PROBE_FAILED


def test_cgroups_with_every_limit_hold() -> None:
    found = verdict(30, read_kernel(LIMITED))
    assert (found.status, found.value) == ("True", 0.0), found.message


@pytest.mark.parametrize(
    ("own", "value"),
    [
        (replace(LIMITED, memory_limit=0.0), 1.0),
        (replace(LIMITED, cpu_quota=0.0), 1.0),
        (replace(LIMITED, cpu_quota=None), 1.0),
        (replace(LIMITED, memory_limit=0.0, cpu_quota=0.0), 2.0),
        (replace(LIMITED, memory_limit=64.0 * GIB), 1.0),
    ],
)
def test_cgroups_without_a_limit_are_broken(own: Cgroup, value: float) -> None:
    found = verdict(30, read_kernel(own))
    assert (found.status, found.value) == ("False", value), found.message


def test_a_pod_that_shares_the_hosts_processes_is_broken_in_both_rooms_words() -> None:
    found = verdict(30, read_kernel(LIMITED, live=replace(LIVE, shares_host=("hostPID",))))
    assert (found.status, found.value) == ("False", 1.0), found.message


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(read_kernel(LIMITED, age=61.0), id="the sample is stale"),
        pytest.param(read_kernel(LIMITED, failure="timeout"), id="the kubelet did not answer"),
        pytest.param(read_kernel(replace(LIMITED, memory_limit=None)), id="the kubelet shows no memory figure"),
    ],
)
def test_cgroups_of_which_the_prober_is_not_sure_are_unknown(seen: World) -> None:
    assert verdict(30, seen).reason is ClauseReason.PROBE_FAILED


def test_the_builders_of_the_unit_tests_speak_as_the_prober_does() -> None:
    """Else every other test of the judge would be about a prober that does not exist."""
    endpoints, kernels = probed(NOTHING_OLD), read_kernel(replace(LIMITED, working_set=1.0))
    for seen, built in ((endpoints, endpoint_drafts([LIVE], None)), (kernels, container_drafts([LIVE]))):
        (spoken,) = (one for one in seen.others[0].spec.entries if one.instance == built[0]["instance"])
        extra = {"certificate.notAfter"}  # the probed endpoint has no certificate to show
        assert {one["name"] for one in built[0]["observations"]} - extra <= {one.name for one in spoken.observations}
        assert (spoken.unit, spoken.scope) == (built[0]["unit"], built[0]["scope"])
