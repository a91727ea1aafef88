"""The guard as built and rendered does what it is for: TLS 1.3, an allow-list, certificates that change under it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.local_service import (
    GUARD_PORT,
    HTTP2_PREFACE,
    INFER,
    MODEL,
    SERVED,
    SERVER_NAME,
    SERVER_PORT,
    Service,
    http2_request,
    running_server,
    service,
    until,
    write_volume,
)
from installation import ROOT
from verticalmodel.api.names import DRAIN_PORT
from verticalmodel.render.guard_overload import MEMORY_LIMIT_BYTES
from verticalmodel.render.guard_routes import MAX_REQUEST_BYTES

pytestmark = pytest.mark.e2e

HELD_OUT = json.loads((ROOT / "tests/e2e/data/breast_screening_heldout.json").read_text())
CHUNKED = {"declared": {}, "chunked": {"Transfer-Encoding": "chunked"}}
ONE_CASE = {"inputs": [{"name": "features", "shape": [1, 30], "datatype": "FP32", "data": HELD_OUT["rows"][0]}]}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("guard")) as started:
        yield started


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[Service]:
    """For tests that break it."""
    with service(tmp_path) as started:
        yield started


def handshake(serving: Service, version: ssl.TLSVersion) -> str | None:
    """The version agreed on when the client offers only `version`. Raises SSLError for a refusal."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    # The oldest versions are what is being tested, so the client must be willing.
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection((serving.pod.address, GUARD_PORT), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=SERVER_NAME) as wrapped,
    ):
        return wrapped.version()


def test_tls_1_3_is_spoken_and_the_certificate_verifies(serving: Service) -> None:
    """By a client that trusts the issuer and asks for the service's name."""
    connection = serving.connect()
    assert connection.sock.version() == "TLSv1.3"
    connection.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
