"""The canary speaks what the model's runtime speaks, and calls good only what is an answer of that protocol."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from unit.probe_servers import Page, authority, context, listening, web
from verticalmodel.api import names
from verticalmodel.probe.canary import ask
from verticalmodel.probe.conversation import limits_for
from verticalmodel.probe.model import Model
from verticalmodel.probe.openai import answer_fault, request
from verticalmodel.probe.openinference import UnusableError
from verticalmodel.probe.projection import speaks_from
from verticalmodel.probe.trust import Trust
from verticalmodel.probe.world import Container, Pod, Speaks

NAME = "breast-screening"
COMPLETION = {"model": NAME, "choices": [{"index": 0, "text": "!"}]}
CHAT = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A free port that stands for the guard's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number: int = listener.getsockname()[1]
    monkeypatch.setattr(names, "GUARD_PORT", number)
    return number


async def answer(page: Page, port: int, speaks: Speaks) -> str:
    containers = (Container("guard", "a" * 64, running=True),)
    pod = Pod("p", "uid-1", NAME, "node-1", "127.0.0.1", ready=True, containers=containers)
    model = Model("radiology", NAME, "uid-m", (pod,), None, {}, speaks)
    with listening(web(context(), page), port=port):
        found = await ask(model, pod, Trust.from_pem(authority().pem), 1)
    return str(found.observations["answer"])


async def test_a_language_model_is_asked_for_one_token(port: int) -> None:
    asked: list[tuple[str, str, dict[str, Any]]] = []

    def page(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        asked.append((method, path, json.loads(body)))
        return 200, json.dumps(COMPLETION).encode()

    assert await answer(page, port, Speaks("openai")) == "good"
    ((method, path, body),) = asked
    assert (method, path, body["model"], body["max_tokens"]) == ("POST", "/v1/completions", NAME, 1)
    assert body["prompt"].startswith("canary-")


@pytest.mark.parametrize(("timeout", "patience"), [(5, 5.0), (45, 45.0), (3600, 60.0)])
def test_a_canary_waits_as_long_as_a_client_would_and_a_minute_at_the_most(timeout: int, patience: float) -> None:
    assert limits_for(speaks_from({"spec": {"timeoutSeconds": timeout}})).answer == patience


@pytest.mark.parametrize(
    ("status", "verdict"), [(200, "good"), (500, "bad 500"), (404, "bad 404")], ids=["ok", "error", "no such call"]
)
async def test_a_custom_server_is_judged_by_its_status(status: int, verdict: str, port: int) -> None:
    speaks = Speaks("Custom", sample_request='{"value": 1}', path="/score")
    assert await answer(lambda *_: (status, b""), port, speaks) == verdict


@pytest.mark.parametrize(
    "speaks",
    [Speaks("Custom", path="/score"), Speaks("Custom", sample_request="{}"), Speaks("a-later-one")],
    ids=["no sample", "no route with POST", "unknown protocol"],
)
async def test_what_cannot_be_asked_says_nothing_about_the_model(speaks: Speaks, port: int) -> None:
    assert (await answer(lambda *_: (500, b""), port, speaks)).startswith("inconclusive")


@pytest.mark.parametrize(
    ("sample", "path"),
    [(CHAT, "/v1/chat/completions"), ({"input": "hello"}, "/v1/embeddings"), ({"prompt": "a"}, "/v1/completions")],
)
def test_the_samples_field_tells_the_call_and_the_model_is_ours(sample: dict[str, Any], path: str) -> None:
    called, body = request(json.dumps(sample | {"model": "another"}), model=NAME, nonce="n")
    assert (called, json.loads(body)) == (path, sample | {"model": NAME})


def test_a_sample_that_streams_is_refused_with_the_remedy() -> None:
    with pytest.raises(UnusableError, match="leave out stream"):
        request(json.dumps(CHAT | {"stream": True}), model=NAME, nonce="n")


@pytest.mark.parametrize(
    ("said", "path", "fault"),
    [
        (COMPLETION, "/v1/completions", ""),
        (COMPLETION | {"choices": [{"text": ""}]}, "/v1/completions", ""),
        ({"model": NAME, "choices": [{"message": {"content": "a"}}]}, "/v1/chat/completions", ""),
        ({"model": NAME, "data": [{"embedding": [0.1]}]}, "/v1/embeddings", ""),
        (COMPLETION | {"model": "another"}, "/v1/completions", "another model"),
        (COMPLETION | {"choices": []}, "/v1/completions", "no choices"),
        (COMPLETION | {"choices": ["a"]}, "/v1/completions", "choices without a result"),
        (COMPLETION, "/v1/chat/completions", "choices without a result"),
        ({"model": NAME, "data": [{"embedding": []}]}, "/v1/embeddings", "data without a result"),
        ({"error": {"message": "overloaded"}}, "/v1/completions", "another model"),
        ([], "/v1/completions", "not an object"),
    ],
)
def test_an_answer_of_a_language_model_is_good_only_as_a_whole(said: object, path: str, fault: str) -> None:
    assert answer_fault(json.dumps(said).encode(), path=path, model=NAME) == fault


def test_no_json_is_no_answer() -> None:
    assert answer_fault(b"<html>", path="/v1/completions", model=NAME) == "not JSON"


def test_a_runtime_says_what_it_speaks() -> None:
    routes = [{"path": "/about", "method": "GET"}, {"path": "/score", "method": "POST"}]
    spec = {"protocol": "Custom", "routes": routes, "sampleRequest": "{}"}
    assert speaks_from({"spec": spec}) == Speaks("Custom", "{}", "/score")
    assert speaks_from({"spec": {}}) == Speaks("open-inference-v2", "", "")
