"""Does it answer: one inference per pod, against real servers, and what makes an answer good."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.probe_servers import (
    METADATA,
    Handler,
    Page,
    authority,
    closing,
    context,
    hanging,
    listening,
    open_inference,
    web,
)
from verticalmodel.api import names
from verticalmodel.probe.canary import ask
from verticalmodel.probe.conversation import AnswerLimits
from verticalmodel.probe.measurement import Measurement
from verticalmodel.probe.model import Model
from verticalmodel.probe.openinference import UnusableError, answer_fault, request_body
from verticalmodel.probe.trust import Trust
from verticalmodel.probe.world import Container, Pod, Speaks

NAME, NONCE = "breast-screening", "canary-1"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A free port that stands for the guard's: two runs beside each other cannot both have 8443."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number: int = listener.getsockname()[1]
    monkeypatch.setattr(names, "GUARD_PORT", number)
    return number


def pod(ip: str = "127.0.0.1") -> Pod:
    containers = (Container("guard", "a" * 64, running=True), Container("server", "b" * 64, running=True))
    return Pod("breast-screening-0", "uid-1", NAME, "node-1", ip, ready=True, containers=containers)


def model(sample: str = "") -> Model:
    return Model("radiology", NAME, "uid-m", (pod(),), None, {}, Speaks(sample_request=sample))


async def answer(handle: Handler, port: int, sample: str = "", limits: AnswerLimits = AnswerLimits()) -> Measurement:  # noqa: B008
    with listening(handle, port=port):
        return await ask(model(sample), pod(), Trust.from_pem(authority().pem), 1, limits)


async def test_a_model_that_answers_is_good_and_the_value_is_how_long_it_took(port: int) -> None:
    found = await answer(web(context(), open_inference()), port)

    assert found.observations == {"answer": "good", "container": "b" * 12}
    assert (found.instance, found.unit, found.samples) == ("pod/breast-screening-0", "s", 1)
    assert found.value == found.window_seconds > 0
    assert found.binding.pod_uid == "uid-1"


async def test_the_sample_request_is_sent_with_our_nonce_in_the_place_of_its_id(port: int) -> None:
    seen: list[Any] = []

    def page(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        seen.append(json.loads(body) if body else None)
        return open_inference()(method, path, body)

    sample = {"id": "sample", "inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [7, 8, 9]}]}
    found = await answer(web(context(), page), port, json.dumps(sample))

    assert found.observations["answer"] == "good"
    assert seen[1]["inputs"] == sample["inputs"]
    assert seen[1]["id"].startswith("canary-")


async def test_no_two_requests_are_alike(port: int) -> None:
    bodies: list[Mapping[str, Any]] = []

    def page(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if body:
            bodies.append(json.loads(body))
        return open_inference()(method, path, body)

    with listening(web(context(), page), port=port):
        for turn in range(2):
            await ask(model(), pod(), Trust.from_pem(authority().pem), turn)

    first, second = bodies
    assert first["id"] != second["id"]
    assert first["inputs"] != second["inputs"]


def failing(status: int, path: str) -> Page:
    def page(method: str, asked: str, body: bytes) -> tuple[int, bytes]:
        return (status, b"{}") if asked.endswith(path) else open_inference()(method, asked, body)

    return page


@pytest.mark.parametrize(
    ("page", "verdict"),
    [
        (failing(503, "/infer"), "bad 503"),
        (failing(302, "/infer"), "bad 302"),
        (failing(200, "/infer"), "bad another model_name"),
        (failing(403, NAME), "bad 403 for the metadata"),
        (lambda *_: (200, b"<html>"), "bad metadata"),
    ],
    ids=["unavailable", "redirect", "empty object", "no metadata", "no JSON"],
)
async def test_a_bad_answer_is_measured_as_bad(page: Page, verdict: str, port: int) -> None:
    found = await answer(web(context(), page), port)

    assert (found.conclusive, found.observations["answer"]) == (True, verdict)


async def test_a_server_that_never_answers_is_bad_because_tls_stood(port: int) -> None:
    release = threading.Event()

    def page(*_: object) -> tuple[int, bytes]:
        release.wait(30)
        return 200, b""

    with listening(web(context(), page), port=port):
        found = await ask(model(), pod(), Trust.from_pem(authority().pem), 1, AnswerLimits(connect=5.0, answer=0.3))
        release.set()

    assert (found.conclusive, found.observations["answer"]) == (True, "bad timeout")


async def test_a_connection_cut_after_tls_is_bad(port: int) -> None:
    def cut(connection: socket.socket) -> None:
        with context().wrap_socket(connection, server_side=True) as shaken:
            shaken.recv(1)

    found = await answer(cut, port)

    assert (found.conclusive, found.observations["answer"]) == (True, "bad connection broke")


async def test_a_guard_that_cannot_be_reached_says_nothing_about_the_model(port: int) -> None:
    found = await ask(model(), pod(), Trust.from_pem(authority().pem), 1)

    assert (found.value, found.observations["answer"]) == (None, "inconclusive connection")


async def test_a_guard_that_hangs_in_the_handshake_says_nothing_about_the_model(port: int) -> None:
    release = threading.Event()
    with listening(hanging(release), port=port):
        found = await ask(model(), pod(), Trust.from_pem(authority().pem), 1, AnswerLimits(connect=0.3, answer=0.3))
        release.set()

    assert (found.value, found.observations["answer"]) == (None, "inconclusive timeout")


@pytest.mark.parametrize(
    ("handle", "verdict"),
    [
        (web(context(certificate=authority("impostor").issue()), open_inference()), "inconclusive certificate"),
        (closing, "inconclusive connection"),
    ],
    ids=["impostor", "no TLS"],
)
async def test_an_unverified_guard_says_nothing_about_the_model(handle: Handler, verdict: str, port: int) -> None:
    found = await answer(handle, port)

    assert (found.value, found.observations["answer"]) == (None, verdict)


async def test_an_answer_without_end_is_cut_off_and_blamed_on_nobody(port: int) -> None:
    def page(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        return open_inference()(method, path, body) if method == "GET" else (200, b" " * (3 * 1024 * 1024))

    found = await answer(web(context(), page), port)

    assert found.value is None
    assert found.observations["answer"].startswith("inconclusive the answer has more than ")


async def test_many_canaries_at_once_keep_their_answers_apart(port: int) -> None:
    with listening(web(context(), open_inference()), port=port):
        found = await asyncio.gather(*(ask(model(), pod(), Trust.from_pem(authority().pem), turn) for turn in range(8)))

    assert [one.observations["answer"] for one in found] == ["good"] * 8


TYPES = ["BOOL", "UINT8", "UINT64", "INT8", "INT32", "FP16", "FP32", "FP64", "BYTES"]


@given(
    st.lists(st.tuples(st.sampled_from(TYPES), st.lists(st.integers(-1, 5), max_size=4)), min_size=1, max_size=4),
    st.integers(0, 10_000),
)
def test_a_formed_request_fits_the_metadata(inputs: list[tuple[str, list[int]]], turn: int) -> None:
    metadata = {
        "inputs": [{"name": f"i{n}", "datatype": kind, "shape": shape} for n, (kind, shape) in enumerate(inputs)]
    }

    request = json.loads(request_body(metadata, "", nonce=NONCE, turn=turn))

    assert request["id"] == NONCE
    for (kind, shape), made in zip(inputs, request["inputs"], strict=True):
        assert (made["datatype"], made["shape"]) == (kind, [1 if length < 0 else length for length in shape])
        count = 1
        for length in made["shape"]:
            count *= length
        assert len(made["data"]) == count
        assert all(0 <= float(value) <= 10 for value in made["data"])


@pytest.mark.parametrize(
    ("metadata", "sample", "why"),
    [
        ({}, "", "names no inputs"),
        ({"inputs": []}, "", "names no inputs"),
        ({"inputs": ["features"]}, "", "are not objects"),
        ({"inputs": [{"name": "a", "datatype": "FP32"}]}, "", "lack name, datatype or shape"),
        ({"inputs": [{"name": "a", "datatype": "COMPLEX", "shape": [1]}]}, "", "unknown datatype"),
        ({"inputs": [{"name": "a", "datatype": "FP32", "shape": [3, 4096, 4096]}]}, "", "more than 262144"),
        ({}, "{", "sampleRequest is not JSON"),
        ({}, "[]", "sampleRequest is not an object"),
        ({}, '{"a": ' * 300 + "1" + "}" * 300, "sampleRequest is nested too deep"),
    ],
)
def test_where_no_harmless_request_can_be_formed_the_reason_names_the_remedy(
    metadata: dict[str, Any], sample: str, why: str
) -> None:
    with pytest.raises(UnusableError, match=why):
        request_body(metadata, sample, nonce=NONCE, turn=0)


def output(**changes: Any) -> dict[str, Any]:
    return {"name": "label", "datatype": "INT64", "shape": [1, 2], "data": [1, 2], **changes}


def fault(answer: object, outputs: list[dict[str, Any]] | None = None) -> str:
    metadata = {**METADATA, "outputs": outputs} if outputs is not None else METADATA
    return answer_fault(json.dumps(answer).encode(), metadata, model=NAME, nonce=NONCE)


GOOD = {"model_name": NAME, "id": NONCE, "outputs": [{"name": "label", "datatype": "INT64", "shape": [1], "data": [1]}]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ""),
        ({"id": "another"}, "another id"),
        ({"id": None}, "another id"),
        ({"model_name": "other"}, "another model_name"),
        ({"outputs": []}, "no outputs"),
        ({"outputs": [{"datatype": "INT64"}]}, "an output without a name"),
        ({"outputs": [output(name="secret")]}, "output secret is not in the metadata"),
        ({"outputs": [output()]}, "output label has another shape than the metadata says"),
        ({"outputs": [output(shape=[2], data=[1])]}, "output label has 1 elements for another shape"),
        ({"outputs": [output(shape=None)]}, "output label has no shape"),
        ({"outputs": [output(shape=[1] * 17)]}, "output label has no shape"),
        ({"outputs": [output(shape=[True], data=[1])]}, "output label has no shape"),
        ({"outputs": [output(shape=[2], data=[1, "2"])]}, "output label holds other than finite INT64"),
        ({"outputs": [output(shape=[2], data=[1, 2.5])]}, "output label holds other than finite INT64"),
        ({"outputs": [output(shape=[2], data=None)]}, "output label has 0 elements for another shape"),
        ({"outputs": [output(datatype="TEXT", shape=[2])]}, "output label has an unknown datatype"),
    ],
)
def test_an_answer_is_good_only_as_a_whole(change: dict[str, Any], expected: str) -> None:
    assert fault({**GOOD, **change}) == expected


def test_nested_data_is_read_row_by_row() -> None:
    nested = {**GOOD, "outputs": [output(shape=[2, 2], data=[[1, 2], [3, 4]])]}

    assert fault(nested, outputs=[]) == ""


@pytest.mark.parametrize("data", [[[1, 2], 3], [[1], 2], [1, [2]]], ids=["too many", "too few", "flat first"])
def test_rows_and_elements_in_one_list_are_no_answer(data: list[object]) -> None:
    mixed = {**GOOD, "outputs": [output(shape=[2], data=data)]}
    assert fault(mixed, outputs=[]) == "output label holds other than finite INT64"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_no_answer(number: str) -> None:
    output = f'{{"name": "p", "datatype": "FP32", "shape": [1], "data": [{number}]}}'
    body = f'{{"model_name": "{NAME}", "id": "{NONCE}", "outputs": [{output}]}}'

    assert answer_fault(body.encode(), {}, model=NAME, nonce=NONCE) != ""


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reading_of_an_answer(body: bytes) -> None:
    assert answer_fault(body, METADATA, model=NAME, nonce=NONCE)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-(2**63), 2**63) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "shape", "data"]), inner, max_size=3)
    ),
    max_leaves=15,
)


@settings(max_examples=50)
@given(json_values, json_values)
def test_no_json_crashes_the_reading_of_an_answer(outputs: object, declared: object) -> None:
    body = json.dumps({**GOOD, "outputs": outputs}).encode()

    assert isinstance(answer_fault(body, {"outputs": declared}, model=NAME, nonce=NONCE), str)


@pytest.mark.parametrize("inputs", [2, 300], ids=["too many elements in all", "too many inputs"])
def test_many_inputs_are_no_way_to_exhaust_the_prober(inputs: int) -> None:
    length = 200_000 if inputs == 2 else 1
    metadata = {"inputs": [{"name": f"i{n}", "datatype": "FP32", "shape": [length]} for n in range(inputs)]}
    with pytest.raises(UnusableError, match="more than"):
        request_body(metadata, "", nonce=NONCE, turn=1)
