"""What a node and a server report of themselves, and who is answered: of real servers, and as the judge reads it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from unit.builders import World, clause, pod, standard
from unit.probe_servers import METADATA, Page, authority, closing, context, listening, open_inference, web
from verticalmodel.api import names
from verticalmodel.api.evidence import Binding
from verticalmodel.facts import ObservedPod
from verticalmodel.judge.judge import judge
from verticalmodel.probe.framework import framework, reported
from verticalmodel.probe.measurement import Measurement
from verticalmodel.probe.model import Model
from verticalmodel.probe.operating_system import operating_systems
from verticalmodel.probe.tenants import outcome, tenants
from verticalmodel.probe.trust import Trust
from verticalmodel.probe.world import Container, Node, Pod, Speaks

NAME = "breast-screening"
LIVE = pod(f"{NAME}-a")
RUNNING = tuple(Container(one.name, one.container_id, running=True) for one in LIVE.containers)
SERVER = next(one.container_id for one in LIVE.containers if one.name == names.CONTAINER_SERVER)[:12]


def asked(ip: str = "127.0.0.1", node: str = LIVE.node) -> Pod:
    return Pod(LIVE.name, LIVE.uid, NAME, node, ip, ready=True, containers=RUNNING)


def model(*, protocol: str = "open-inference-v2") -> Model:
    return Model("radiology", NAME, "uid-m", (asked(),), None, {}, Speaks(protocol=protocol))


def verdict(number: int, looks: Iterable[Measurement], live: ObservedPod = LIVE) -> tuple[str, str]:
    """What the judge makes of these looks at the one pod."""
    now = datetime.now(UTC)
    drafts = tuple(look.draft(source="prober", load=0.1, lifetime=600) for look in looks)
    world = World(pods=(live,), service=None, drafts=drafts, now=now, managed_at=now, standard=standard(clause(number)))
    (found,) = judge(world.observed())
    return found.status, found.reason


def system(**changes: str) -> tuple[Measurement, ...]:
    told = {"operating_system": "linux", "os_image": "Debian GNU/Linux 13", "kernel": "6.12.0", **changes}
    node = Node(LIVE.node, "10.0.0.2", 10250, **told)
    return operating_systems([asked(), asked(node="away")], {node.name: node}, datetime.now(UTC))


def test_a_pods_system_is_the_one_that_its_node_reports_and_a_pod_of_an_unknown_node_is_not_spoken_of() -> None:
    (found,) = system()
    assert (found.instance, found.value, found.binding) == (f"pod/{LIVE.name}", 1.0, Binding(pod_uid=LIVE.uid))
    assert found.observations == {
        "node": LIVE.node,
        "operatingSystem": "linux",
        "osImage": "Debian GNU/Linux 13",
        "kernel": "6.12.0",
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("True", "Measured")),
        ({"operating_system": "windows", "kernel": "10.0.20348.2762"}, ("True", "Measured")),
        ({"operating_system": "windows", "kernel": "10.0.17763"}, ("False", "ThresholdExceeded")),
        ({"operating_system": ""}, ("Unknown", "ProbeFailed")),
    ],
    ids=["linux", "Windows Server 2022", "Windows Server 2019", "a node that says nothing"],
)
def test_clause_5_is_true_for_linux_and_windows_server_2022(changes: dict[str, str], expected: tuple[str, str]) -> None:
    assert verdict(5, system(**changes)) == expected


def serving(**metadata: Any) -> Page:
    """A server whose metadata say this of the platform."""

    def page(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if method == "GET":
            return 200, json.dumps({**METADATA, **metadata}).encode()
        return open_inference()(method, path, body)

    return page


async def framework_of(page: Page, port_is: Callable[[int], None], protocol: str = "open-inference-v2") -> Measurement:
    with listening(web(context(), page)) as (_, port):
        port_is(port)
        return await framework(model(protocol=protocol), asked(), Trust.from_pem(authority().pem))


@pytest.fixture
def port_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let another port stand for the guard's: two runs beside each other cannot both have 8443."""
    return lambda port: monkeypatch.setattr(names, "GUARD_PORT", port)


PYTORCH = {"producer_name": "pytorch", "producer_version": "1.10.2", "opset/ai.onnx": "9"}


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (serving(platform="onnx_onnxv1", properties=PYTORCH), ("True", "Measured")),
        (
            serving(platform="onnx_onnxv1", properties={**PYTORCH, "producer_version": "1.9"}),
            ("False", "ThresholdExceeded"),
        ),
        (serving(platform="pytorch", properties={"framework_version": "2.4.0"}), ("True", "Measured")),
        (serving(platform="onnx_onnxv1"), ("Unknown", "NotMeasured")),
        (serving(platform=""), ("Unknown", "ProbeFailed")),
        (lambda *_: (503, b""), ("Unknown", "ProbeFailed")),
        (lambda *_: (200, b"[]"), ("Unknown", "ProbeFailed")),
    ],
    ids=["by PyTorch 1.10", "by PyTorch 1.9", "runs PyTorch", "no version", "no platform", "no metadata", "nonsense"],
)
async def test_clause_6_goes_by_what_the_server_says(
    page: Page, expected: tuple[str, str], port_is: Callable[[int], None]
) -> None:
    assert verdict(6, [await framework_of(page, port_is)]) == expected


