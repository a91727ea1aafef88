"""The stranger's errand over real sockets: what it tries, what it brings back, and what the prober makes of it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from verticalmodel.api import names
from verticalmodel.api.evidence import Binding
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.kubeconfig import Access
from verticalmodel.probe.isolation import Control, chosen, errand, isolation
from verticalmodel.probe.measurement import Measurement
from verticalmodel.probe.model import FAR, NEAR, Model
from verticalmodel.probe.world import Container, Pod, Service, Stranger
from verticalmodel.stranger.__main__ import application
from verticalmodel.stranger.attempts import connect, outcome_of
from verticalmodel.stranger.errand import MOST_TARGETS, Address

HERE = "127.0.0.1"
CONTAINERS = (Container("guard", "g" * 64, running=True), Container("server", "s" * 64, running=True))
POD = Pod("m-0", "uid-0", "m", "node-1", HERE, ready=True, containers=CONTAINERS)


@contextmanager
def open_port() -> Iterator[int]:
    """A port that takes connections."""
    with socket.create_server((HERE, 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def shut_port() -> Iterator[int]:
    """A port of which everybody is refused: bound, so that nobody else gets it, and not listened on."""
    with socket.socket() as bound:
        bound.bind((HERE, 0))
        yield bound.getsockname()[1]


def address(port: int) -> Address:
    return Address.model_validate({"host": HERE, "port": port})


@asynccontextmanager
async def api_server(statuses: Mapping[str, int]) -> AsyncIterator[Connection]:
    """An API server that answers each path by the status of the first word that it contains, else 403."""

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("selfsubjectreviews"):
            return web.Response(status=statuses.get("selfsubjectreviews", 201))
        return web.Response(status=next((code for word, code in statuses.items() if word in request.path), 403))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server, Connection.to(Access(f"http://{HERE}:{server.port}")) as connection:
        yield connection


@asynccontextmanager
async def stranger(monkeypatch: pytest.MonkeyPatch, statuses: Mapping[str, int] | None = None) -> AsyncIterator[None]:
    """A stranger that waits for errands, on a port of its own."""
    async with api_server(statuses or {}) as connection, TestServer(application(connection)) as server:
        monkeypatch.setattr(names, "STRANGER_PORT", server.port)
        yield


def model(*on: str, service: Service | None = None) -> Model:
    """A model of one pod, and strangers on these nodes."""
    strangers = {node: Stranger(f"uid-{node}", node, HERE) for node in on}
    return Model("radiology", "m", "uid-m", (POD,), service, {}, strangers=strangers)


async def sent(
    monkeypatch: pytest.MonkeyPatch, *, guard: int, drain: int, control: int, statuses: Mapping[str, int] | None = None
) -> Measurement:
    """What comes of the near errand with these ports."""
    monkeypatch.setattr(names, "GUARD_PORT", guard)
    monkeypatch.setattr(names, "DRAIN_PORT", drain)
    async with stranger(monkeypatch, statuses):
        return await isolation(model("node-1"), POD, NEAR, 0, Control(HERE, control))


async def test_who_is_refused_everything_brings_back_refusals_and_the_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prober and stranger stand in one place here, so the guard's port is open to both: one crossing."""
    with open_port() as guard, shut_port() as drain, open_port() as control:
        found = await sent(monkeypatch, guard=guard, drain=drain, control=control)

    seen = dict(found.observations)
    assert float(seen.pop("control.gapSeconds")) < 5
    assert seen == {
        f"net.{guard}": "connected",
        f"net.{drain}": "refused",
        "net.service": "there is none",
        "api.secrets": "refused 403",
        "api.persistentvolumeclaims": "refused 403",
        "api.log": "refused 403",
        "control.before": "connected",
        "control.after": "connected",
        "control.identity": "answered 201",
        "target.before": "connected",
        "target.after": "connected",
        "from": "node-1",
        "stranger": "uid-node-1",
    }
    assert (found.key, found.value, found.unit) == (("scenarios-isolated", "pod/m-0/near"), 1.0, "crossings")
    assert found.binding == Binding(pod_uid="uid-0")


