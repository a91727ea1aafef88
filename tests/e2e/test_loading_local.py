"""The prober alone loads, asks and unloads a canary model: the real guard, the real runtime, the real probe."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from e2e.local_service import INFER, MODEL, PROBERS, SERVER_NAME, Answer, Service, service
from e2e.test_guard_local import ONE_CASE
from verticalmodel.api import names
from verticalmodel.probe.canary_model import canary_model
from verticalmodel.probe.loading import loading
from verticalmodel.probe.model import Model
from verticalmodel.probe.trust import Trust
from verticalmodel.probe.world import Container, Pod
from verticalmodel.shell.issuer import Authority, issue_to_client, new_authority

pytestmark = pytest.mark.e2e

CANARY = f"canary-{'0a' * 16}"
LOAD, UNLOAD = (f"/v2/repository/models/{CANARY}/{step}" for step in ("load", "unload"))
_OPEN = ("01", "04", "05", "08")
"""States of a TCP connection whose socket is still ours, as /proc/net/tcp has them."""
ASK = f"/v2/models/{CANARY}/infer"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("loading")) as started:
        yield started


def identity(folder: Path, authority: Authority = PROBERS, uri: str = names.PROBER_IDENTITY) -> Path:
    """A folder with a client certificate."""
    made = issue_to_client(authority, uri, datetime.now(UTC))
    folder.mkdir(exist_ok=True)
    (folder / "tls.crt").write_bytes(made.certificate_pem)
    (folder / "tls.key").write_bytes(made.key_pem)
    return folder


def trust(serving: Service) -> Trust:
    return Trust.from_pem(serving.issuer.certificate.public_bytes(Encoding.PEM).decode())


def body(model: bytes, **more: Any) -> bytes:
    """A request to load these bytes."""
    parameters = {"config": "{}", "file:1/model.onnx": base64.b64encode(model).decode(), **more}
    return json.dumps({"parameters": parameters}).encode()


def post(serving: Service, path: str, content: bytes, shown: Path | None = None) -> Answer:
    """One POST by who shows the certificate in a folder, or none."""
    found = trust(serving).showing(shown) if shown else trust(serving)
    assert found is not None
    connection = http.client.HTTPSConnection(SERVER_NAME, names.GUARD_PORT, timeout=10)
    reached = socket.create_connection((serving.pod.address, names.GUARD_PORT), timeout=10)
    with closing(connection):
        connection.sock = found.verified.wrap_socket(reached, server_hostname=SERVER_NAME)
        return serving.request("POST", path, content, {"content-type": "application/json"}, over=connection)


async def probed(serving: Service, shown: Path) -> dict[str, Any]:
    """What the prober finds: its value and its observations."""
    containers = (Container("guard", "a" * 64, running=True), Container("server", "b" * 64, running=True))
    pod = Pod("p", "uid", MODEL, "node", serving.pod.address, ready=True, containers=containers)
    model = Model("radiology", MODEL, "uid-m", (pod,), None, {})
    found = await loading(model, pod, trust(serving), shown)
    await asyncio.to_thread(_wait_until_closed, serving)
    return {"value": found.value, **found.observations}


def _wait_until_closed(serving: Service) -> None:
    """Wait for the guard to end a conversation that it refused: it hears a client out for a second."""
    peer = f"{int.from_bytes(socket.inet_aton(serving.pod.address), 'little'):08X}:{names.GUARD_PORT:04X}"
    deadline = time.monotonic() + 10
    while any(f" {peer} {state} " in Path("/proc/net/tcp").read_text(encoding="ascii") for state in _OPEN):
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_the_prober_loads_asks_and_unloads_and_the_served_model_is_as_before(
    serving: Service, tmp_path: Path
) -> None:
    shown = identity(tmp_path)
    for _ in range(2):
        assert await probed(serving, shown) == {
            "value": 0, "control": "good", "load": "done", "infer": "done", "unload": "done", "container": "b" * 12,
        }  # fmt: skip
    assert post(serving, ASK, b"{}", shown).status == 404
    assert serving.infer(ONE_CASE).status == 200


STRANGERS = {
    "another authority": (new_authority(datetime.now(UTC)), names.PROBER_IDENTITY),
    "another name": (PROBERS, "spiffe://verticalmodel.io/another"),
}


@pytest.mark.parametrize("who", STRANGERS)
async def test_who_shows_a_certificate_that_is_not_the_probers_is_a_client_like_any_other(
    serving: Service, tmp_path: Path, who: str
) -> None:
    shown = identity(tmp_path, *STRANGERS[who])
    found = await probed(serving, shown)
    assert (found["value"], found["control"], found["load"]) == (3, "good", "refused 403")
    assert post(serving, INFER, json.dumps(ONE_CASE).encode(), shown).status == 200


@pytest.mark.parametrize("path", [LOAD, UNLOAD, ASK])
def test_without_a_certificate_there_is_no_way_to_a_canary(serving: Service, path: str) -> None:
    assert post(serving, path, body(canary_model(3))).status == 403


async def test_a_prober_without_its_certificate_says_nothing(serving: Service, tmp_path: Path) -> None:
    found = await probed(serving, tmp_path)
    assert (found["value"], found["failure"]) == (None, "there is no client certificate to show yet")


@pytest.mark.parametrize(
    "path",
    [
        f"/v2/repository/models/{MODEL}/unload",
        f"/v2/repository/models/{MODEL}/load",
        f"/v2/repository/models/{CANARY}x/load",
        f"/v2/repository/models/{CANARY}/load/../../{MODEL}/unload",
        "/v2/repository/index",
    ],
)
def test_not_even_the_prober_gets_at_another_model(serving: Service, tmp_path: Path, path: str) -> None:
    assert post(serving, path, b"{}", identity(tmp_path)).status == 403
    assert serving.infer(ONE_CASE).status == 200


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{}", "is expected"),
        (b"[]", "is expected"),
        (b"no json", "is expected"),
        (json.dumps({"parameters": {"file:1/model.onnx": "*"}}).encode(), "is expected"),
        (body(b""), "it must have 1 to 65536"),
        (body(b"\0" * 65537), "it must have 1 to 65536"),
        (body(b"no model"), "no ONNX model that can be served"),
    ],
    ids=["empty", "a list", "no JSON", "no base64", "no bytes", "too many bytes", "no model"],
)
def test_what_is_no_small_model_is_refused_with_a_reason(
    serving: Service, tmp_path: Path, content: bytes, says: str
) -> None:
    answer = post(serving, LOAD, content, identity(tmp_path))
    assert answer.status == 400
    assert says in answer.json["error"]
    assert serving.infer(ONE_CASE).status == 200


def test_a_canary_that_was_left_behind_goes_with_the_next(serving: Service, tmp_path: Path) -> None:
    shown, other = identity(tmp_path), CANARY.replace("0a", "0b")
    assert post(serving, LOAD, body(canary_model(3)), shown).status == 200
    assert post(serving, f"/v2/repository/models/{other}/load", body(canary_model(5)), shown).status == 200
    asked = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [7]}]}).encode()
    assert post(serving, ASK, asked, shown).status == 404
    answer = post(serving, f"/v2/models/{other}/infer", asked, shown)
    assert answer.json["outputs"][0]["data"] == [35.0]
    assert post(serving, UNLOAD, b"{}", shown).status == 404
    assert post(serving, f"/v2/repository/models/{other}/unload", b"{}", shown).status == 200
    assert serving.infer(ONE_CASE).status == 200


def test_a_body_that_is_too_large_does_not_reach_the_server(serving: Service, tmp_path: Path) -> None:
    assert post(serving, LOAD, b" " * (128 * 1024 + 1), identity(tmp_path)).status == 403
