"""A guard that is told of its pod's end sends clients away, closes its doors, and answers what it took."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.local_service import (
    DRAIN_PATH,
    GUARD_PORT,
    HTTP2_PREFACE,
    INFER,
    SERVER_NAME,
    Service,
    http2_request,
    service,
    until,
)
from verticalmodel.api.names import DRAIN_PORT
from verticalmodel.render.guard_drain import DRAIN_SECONDS, drain_path

pytestmark = pytest.mark.e2e

_FROM_INSIDE = """
import socket, ssl, sys
source, target, port, path = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
try:
    with socket.create_connection((target, int(port)), timeout=10, source_address=(source, 0)) as plain:
        with context.wrap_socket(plain) as wrapped:
            wrapped.sendall(f"GET {path} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
            answer = wrapped.recv(1000)
            print("answered" if answer else "refused: closed", answer)
except ConnectionRefusedError:
    print("nobody listens")
except OSError as error:
    print("refused:", error)
"""
CASE = json.dumps({"inputs": [{"name": "features", "shape": [1, 30], "datatype": "FP32", "data": [1.0] * 30}]}).encode()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as started:
        yield started


def hook(serving: Service, method: str = "GET", path: str = DRAIN_PATH) -> int:
    """The status that the hook's port answers; the kubelet does not verify the certificate either."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(serving.pod.address, DRAIN_PORT, timeout=10, context=context)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


def refused(serving: Service) -> bool:
    """Whether nobody takes connections at the clients' port any more."""
    try:
        socket.create_connection((serving.pod.address, GUARD_PORT), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def read_to_its_end(serving: Service) -> bytes:
    """Whatever comes over a connection with one request until the guard ends it, never 4 s after what came before."""
    connection, parts = serving.connect(timeout=4.0), []
    try:
        connection.sock.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
        while part := connection.sock.recv(65536):
            parts.append(part)
    finally:
        connection.close()
    return b"".join(parts)


def test_a_drain_sends_clients_away_then_closes_the_doors_and_answers_what_it_took(serving: Service) -> None:
    """In this order; a request that was begun before the doors closed gets its answer after."""
    kept = serving.connect()
    assert kept.sock is not None
    assert "connection" not in serving.request("GET", "/v2", over=kept).headers
    begun = serving.connect()
    assert begun.sock is not None
    begun.sock.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(CASE)}\r\n\r\n".encode() + CASE[:-1])
    assert hook(serving) == 200
    started = time.monotonic()
    assert serving.request("GET", "/v2", over=kept).headers["connection"] == "close"
    assert read_to_its_end(serving).startswith(b"HTTP/1.1 200")
    answered = 0
    while not refused(serving):
        answer = serving.infer(json.loads(CASE))
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        answered += 1
        time.sleep(0.2)  # the pace of a client
    assert (answered > 10, DRAIN_SECONDS - 1 < time.monotonic() - started < DRAIN_SECONDS + 5) == (True, True)
    begun.sock.sendall(CASE[-1:])
    response = http.client.HTTPResponse(begun.sock)
    response.begin()
    assert response.status == 200
    assert serving.guard.process.poll() is None
    begun.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", DRAIN_PATH),
        ("GET", "/"),
        ("GET", "/config_dump"),
        ("GET", "/quitquitquit"),
        ("POST", "/quitquitquit"),
        ("GET", f"{DRAIN_PATH}/../quitquitquit"),
        ("GET", f"{DRAIN_PATH}%2f..%2fquitquitquit"),
        ("GET", f"{DRAIN_PATH}/x"),
        ("GET", "/guard/drain"),
        ("GET", drain_path("another model")),
    ],
)
def test_the_hooks_port_gives_nothing_of_the_administration_away(serving: Service, method: str, path: str) -> None:
    """Only the one call goes through; the guard serves on."""
    assert hook(serving, method, path) == 403
    assert serving.infer(json.loads(CASE)).headers.get("connection") is None


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.1"),
        ("127.0.0.2", "{pod}"),
        ("{pod}", "{pod}"),
        ("{pod}", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.3"),
    ],
)
def test_nobody_inside_the_pod_starts_a_drain(serving: Service, source: str, target: str) -> None:
    """With every address that a process in it has, and the right path: a server could take the guard's port over."""
    where = [address.format(pod=serving.pod.address) for address in (source, target)]
    call = ["nsenter", f"--net=/proc/{serving.pod.holder}/ns/net", sys.executable, "-c", _FROM_INSIDE, *where]
    said = subprocess.run([*call, str(DRAIN_PORT), DRAIN_PATH], capture_output=True, text=True, check=True, timeout=30)
    assert said.stdout.startswith("refused")
    assert serving.infer(json.loads(CASE)).headers.get("connection") is None


def test_nobody_but_the_guard_may_open_the_administrations_socket(serving: Service, tmp_path: Path) -> None:
    """The socket is its owner's alone, in a folder that no other container of the pod has."""
    socket_file = tmp_path / "guard.run/administration.sock"
    until("the socket is there", socket_file.exists)
    assert socket_file.stat().st_mode & 0o777 == 0o600


def test_a_drain_is_told_to_http_2_clients_by_goaway(serving: Service) -> None:
    """On the connection that they have (RFC 9113, section 6.8)."""
    context = serving.issuer.trust()
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((serving.pod.address, GUARD_PORT), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=SERVER_NAME) as wrapped,
    ):
        wrapped.sendall(HTTP2_PREFACE)
        assert hook(serving) == 200
        wrapped.sendall(http2_request("GET", "/guard/live"))
        assert 7 in frame_types(wrapped)


def frame_types(connection: ssl.SSLSocket) -> list[int]:
    """Types of the frames received up to the first GOAWAY (7), or until the peer has no more to say."""
    received, types = b"", []
    while 7 not in types:
        while len(received) >= 9 and len(received) >= 9 + int.from_bytes(received[:3], "big"):
            types.append(received[3])
            received = received[9 + int.from_bytes(received[:3], "big") :]
        if 7 in types or not (chunk := connection.recv(65536)):
            return types
        received += chunk
    return types