@pytest.mark.parametrize(
    ("statuses", "value", "seen"),
    [
        ({"secrets": 200}, 1.0, {"api.secrets": "answered 200"}),
        ({"/log": 404}, 1.0, {"api.log": "answered 404"}),
        ({"/log": 503}, None, {"api.log": "inconclusive 503"}),
        ({"selfsubjectreviews": 401}, None, {"control.identity": "refused 401"}),
    ],
    ids=["Secrets are shown", "a log is looked for", "nobody decides", "nobody is known"],
)
async def test_what_the_api_shows_to_a_stranger_is_a_crossing(
    statuses: dict[str, int], value: float | None, seen: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with shut_port() as guard, shut_port() as drain, open_port() as control:
        found = await sent(monkeypatch, guard=guard, drain=drain, control=control, statuses=statuses)

    assert {name: found.observations[name] for name in seen} == seen
    assert found.value == value


async def test_without_a_control_refusals_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with shut_port() as guard, shut_port() as drain, shut_port() as control:
        found = await sent(monkeypatch, guard=guard, drain=drain, control=control)

    assert found.value is None
    assert found.observations["failure"] == (
        "controls failed: target.before, target.after, control.before, control.after"
    )


@pytest.mark.parametrize(
    ("on", "where", "control", "failure"),
    [
        ((), NEAR, Control(HERE, 1), "no stranger runs on this node"),
        (("node-1",), FAR, Control(HERE, 1), "no stranger runs on another node"),
        (("node-2",), NEAR, Control(HERE, 1), "no stranger runs on this node"),
        (
            ("node-1",),
            NEAR,
            Control("", 1),
            "the prober does not know its own address (POD_IP), so there is no control",
        ),
    ],
)
async def test_where_nobody_can_be_sent_nothing_is_known(
    on: tuple[str, ...], where: str, control: Control, failure: str
) -> None:
    found = await isolation(model(*on), POD, where, 0, control)
    assert (found.value, found.observations) == (None, {"failure": failure})


async def test_a_stranger_that_is_gone_or_talks_nonsense_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nonsense(_: web.Request) -> web.Response:
        return web.Response(text="[]")

    app = web.Application()
    app.router.add_post("/errands", nonsense)
    with open_port() as guard, shut_port() as nobody:
        monkeypatch.setattr(names, "GUARD_PORT", guard)
        monkeypatch.setattr(names, "STRANGER_PORT", nobody)
        gone = await isolation(model("node-1"), POD, NEAR, 0, Control(HERE, guard))
        async with TestServer(app) as server:
            monkeypatch.setattr(names, "STRANGER_PORT", server.port)
            odd = await isolation(model("node-1"), POD, NEAR, 0, Control(HERE, guard))

    assert (gone.value, gone.observations["failure"]) == (None, "the stranger cannot be reached")
    assert (odd.value, odd.observations["failure"]) == (None, "the stranger did not answer by a report")


def test_strangers_afar_take_turns_and_the_one_near_by_is_always_the_same() -> None:
    strangers = model("node-1", "node-2", "node-3").strangers
    assert [chosen(strangers, POD, FAR, turn) for turn in range(3)] == [
        strangers["node-2"],
        strangers["node-3"],
        strangers["node-2"],
    ]
    assert {chosen(strangers, POD, NEAR, turn) for turn in range(3)} == {strangers["node-1"]}


def test_an_errand_names_the_guards_ports_the_declared_ones_and_the_service() -> None:
    one = errand(model(service=Service("m", "u", "10.96.0.9")), replace(POD, ports=(8080, 8443)), Control(HERE, 8082))
    assert {name: (str(at.host), at.port) for name, at in one.targets.items()} == {
        "8443": (HERE, 8443),
        "8444": (HERE, 8444),
        "8080": (HERE, 8080),
        "service": ("10.96.0.9", 443),
    }
    assert (one.namespace, one.pod, one.control) == ("radiology", "m-0", address(8082))


async def test_ports_that_an_errand_cannot_hold_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    many = replace(POD, ports=tuple(range(20_001, 20_001 + MOST_TARGETS)))
    assert len(errand(model(), many, Control(HERE, 1)).targets) == MOST_TARGETS - 1
    with shut_port() as shut:
        monkeypatch.setattr(names, "STRANGER_PORT", shut)
        found = await isolation(model("node-1"), many, NEAR, 0, Control(HERE, shut))
    assert found.observations["portsLeftOut"] == "3"


async def test_a_connection_is_had_or_refused() -> None:
    with open_port() as there, shut_port() as shut:
        assert (await connect(address(there)), await connect(address(shut))) == ("connected", "refused")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "answered 200"),
        (400, "answered 400"),
        (404, "answered 404"),
        (401, "refused 401"),
        (403, "refused 403"),
        (429, "inconclusive 429"),
        (500, "inconclusive 500"),
    ],
)
def test_whatever_comes_after_the_authorizers_yes_is_an_answer(status: int, outcome: str) -> None:
    assert outcome_of(status) == outcome


GOOD: dict[str, Any] = {
    "namespace": "radiology",
    "pod": "m-0",
    "targets": {"8443": {"host": "10.0.0.1", "port": 8443}},
    "control": {"host": "10.0.0.2", "port": 8082},
}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"namespace": "../kube-system"}, "namespace"),
        ({"pod": "m-0/exec?command=sh"}, "pod"),
        ({"targets": {}}, "targets"),
        ({"targets": {str(n): {"host": "10.0.0.1", "port": 1} for n in range(MOST_TARGETS + 1)}}, "targets"),
        ({"targets": {"8443": {"host": "example.com", "port": 1}}}, "targets.8443.host"),
        ({"control": {"host": "10.0.0.2", "port": 0}}, "control.port"),
        ({"command": "id"}, "command"),
    ],
)
async def test_what_is_no_errand_is_refused_by_its_field(
    change: dict[str, Any], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api_server({}) as connection, TestClient(TestServer(application(connection))) as client:
        answer = await client.post("/errands", json={**GOOD, **change})
        assert (answer.status, await answer.text()) == (400, f"not an errand: {field}\n")
        assert (await client.get("/livez")).status == 200
