"""What the prober measures of real servers and recorded cgroups, as the judge understands it.

Measurer and judge share no code but the chain; this is where a difference in their reading of the contract shows.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from unit.builders import World, clause, model, pod, service, standard
from unit.probe_servers import (
    SERVER_NAME,
    Handler,
    Page,
    authority,
    closing,
    context,
    listening,
    open_inference,
    plain,
    tls,
    web,
)
from unit.test_probe_sandbox import GUARD, LONG_AGO, LOOSE, NODE_TIME, POD, RECORDED, SERVER
from verticalmodel.api.evidence import Binding
from verticalmodel.facts import ObservedContainer, ObservedPod
from verticalmodel.judge.judge import judge
from verticalmodel.judge.ready import ready
from verticalmodel.probe.cadvisor import parse_cadvisor
from verticalmodel.probe.canary import ask
from verticalmodel.probe.measurement import Measurement
from verticalmodel.probe.model import Model
from verticalmodel.probe.sandbox import Scrape, sandbox_measurements
from verticalmodel.probe.transport import Limits, Target, probe_transport
from verticalmodel.probe.trust import Trust
from verticalmodel.probe.world import Container, Pod

V = ssl.TLSVersion
PATIENT = Limits(control=10.0, gap=1.0)


def world(looks: Iterable[Measurement], *pods: ObservedPod, endpoint: bool = False) -> World:
    drafts = tuple(look.draft(source="prober", load=0.1, lifetime=600) for look in looks)
    now = datetime.now(UTC)
    behind = service() if endpoint else None
    return World(
        pods=pods, service=behind, drafts=drafts, now=now, managed_at=now, standard=standard(clause(13), clause(30))
    )


def verdict(found: World, number: int) -> tuple[str, str]:
    one = next(one for one in judge(found.observed()) if one.clause == number)
    return one.status, one.reason


@pytest.mark.parametrize(
    ("handle", "expected"),
    [
        (tls(context()), ("True", "Measured")),
        (tls(context(V.TLSv1_2)), ("False", "ThresholdExceeded")),
        (tls(context(V.TLSv1, V.TLSv1_1)), ("False", "ThresholdExceeded")),
        (plain(), ("False", "ThresholdExceeded")),
        (tls(context(certificate=authority("impostor").issue())), ("Unknown", "ProbeFailed")),
        (closing, ("Unknown", "ProbeFailed")),
    ],
    ids=["1.3 only", "1.2 allowed", "1.1 only", "plain text", "impostor", "drops all"],
)
async def test_clause_13_is_true_for_tls_1_3_alone(handle: Handler, expected: tuple[str, str]) -> None:
    """The Service leads to the same server; a machine too busy for one second between the controls gets tries."""
    one = pod()
    guard = next(box.container_id[:12] for box in one.containers if box.name == "guard")
    for _ in range(5):
        with listening(handle) as (host, port):
            targets = [
                Target(f"pod/{one.name}:8443", host, port, SERVER_NAME, Binding(pod_uid=one.uid), guard),
                Target("service/breast-screening:443", host, port, SERVER_NAME, Binding(service_uid=service().uid)),
            ]
            looks = [await probe_transport(target, Trust.from_pem(authority().pem), PATIENT) for target in targets]
        if all(float(look.observations["control.gapSeconds"]) <= 1 for look in looks):
            break

    assert verdict(world(looks, one, endpoint=True), 13) == expected


def observed_pod(*containers: ObservedContainer) -> ObservedPod:
    return pod("breast-screening-0", uid=POD, containers=containers)


def box(name: str, identity: str, cpu: str = "1", memory: str = "1Gi") -> ObservedContainer:
    return ObservedContainer(name, identity, running=True, limits={"cpu": cpu, "memory": memory})


def boxes(*containers: tuple[str, str], age: float = 4.0) -> tuple[Measurement, ...]:
    running = tuple(Container(name, identity, running=True, started_at=LONG_AGO) for name, identity in containers)
    measured = Pod("breast-screening-0", POD, "breast-screening", "node1", "10.0.0.1", ready=True, containers=running)
    now = datetime.now(UTC)
    shown = Scrape(now, NODE_TIME - 4 + age, parse_cadvisor(RECORDED))
    return sandbox_measurements([measured], {"node1": shown}, now)


GUARD_BOX, SERVER_BOX = box("guard", GUARD, "250m", "128Mi"), box("server", SERVER)


@pytest.mark.parametrize(
    ("looks", "live", "expected"),
    [
        (boxes(("guard", GUARD), ("server", SERVER)), (GUARD_BOX, SERVER_BOX), ("True", "Measured")),
        (boxes(("server", SERVER)), (GUARD_BOX, SERVER_BOX), ("Unknown", "NotMeasured")),
        (boxes(("server", LOOSE)), (box("server", LOOSE),), ("False", "ThresholdExceeded")),
        (boxes(("server", SERVER)), (box("server", LOOSE),), ("Unknown", "NotMeasured")),
        (boxes(("server", SERVER)), (box("server", SERVER, memory="512Mi"),), ("False", "ThresholdExceeded")),
        (boxes(("server", SERVER), age=70), (SERVER_BOX,), ("Unknown", "ProbeFailed")),
    ],
    ids=["all limits", "one not measured", "no limits", "restarted since", "looser than declared", "stale sample"],
)
def test_clause_30_is_true_where_every_live_cgroup_bites(
    looks: tuple[Measurement, ...], live: tuple[ObservedContainer, ...], expected: tuple[str, str]
) -> None:
    assert verdict(world(looks, observed_pod(*live)), 30) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [(open_inference(), ("True", "Serving")), (lambda *_: (503, b""), ("False", "CanaryFailed"))],
    ids=["answers", "does not"],
)
async def test_ready_follows_the_answer(page: Page, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    live = pod("breast-screening-0", uid=POD)
    with listening(web(context(), page)) as (host, port):
        monkeypatch.setattr("verticalmodel.api.names.GUARD_PORT", port)
        running = tuple(Container(one.name, one.container_id, running=True) for one in live.containers)
        asked = Pod(live.name, live.uid, "breast-screening", "node1", host, ready=True, containers=running)
        measured = Model("radiology", "breast-screening", "uid-m", (asked,), None, {})
        found = await ask(measured, asked, Trust.from_pem(authority().pem), 1)

    seen = replace(world([found], live), model=model(replicas=1)).observed()
    rollup = ready(seen, live.template_digest)
    assert (rollup.status, rollup.reason) == expected


def test_evidence_expires_when_the_standard_says_and_not_when_the_prober_would_like() -> None:
    looks = boxes(("guard", GUARD), ("server", SERVER))
    found = world(looks, observed_pod(GUARD_BOX, SERVER_BOX))
    later = replace(found, now=found.now + timedelta(seconds=601))

    assert verdict(later, 30) == ("Unknown", "EvidenceExpired")