async def test_what_a_server_reports_is_kept_with_the_server_that_said_it(port_is: Callable[[int], None]) -> None:
    found = await framework_of(serving(platform="onnx_onnxv1", properties=PYTORCH), port_is)
    assert (found.value, found.binding) == (1.0, Binding(pod_uid=LIVE.uid))
    assert found.observations == {
        "platform": "onnx_onnxv1",
        "producer": "pytorch",
        "producerVersion": "1.10.2",
        "opset": "9",
        "container": SERVER,
    }


async def test_a_protocol_without_metadata_says_nothing_of_the_framework(port_is: Callable[[int], None]) -> None:
    found = await framework_of(serving(platform="onnx_onnxv1"), port_is, protocol="openai")
    assert found.observations["failure"] == "inconclusive protocol openai tells nothing of the framework"
    assert found.value is None


def test_a_report_is_cut_and_made_printable_and_what_is_no_text_is_left_out() -> None:
    said = {"producer_name": "py\x1b[31mtorch", "producer_version": "9" * 500, "runtime": 3, "framework_version": ""}
    assert reported({"platform": "onnx", "properties": said}) == {
        "platform": "onnx",
        "producer": "py?[31mtorch",
        "producerVersion": "9" * 120,
    }
    assert reported({"platform": "onnx", "properties": ["producer_name"]}) == {"platform": "onnx"}
    assert reported({"platform": 7}) == {}


def bearer(header: str) -> dict[str, Any]:
    """The claims of a bearer token."""
    claims = header.removeprefix("Bearer ").split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return found


DOORS: dict[str, tuple[Callable[[str], bool], dict[str, str], tuple[str, str]]] = {
    "no door": (
        lambda _: True,
        dict.fromkeys(("noToken", "wrongToken", "expiredToken"), "answered"),
        ("False", "ThresholdExceeded"),
    ),
    "any token opens": (
        bool,
        {"noToken": "refused 401", "wrongToken": "answered", "expiredToken": "answered"},
        ("False", "ThresholdExceeded"),
    ),
    "any token that is not over opens": (
        lambda header: bool(header) and bearer(header)["exp"] > time.time(),
        {"noToken": "refused 401", "wrongToken": "answered", "expiredToken": "refused 401"},
        ("False", "ThresholdExceeded"),
    ),
    "shut to everybody": (
        lambda _: False,
        dict.fromkeys(("noToken", "wrongToken", "expiredToken"), "refused 401"),
        ("Unknown", "ProbeFailed"),
    ),
}


@pytest.mark.parametrize(("token", "seen", "expected"), DOORS.values(), ids=DOORS)
async def test_clause_31_is_broken_by_an_answer_and_not_kept_by_refusals_alone(
    token: Callable[[str], bool], seen: dict[str, str], expected: tuple[str, str], port_is: Callable[[int], None]
) -> None:
    with listening(web(context(), open_inference(), token=token)) as (_, port):
        port_is(port)
        found = await tenants(model(), asked(), Trust.from_pem(authority().pem), 1)

    assert {name: found.observations[name] for name in seen} == seen
    answered = sum(one == "answered" for one in seen.values())
    assert found.value == (answered or None)
    assert found.observations["container"] == SERVER
    assert verdict(31, [found]) == expected


async def test_a_guard_that_drops_all_connections_says_nothing_of_its_tenants(port_is: Callable[[int], None]) -> None:
    with listening(closing) as (_, port):
        port_is(port)
        found = await tenants(model(), asked(), Trust.from_pem(authority().pem), 1)

    assert (found.value, found.observations["failure"]) == (None, "inconclusive connection")


@pytest.mark.parametrize(
    ("statuses", "said", "expected"),
    [
        ([200, 200], "good", "answered"),
        ([200, 200], "bad another id", "answered"),
        ([200], "bad metadata", "answered"),
        ([200], "inconclusive the metadata names no inputs; set sampleRequest", "answered"),
        ([200, 401], "bad 401", "answered"),
        ([401], "bad 401 for the metadata", "refused 401"),
        ([403], "bad 403", "refused 403"),
        ([503], "bad 503", "inconclusive bad 503"),
        ([], "inconclusive no answer", "inconclusive no answer"),
    ],
)
def test_status_200_is_an_answer_whatever_comes_with_it(statuses: list[int], said: str, expected: str) -> None:
    assert outcome(statuses, said) == expected


SPOILED = {
    "not JSON": b"<html>",
    "without inputs": b"{}",
    "longer than anybody reads": b" " * (2 * 1024 * 1024 + 1),
}


@pytest.mark.parametrize("metadata", SPOILED.values(), ids=SPOILED)
async def test_who_spoils_what_he_answers_has_answered(metadata: bytes, port_is: Callable[[int], None]) -> None:
    with listening(web(context(), lambda *_: (200, metadata))) as (_, port):
        port_is(port)
        found = await tenants(model(), asked(), Trust.from_pem(authority().pem), 1)

    assert {found.observations[name] for name in ("noToken", "wrongToken", "expiredToken")} == {"answered"}
    assert verdict(31, [found]) == ("False", "ThresholdExceeded")
