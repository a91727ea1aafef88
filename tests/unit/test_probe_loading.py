"""Clause 33's canary model: what a server must do to be told that it loads models, and what tells nothing."""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from unit.probe_servers import Page, authority, context, listening, open_inference, web
from verticalmodel.api import names
from verticalmodel.probe.conversation import AnswerLimits
from verticalmodel.probe.loading import loading
from verticalmodel.probe.measurement import Measurement
from verticalmodel.probe.model import Model
from verticalmodel.probe.trust import Trust
from verticalmodel.probe.world import Container, Pod

NAME = "breast-screening"
_LOAD = re.compile(r"/v2/repository/models/(canary-[0-9a-f]{32})/load")


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A free port that stands for the guard's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number: int = listener.getsockname()[1]
    monkeypatch.setattr(names, "GUARD_PORT", number)
    return number


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    """A folder with a certificate; these servers ask for none."""
    certificate, key = authority("prober").issue("prober")
    (tmp_path / "tls.crt").write_text(certificate)
    (tmp_path / "tls.key").write_text(key)
    return tmp_path


def _factor(model: bytes) -> float:
    """The number in a canary: a server of this test reads it as ONNX Runtime would."""
    at = model.index(b"factorJ") + len(b"factorJ") + 1
    (factor,) = struct.unpack("<f", model[at : at + 4])
    return float(factor)


@dataclass
class Server:
    """A model server with the repository extension, and what it does wrong by the name of a step."""

    wrong: dict[str, tuple[int, Any]] = field(default_factory=dict)
    loaded: dict[str, float] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def page(self) -> Page:
        """Its answers."""
        served = open_inference()

        def page(method: str, path: str, body: bytes) -> tuple[int, bytes]:
            if "canary-" not in path:
                return served(method, path, body)
            step = path.rsplit("/", 1)[-1]
            self.asked.append(step)
            if step in self.wrong:
                status, told = self.wrong[step]
                return status, json.dumps(told).encode()
            return 200, json.dumps(self._do(step, path, json.loads(body))).encode()

        return page

    def _do(self, step: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        name = path.split("/")[-2]
        if step == "load":
            assert _LOAD.fullmatch(path)
            self.loaded[name] = _factor(base64.b64decode(body["parameters"]["file:1/model.onnx"]))
            return {}
        if step == "unload":
            del self.loaded[name]
            return {}
        (tensor,) = body["inputs"]
        answer = [given * self.loaded[name] for given in tensor["data"]]
        return {"model_name": name, "outputs": [{**tensor, "name": "y", "data": answer}]}


async def looked(server: Server, port: int, identity: Path, page: Page | None = None) -> Measurement:
    """What the prober finds at this server."""
    containers = (Container("guard", "a" * 64, running=True), Container("server", "b" * 64, running=True))
    pod = Pod("breast-screening-0", "uid-1", NAME, "node-1", "127.0.0.1", ready=True, containers=containers)
    model = Model("radiology", NAME, "uid-m", (pod,), None, {})
    with listening(web(context(), page or server.page), port=port):
        return await loading(model, pod, Trust.from_pem(authority().pem), identity, AnswerLimits(answer=1.0))


async def test_who_loads_answers_and_unloads_has_failed_no_step(port: int, identity: Path) -> None:
    server = Server()
    found = await looked(server, port, identity)
    steps = {"load": "done", "infer": "done", "unload": "done"}
    assert found.observations == {"control": "good", **steps, "container": "b" * 12}
    assert (found.instance, found.value, found.unit) == ("pod/breast-screening-0", 0, "failed steps")
    assert found.binding.pod_uid == "uid-1"
    assert server.loaded == {}


WRONG: dict[str, tuple[dict[str, tuple[int, Any]], float | None, dict[str, str]]] = {
    "no loading": (
        {"load": (403, {})},
        3,
        {"load": "refused 403", "infer": "nothing was loaded", "unload": "nothing was loaded"},
    ),
    "an error of its own": ({"load": (500, {})}, None, {"load": "inconclusive 500"}),
    "another name": (
        {"infer": (200, {"model_name": NAME})},
        1,
        {"infer": "wrong: another model's answer", "unload": "done"},
    ),
    "no list": ({"infer": (200, [])}, 1, {"infer": "wrong: another model's answer", "unload": "done"}),
    "not asked": ({"infer": (404, {})}, 1, {"infer": "refused 404", "unload": "done"}),
    "the canary stays": ({"unload": (405, {})}, 1, {"infer": "done", "unload": "refused 405"}),
    "unloading ends in an error": ({"unload": (503, {})}, None, {"infer": "done", "unload": "inconclusive 503"}),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_step_that_fails_is_counted_and_what_was_loaded_is_unloaded(
    port: int, identity: Path, case: str
) -> None:
    wrong, value, said = WRONG[case]
    server = Server(wrong)
    found = await looked(server, port, identity)
    assert found.value == value
    assert {step: found.observations[step] for step in said} == said
    assert ("unload" in server.asked) == ("load" not in wrong)


async def test_a_server_that_cannot_multiply_did_not_load_the_canary(port: int, identity: Path) -> None:
    server = Server()

    def page(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        server.loaded = dict.fromkeys(server.loaded, 1.5)
        return server.page(method, path, body)

    found = await looked(server, port, identity, page)
    assert (found.value, found.observations["infer"]) == (1, "wrong: another number than the model gives")


async def test_without_a_good_control_nothing_is_tried(port: int, identity: Path) -> None:
    server = Server()
    found = await looked(server, port, identity, lambda *_: (503, b""))
    assert (found.value, found.observations["control"]) == (None, "bad 503 for the metadata")
    assert server.asked == []


async def test_nobody_listens(port: int, identity: Path) -> None:
    containers = (Container("server", "b" * 64, running=True),)
    pod = Pod("breast-screening-0", "uid-1", NAME, "node-1", "127.0.0.1", ready=True, containers=containers)
    model = Model("radiology", NAME, "uid-m", (pod,), None, {})
    found = await loading(model, pod, Trust.from_pem(authority().pem), identity)
    assert (found.value, found.observations["failure"]) == (None, "inconclusive connection")


async def test_without_a_certificate_nothing_is_asked(port: int, tmp_path: Path) -> None:
    server = Server()
    found = await looked(server, port, tmp_path)
    assert (found.value, found.observations["failure"]) == (None, "there is no client certificate to show yet")
    assert server.asked == []


async def test_each_look_has_a_name_and_a_number_of_its_own(port: int, identity: Path) -> None:
    server, seen = Server(), set()

    def page(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        answer = server.page(method, path, body)
        seen.update(server.loaded.items())
        return answer

    for _ in range(3):
        await looked(server, port, identity, page)
    assert len({name for name, _ in seen}) == len({factor for _, factor in seen}) == 3