def test_older_tls_is_refused_by_an_alert(serving: Service, version: ssl.TLSVersion) -> None:
    """With a positive control from the same place: the refusal is about the version and nothing else."""
    assert handshake(serving, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises(ssl.SSLError) as refusal:
        handshake(serving, version)
    assert refusal.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"


def test_plain_http_gets_no_http_answer(serving: Service) -> None:
    """The connection is closed, or answered by a TLS alert."""
    with socket.create_connection((serving.pod.address, GUARD_PORT), timeout=10) as plain:
        plain.sendall(b"GET /guard/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not plain.recv(100).startswith(b"HTTP/")


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_both_http_versions_are_offered(serving: Service, protocol: str) -> None:
    """By ALPN, as clients choose."""
    context = serving.issuer.trust()
    context.set_alpn_protocols([protocol])
    with (
        socket.create_connection((serving.pod.address, GUARD_PORT), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=SERVER_NAME) as wrapped,
    ):
        assert wrapped.selected_alpn_protocol() == protocol


def test_only_the_guards_port_is_open_to_others(serving: Service) -> None:
    """From outside, the server's port is closed; inside, the kernel lists it on 127.0.0.1 alone."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((serving.pod.address, SERVER_PORT), timeout=5)
    listening = {
        (line.split()[1].split(":")[0], int(line.split()[1].split(":")[1], 16))
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{serving.server.pid}/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    assert listening == {("0100007F", SERVER_PORT), ("00000000", GUARD_PORT), ("00000000", DRAIN_PORT)}


def test_the_model_is_as_accurate_through_the_guard_as_in_training(serving: Service) -> None:
    """Every held-out case gets the very label that scikit-learn gave it."""
    case = {"name": "features", "shape": [114, 30], "datatype": "FP32", "data": HELD_OUT["rows"]}
    answer = serving.infer({"id": "held-out", "inputs": [case], "outputs": [{"name": "label"}]})
    assert answer.status == 200
    (label,) = answer.json["outputs"]
    assert (answer.json["id"], label["name"], label["data"]) == ("held-out", "label", HELD_OUT["predictions"])
    right = sum(one == other for one, other in zip(label["data"], HELD_OUT["labels"], strict=True))
    assert round(right / 114, 6) == HELD_OUT["baselineAccuracy"]


# What an attacker, or a careless client, may send instead of a listed path.
CLOSED = {
    "another model": "/v2/models/another",
    "unload": f"/v2/repository/models/{MODEL}/unload",
    "unload behind a listed path": f"/v2/models/{MODEL}/../../repository/models/{MODEL}/unload",
    "unload behind a probe": f"/healthz/live/../../v2/repository/models/{MODEL}/unload",
    "unload behind encoded dots": f"/healthz/%2e%2e/v2/repository/models/{MODEL}/unload",
    "unload with a double slash": f"//v2//repository//models/{MODEL}/unload",
    "unload with encoded letters": f"/v2/%72epository/models/{MODEL}/unload",
    "capitals": f"/V2/Models/{MODEL}",
    "capital name": f"/v2/models/{MODEL.upper()}",
    "path parameter": f"/v2/models/{MODEL};x=/../../metrics",
    "trailing slash": f"/v2/models/{MODEL}/",
    "version": f"/v2/models/{MODEL}/versions/1",
    "metrics": "/metrics",
    "docs": "/docs",
    "v1": f"/v1/models/{MODEL}:predict",
    "root": "/",
    "admin of Envoy": "/config_dump",
    "longer name": f"/v2/models/{MODEL}x/infer",
}


@pytest.mark.parametrize("path", CLOSED.values(), ids=list(CLOSED))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_spelling_gets_around_the_allow_list(serving: Service, method: str, path: str) -> None:
    """Whatever resolves to a path that is not listed is refused by the guard, with a reason."""
    answer = serving.request(method, path, b"{}" if method == "POST" else None)
    assert (answer.status, list(answer.json)) == (403, ["error"])
    assert answer.json["error"]


AMBIGUOUS = {
    "encoded slash": f"/v2%2Fmodels%2F{MODEL}",
    "encoded slash in capitals": "/v2%2frepository",
    "encoded backslash": "/v2%5Cmodels",
    "encoded slash in a name": "/v2/models/a%2f..%2f..%2frepository",
    "encoded end of text": "/v2/models%00",
}


@pytest.mark.parametrize("path", AMBIGUOUS.values(), ids=list(AMBIGUOUS))
def test_what_could_be_read_two_ways_is_refused(serving: Service, path: str) -> None:
    """A slash that one side sees and the other does not is how allow-lists are passed by."""
    answer = serving.request("GET", path)
    assert (answer.status, list(answer.json)) in [(400, ["error"]), (403, ["error"])]
    assert answer.json["error"]


@pytest.mark.parametrize("path", [f"/v2//models/{MODEL}", f"/v2/models/x/../{MODEL}", f"/%762/models/{MODEL}"])
def test_another_spelling_of_a_listed_path_reaches_the_server_as_the_listed_one(serving: Service, path: str) -> None:
    """The guard resolves it before it decides, and passes on what it decided about."""
    assert serving.request("GET", path).json["name"] == MODEL


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/v2", "GET"), ("GET", INFER, "POST"), ("DELETE", "/healthz/live", "GET"), ("PUT", "/guard/live", "GET")],
)
def test_a_listed_path_by_another_method_says_which_one_it_takes(
    serving: Service, method: str, path: str, allowed: str
) -> None:
    """405 with an Allow header, as HTTP has it (RFC 9110, 15.5.6)."""
    answer = serving.request(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
    assert allowed in answer.json["error"]


def test_an_upgrade_to_another_protocol_is_not_made(serving: Service) -> None:
    """A websocket would be a tunnel past the allow-list."""
    headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "x", "sec-websocket-version": "13"}
    assert serving.request("GET", "/v2", headers=headers).status == 403


def test_a_request_body_has_a_limit_and_a_declared_size(serving: Service) -> None:
    """The limit holds at the guard, whatever the server would have taken; without a size it could not."""
    too_large = serving.request("POST", INFER, headers={"content-length": str(MAX_REQUEST_BYTES + 1)})
    assert (too_large.status, str(MAX_REQUEST_BYTES) in too_large.json["error"]) == (413, True)
    connection = serving.connect()
    connection.request("POST", INFER, iter([b"{}"]), {"transfer-encoding": "chunked"}, encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())) == (411, {"error": "a request's body needs a content-length"})
    connection.close()


def test_the_largest_body_goes_through(serving: Service) -> None:
    """What the guard lets in, the server reads: here to say that it is no JSON."""
    answer = serving.infer(b"x" * MAX_REQUEST_BYTES)
    assert answer.status == 400
    assert "not JSON" in answer.json["error"]


def test_two_lengths_in_one_request_are_refused(serving: Service) -> None:
    """Request smuggling needs a front and a back that disagree on where a request ends."""
    connection = serving.connect()
    smuggled = f"POST /v2/repository/models/{MODEL}/unload HTTP/1.1\r\nHost: x\r\n\r\n"
    connection.sock.sendall(
        f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(smuggled) + 5}\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}".encode()
    )
    answers = b""
    while chunk := connection.sock.recv(4096):
        answers += chunk
    assert answers.startswith(b"HTTP/1.1 400")
    assert answers.count(b"HTTP/1.1") == 1
    connection.close()


def test_answers_name_no_product_versions_in_their_headers(serving: Service) -> None:
    """Neither Envoy's nor the server's, nor Envoy's internal timings."""
    headers = serving.request("GET", "/v2").headers
    assert headers["server"] == "guard"
    assert [name for name in headers if name.startswith("x-envoy")] == []


def test_logs_hold_the_peer_and_neither_credentials_nor_content(serving: Service) -> None:
    """A token in a header or query and a patient's value in a body are in no log; the peer is who connected."""
    secret, patient = "token-c0ffee", "patient-31415"
    headers = {"authorization": f"Bearer {secret}", "cookie": secret, "x-forwarded-for": "192.0.2.7", "x-logged": "no"}
    content = {**ONE_CASE, "id": patient}
    assert serving.infer(content, headers).status == 200
    assert serving.infer({"inputs": [{**ONE_CASE["inputs"][0], "data": [patient]}]}, headers).status == 400
    assert serving.request("GET", f"/v2?access_token={secret}", headers=headers).status == 200
    logged = until("the guard has logged", lambda: [line for line in serving.guard.lines if '"path":"/v2"' in line])
    everything = "\n".join([*serving.guard.lines, *serving.server.lines])
    assert [word for word in (secret, patient, "192.0.2.7") if word in everything] == []
    assert json.loads(logged[-1])["peer"] != "192.0.2.7"


@pytest.mark.parametrize("path", ["/v2", f"/v2/models/{MODEL}", "/v2/health/ready", "/healthz/live"])
@pytest.mark.parametrize("framing", ["declared", "chunked"])
def test_what_is_asked_for_by_get_takes_no_body(serving: Service, path: str, framing: str) -> None:
    """However it is framed; the server would read it to its end, which nobody declares."""
    body = iter([b"x" * 1000] * 2) if framing == "chunked" else b"x" * 2000
    connection = serving.connect()
    try:
        connection.request("GET", path, body, encode_chunked=framing == "chunked", headers=CHUNKED[framing])
        assert connection.getresponse().status == 413
    finally:
        connection.close()
    assert serving.request("GET", path).status == 200


def test_good_probes_of_any_runtime_leave_no_lines_and_nothing_else_can_pass_for_one(tmp_path: Path) -> None:
    """The server's own answer at /v2 stands for the probe path of a runtime of another protocol."""
    with service(tmp_path, served=replace(SERVED, live_path="/v2")) as serving:
        for path in ("/healthz/live", "/healthz/ready", "/guard/live"):
            assert serving.request("GET", path).status == 200
        hidden = ("/healthz/live?case=1", "/v2/health/ready?case=2")
        assert [serving.request("GET", path).status for path in hidden] == [200, 200]
        assert serving.request("POST", "/healthz/live?case=3", b"").status == 405
        assert serving.infer(ONE_CASE).status == 200
        until("it is logged", lambda: any('"POST"' in line and '"status":200' in line for line in serving.guard.lines))
        entries = [json.loads(line) for line in serving.guard.lines if line.startswith("{")]
        logged = [(entry["method"], entry["path"], entry["status"]) for entry in entries if entry["status"] != 503]
        assert logged == [
            ("GET", "/v2", 200),
            ("GET", "/v2/health/ready", 200),
            ("POST", "/healthz/live", 405),
            ("POST", INFER, 200),
        ]


def test_good_probes_leave_no_lines_in_the_access_log(serving: Service) -> None:
    """Two a second, for ever, would bury what matters."""
    for path in ("/healthz/live", "/healthz/ready", "/guard/live"):
        assert serving.request("GET", path).status == 200
    assert serving.request("GET", "/after-the-probes").status == 403
    logged = until("it is logged", lambda: [line for line in serving.guard.lines if '"/after-the-probes"' in line])
    assert json.loads(logged[0])["status"] == 403
    good = [entry for entry in map(json.loads, serving.guard.lines) if entry.get("status") == 200]
    assert [entry["path"] for entry in good if "live" in entry["path"] or "ready" in entry["path"]] == []


def test_a_probe_that_is_given_up_leaves_a_line(own_service: Service) -> None:
    """As the kubelet gives up on a server that hangs: there is no answer to tell of, and that is what matters."""
    os.kill(own_service.server.pid, signal.SIGSTOP)
    try:
        with closing(own_service.connect(timeout=1.0)) as impatient, pytest.raises(TimeoutError):
            own_service.request("GET", "/healthz/ready", over=impatient)
        until("it is logged", lambda: any('"status":0' in line for line in own_service.guard.lines))
    finally:
        os.kill(own_service.server.pid, signal.SIGCONT)


def test_a_new_certificate_is_taken_without_failing_a_request(own_service: Service) -> None:
    """As the kubelet swaps it in; a connection that is open stays open, and new ones soon see the new certificate."""
    stop, failures, kept = threading.Event(), [], own_service.connect()

    def client() -> None:
        while not stop.is_set():
            try:
                if own_service.infer(ONE_CASE).status != 200:
                    failures.append("not answered")
            except OSError as error:
                failures.append(repr(error))

    clients = [threading.Thread(target=client) for _ in range(2)]
    for thread in clients:
        thread.start()
    try:
        for _ in range(3):
            assert own_service.request("GET", "/v2", over=kept).status == 200
            serial, data = own_service.issuer.issue()
            assert own_service.serial() != serial
            write_volume(own_service.certificates, data)
            until("the new certificate is shown", lambda serial=serial: own_service.serial() == serial)
        assert own_service.request("GET", "/v2", over=kept).status == 200
    finally:
        stop.set()
        for thread in clients:
            thread.join()
        kept.close()
    assert failures == []


def test_a_certificate_that_does_not_fit_its_key_changes_nothing(own_service: Service) -> None:
    """A damaged Secret keeps the last good certificate in force, and the next good one is taken."""
    before = own_service.serial()
    (_, one), (_, other) = own_service.issuer.issue(), own_service.issuer.issue()
    write_volume(own_service.certificates, {"tls.crt": one["tls.crt"], "tls.key": other["tls.key"]})
    until("Envoy has refused it", lambda: any("warning" in line for line in own_service.guard.lines))
    assert own_service.serial() == before
    serial, good = own_service.issuer.issue()
    write_volume(own_service.certificates, good)
    until("the good one is shown", lambda: own_service.serial() == serial)


def test_a_server_that_is_gone_is_503_at_once_and_one_that_is_back_answers(
    own_service: Service, tmp_path: Path
) -> None:
    """The guard itself stays alive: its own probe does not depend on the server."""
    own_service.server.terminate()
    assert own_service.server.process.wait(30) == 0
    for path in ("/healthz/ready", "/healthz/live", "/v2"):
        answer = own_service.request("GET", path)
        assert (answer.status, list(answer.json)) == (503, ["error"])
    assert own_service.request("GET", "/guard/live").status == 200
    with running_server(own_service.pod, tmp_path / "model", tmp_path / "again.log"):
        until("it answers again", lambda: own_service.request("GET", "/healthz/ready").status == 200)
        assert own_service.infer(ONE_CASE).status == 200


def memory_bytes(pid: int) -> int:
    """Memory that a cgroup would charge to the process for its own data."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) * 1024


def test_slow_large_bodies_fill_no_memory_and_shut_out_nobody(own_service: Service) -> None:
    """24 clients that each hold back the end of a nearly largest body: probes and small requests are answered."""
    size, held, hold = MAX_REQUEST_BYTES - 1024, threading.Semaphore(0), threading.Event()

    def slow() -> None:
        connection = own_service.connect(timeout=60)
        try:
            connection.sock.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
            connection.sock.sendall(b" " * (size - 1))
        except OSError:
            pass  # refused early: there are too many
        finally:
            held.release()
            hold.wait(60)
            connection.close()

    clients = [threading.Thread(target=slow) for _ in range(24)]
    for thread in clients:
        thread.start()
    try:
        for _ in clients:
            assert held.acquire(timeout=60)
        for path in ("/healthz/live", "/healthz/ready", "/guard/live"):
            assert own_service.request("GET", path).status == 200
        assert own_service.infer(ONE_CASE).status == 200
        used = [memory_bytes(container.pid) for container in (own_service.guard, own_service.server)]
    finally:
        hold.set()
        for thread in clients:
            thread.join()
    assert used[0] < MEMORY_LIMIT_BYTES // 2
    assert used[1] < 256 * 1024 * 1024


def test_http_2_requests_meet_the_same_allow_list(serving: Service) -> None:
    """The routes are the same whatever carries them; here by the frames of one refused request (RFC 9113)."""
    context = serving.issuer.trust()
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((serving.pod.address, GUARD_PORT), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=SERVER_NAME) as wrapped,
    ):
        wrapped.sendall(HTTP2_PREFACE + http2_request("POST", f"/v2/repository/models/{MODEL}/unload"))
        received = b""
        while b'{"error":"models are not loaded' not in received:
            chunk = wrapped.recv(4096)
            assert chunk, received
            received += chunk


def test_the_guard_ends_by_itself_when_told_to(own_service: Service) -> None:
    """Exit status 0 on SIGTERM, as process 1."""
    own_service.guard.terminate()
    assert own_service.guard.process.wait(30) == 0
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(own_service.pod.address, GUARD_PORT, timeout=5).connect()
