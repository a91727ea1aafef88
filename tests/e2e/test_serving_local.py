"""The reference runtime as built: what it says of its model, what it refuses, how it starts, ends and gives up."""

from __future__ import annotations

import json
import os
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.local_pod import Pod, pod
from e2e.local_service import INFER, MODEL, Service, model_folder, running_server, service, until
from installation import ROOT

pytestmark = pytest.mark.e2e

HELD_OUT = json.loads((ROOT / "tests/e2e/data/breast_screening_heldout.json").read_text())
ROW = HELD_OUT["rows"][0]
BINARY = "inference-header-content-length"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("serving")) as started:
        yield started


@pytest.fixture
def own_pod() -> Iterator[Pod]:
    with pod() as started:
        yield started


def case(**changes: Any) -> dict[str, Any]:
    """One good request, with fields of its one input changed; a field set to None is left out."""
    tensor = {"name": "features", "shape": [1, 30], "datatype": "FP32", "data": ROW, **changes}
    return {"inputs": [{name: value for name, value in tensor.items() if value is not None}]}


def test_metadata_names_tensors_framework_and_versions(serving: Service) -> None:
    """What clause 6 reads: the runtime, and the exporter and operator sets of the file that is loaded."""
    metadata = serving.request("GET", f"/v2/models/{MODEL}").json
    versions = metadata["properties"].pop("runtime_version"), metadata["properties"].pop("producer_version")
    assert all(version.count(".") == 2 for version in versions)
    assert metadata == {
        "name": MODEL,
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 30]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
        ],
        "properties": {
            "runtime": "onnxruntime",
            "producer_name": "skl2onnx",
            "ir_version": "10",
            "opset/ai.onnx": "21",
            "opset/ai.onnx.ml": "1",
        },
    }
    server = serving.request("GET", "/v2").json
    assert server["name"] == "verticalmodel-serving"
    assert server["extensions"] == ["binary_tensor_data", "model_repository"]
    assert server["properties"]["onnxruntime"] == versions[0]


def test_health_is_told_in_the_protocols_words(serving: Service) -> None:
    """Live, ready, and the model by its name."""
    paths = ("/v2/health/live", "/v2/health/ready", f"/v2/models/{MODEL}/ready")
    answers = [serving.request("GET", path).json for path in paths]
    assert answers == [{"live": True}, {"ready": True}, {"name": MODEL, "ready": True}]


def test_both_outputs_come_as_plain_tensors(serving: Service) -> None:
    """Label and probabilities; without an id, the server gives one."""
    answer = serving.infer(case()).json
    label, probabilities = answer["outputs"]
    assert (answer["model_name"], bool(answer["id"])) == (MODEL, True)
    assert (label["name"], label["shape"], label["datatype"]) == ("label", [1], "INT64")
    assert label["data"] == HELD_OUT["predictions"][:1]
    assert (probabilities["name"], probabilities["shape"], probabilities["datatype"]) == (
        "probabilities",
        [1, 2],
        "FP32",
    )
    assert sum(probabilities["data"]) == pytest.approx(1, abs=1e-6)


def test_nested_data_is_the_same_as_flat_data(serving: Service) -> None:
    """The protocol allows both."""
    one, other = (serving.infer({"id": "x", **case(data=data)}).json for data in (ROW, [ROW]))
    assert one == other


def binary(body: bytes, **changes: Any) -> tuple[bytes, dict[str, str]]:
    parameters = {"binary_data_size": len(body)}
    head = json.dumps({**case(data=None, parameters=parameters, **changes), "outputs": [{"name": "label"}]}).encode()
    return head + body, {BINARY: str(len(head))}


def test_a_binary_tensor_gives_the_same_answer_as_json(serving: Service) -> None:
    """The binary tensor data extension, which the server metadata declares."""
    body, headers = binary(struct.pack("<30f", *ROW))
    answer = serving.infer(body, headers)
    assert answer.status == 200
    assert answer.json["outputs"][0]["data"] == HELD_OUT["predictions"][:1]


# Body -> a word of the complaint: the field or value that is wrong, or what would have been right.
REFUSED: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "not JSON"),
    "nothing": (b"", "not JSON"),
    "not UTF-8": (b'{"inputs": "\xff"}', "not JSON"),
    "a list": ([], "body"),
    "an empty object": ({}, "inputs: Field required"),
    "no inputs": ({"inputs": []}, "features"),
    "inputs of another kind": ({"inputs": "features"}, "inputs"),
    "nested too deeply": (b"[" * 100_000, "not JSON"),
    "another input": (case(name="pixels"), "features"),
    "an input twice": ({"inputs": case()["inputs"] * 2}, "exactly once"),
    "another datatype": (case(datatype="FP64"), "FP32"),
    "a datatype that is none": (case(datatype="FP8"), "FP32"),
    "a column too few": (case(shape=[1, 29], data=ROW[:29]), "[-1, 30]"),
    "a dimension too few": (case(shape=[30]), "[-1, 30]"),
    "a dimension too many": (case(shape=[1, 1, 30]), "[-1, 30]"),
    "no rows": (case(shape=[0, 30], data=[]), "at least 1"),
    "a negative dimension": (case(shape=[-1, 30]), "at least 1"),
    "a shape of huge numbers": (case(shape=[2**62, 30]), "takes"),
    "a shape of words": (case(shape=["one", 30]), "shape"),
    "a value too few": (case(data=ROW[:29]), "29 values"),
    "rows of unequal length": (case(shape=[2, 30], data=[ROW, ROW[:29]]), "FP32"),
    "words for numbers": (case(data=["1.5"] * 30), "FP32"),
    "truth values for numbers": (case(data=[True] * 30), "FP32"),
    "nulls for numbers": (case(data=[None] * 30), "FP32"),
    "objects for numbers": (case(data=[{}] * 30), "FP32"),
    "a value beyond FP32": (case(data=[1e300, *ROW[1:]]), "3.4"),
    "one very long word": (case(shape=[1000, 30], data=["x" * 1_000_000, *([0.5] * 29_999)]), "FP32"),
    "no data": (case(data=None), "data"),
    "an unknown output": ({**case(), "outputs": [{"name": "risk"}]}, "label"),
    "an output twice": ({**case(), "outputs": [{"name": "label"}] * 2}, "at most once"),
    "a parameter of another kind": ({**case(), "parameters": []}, "parameters"),
}


@pytest.mark.parametrize(("content", "complaint"), REFUSED.values(), ids=list(REFUSED))
def test_bad_input_is_a_400_that_says_what_is_wrong(serving: Service, content: Any, complaint: str) -> None:
    """In the protocol's form, naming the field or what is allowed; never a 500, never a traceback."""
    answer = serving.infer(content)
    assert (answer.status, list(answer.json)) == (400, ["error"])
    assert complaint in answer.json["error"]
    assert "Traceback" not in answer.json["error"]


RAW = struct.pack("<30f", *ROW)
REFUSED_BINARY: dict[str, tuple[tuple[bytes, dict[str, str]], str]] = {
    "a length that is none": ((binary(RAW)[0], {BINARY: "many"}), BINARY),
    "a negative length": ((binary(RAW)[0], {BINARY: "-5"}), BINARY),
    "a length beyond the body": ((binary(RAW)[0], {BINARY: "100000"}), BINARY),
    "a length that cuts the JSON": ((binary(RAW)[0], {BINARY: "10"}), "not JSON"),
    "a byte too few": ((binary(RAW)[0][:-1], binary(RAW)[1]), "119 bytes"),
    "half a number": (binary(RAW[:-1]), "binary"),
    "a value too few": (binary(RAW[:-4]), "binary"),
    "bytes for numbers": (binary(RAW, datatype="BYTES"), "binary"),
    "fields missing": ((b'{"inputs": [{}]}', {BINARY: "16"}), "inputs.0.name"),
}


@pytest.mark.parametrize(("sent", "complaint"), REFUSED_BINARY.values(), ids=list(REFUSED_BINARY))
def test_a_bad_binary_tensor_is_a_400_too(serving: Service, sent: tuple[bytes, dict[str, str]], complaint: str) -> None:
    """Where KServe's own decoder would answer 500."""
    answer = serving.infer(*sent)
    assert (answer.status, list(answer.json)) == (400, ["error"])
    assert complaint in answer.json["error"]


def test_nothing_so_far_was_an_error_to_the_server(serving: Service) -> None:
    """A client's mistakes leave no error and no traceback in the server's log."""
    for content, _ in REFUSED.values():
        serving.infer(content)
    entries = [json.loads(line) for line in serving.server.lines]
    assert [entry for entry in entries if entry["level"] not in {"info", "warning"} or "exception" in entry] == []


def test_threads_follow_the_containers_limit(serving: Service) -> None:
    """One core, one thread, however many the machine has."""
    entries = [json.loads(line) for line in serving.server.lines]
    (listening,) = [entry for entry in entries if entry["message"] == "listening"]
    assert (listening["threads"], listening["address"]) == (1, "127.0.0.1:8080")
    pools = [Path(task, "comm").read_text().strip() for task in Path(f"/proc/{serving.server.pid}/task").iterdir()]
    assert len(pools) <= 8


def test_it_runs_as_any_user_with_a_read_only_root(tmp_path: Path) -> None:
    """Platforms that give every namespace its own numbers (OpenShift does) run it as one that no image knows."""
    with service(tmp_path, user=1_000_660_000) as started:
        status = Path(f"/proc/{started.server.pid}/status").read_text()
        assert "1000660000\t1000660000\t1000660000\t1000660000" in status
        assert started.infer(case()).status == 200


def corrupt(content: bytes | Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "model.onnx"
        path.write_bytes(content(path.read_bytes()) if callable(content) else content)

    return spoil


def remove(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def add_another(folder: Path) -> None:
    (folder / "other.onnx").write_bytes(b"")


def forbid(folder: Path) -> None:
    (folder / "model.onnx").chmod(0)


UNSERVABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (corrupt(b""), "the file is empty"),
    "text": (corrupt(b"<html>404</html>"), "not a whole ONNX model"),
    "cut short": (corrupt(lambda content: content[: len(content) // 2]), "cut short"),
    "another producer's bytes": (
        corrupt(lambda content: content.replace(b"Scaler", b"Sealer")),
        "ONNX Runtime refuses",
    ),
    "no file": (remove, "exactly one .onnx file, found: none"),
    "two files": (add_another, "found: model.onnx, other.onnx"),
    "unreadable": (forbid, "Permission denied"),
}


@pytest.mark.parametrize(("spoil", "reason"), UNSERVABLE.values(), ids=list(UNSERVABLE))
def test_a_model_that_cannot_be_served_ends_the_process_with_one_line(
    own_pod: Pod, tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    """Exit status 1, and the reason where the kubelet picks it up: no traceback, no crash by signal."""
    folder = model_folder(tmp_path / "model")
    spoil(folder)
    with running_server(own_pod, folder, tmp_path / "server.log") as container:
        assert container.process.wait(60) == 1
        message = (tmp_path / "server.messages/reason").read_text()
        assert reason in message
        assert len(message.splitlines()) == 1
        assert [line for line in container.lines if not line.startswith("{")] == []


def test_a_port_that_is_taken_is_said_in_one_line(own_pod: Pod, tmp_path: Path) -> None:
    """Two servers in one pod, say."""
    folder = model_folder(tmp_path / "model")
    with running_server(own_pod, folder, tmp_path / "first.log") as first:
        until("the first listens", lambda: any("listening" in line for line in first.lines))
        with running_server(own_pod, folder, tmp_path / "second.log") as second:
            assert second.process.wait(60) == 1
            message = (tmp_path / "second.messages/reason").read_text()
            assert message == "cannot listen on 127.0.0.1:8080: Address already in use\n"


def test_a_cpu_limit_that_is_none_is_said_in_one_line(own_pod: Pod, tmp_path: Path) -> None:
    """The downward API gives whole cores; anything else is a mistake in a template."""
    folder = model_folder(tmp_path / "model")
    with running_server(own_pod, folder, tmp_path / "server.log", cpu_limit="500m") as container:
        assert container.process.wait(60) == 1
    assert "CPU_LIMIT is '500m'" in (tmp_path / "server.messages/reason").read_text()


def test_a_request_in_flight_at_sigterm_is_answered(tmp_path: Path) -> None:
    """Half of its body arrives before the signal, the other half after; then the process ends with status 0."""
    with service(tmp_path) as started:
        body = json.dumps(case()).encode()
        connection = started.connect(timeout=30)
        head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        pid = started.server.pid
        before = _established(pid)
        connection.sock.sendall(head + body[:50])
        until("the half request has arrived on a connection of its own", lambda: _established(pid) > before)
        started.server.terminate()
        until("the server has stopped listening", lambda: _refused(started))
        connection.sock.sendall(body[50:])
        answer = b""
        while b"outputs" not in answer:
            chunk = connection.sock.recv(4096)
            assert chunk, answer
            answer += chunk
        connection.close()
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert started.server.process.wait(30) == 0


def _established(pid: int) -> int:
    rows = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    return sum(row.split()[1] == "0100007F:1F90" and row.split()[3] == "01" for row in rows)


def _refused(started: Service) -> bool:
    return started.request("GET", "/v2").status == 503


def test_sigterm_during_the_start_ends_it_at_once(own_pod: Pod, tmp_path: Path) -> None:
    """Process 1 has no default action for the signal, so the handler comes before the slow imports."""
    folder = model_folder(tmp_path / "model")
    with running_server(own_pod, folder, tmp_path / "server.log") as container:
        until("the handler is there", lambda: _handles(container.pid, signal.SIGTERM))
        assert container.lines == []
        os.kill(container.pid, signal.SIGTERM)
        assert container.process.wait(30) == 0


def _handles(pid: int, which: signal.Signals) -> bool:
    fields = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    return fields["Name"].startswith("python") and bool(int(fields["SigCgt"], 16) & 1 << which - 1)


def test_nothing_of_a_container_outlives_the_test_that_runs_it(own_pod: Pod, tmp_path: Path) -> None:
    """It has another user than the test, and the kernel clears the parent-death signal of who changes its user."""
    folder = model_folder(tmp_path / "model")
    with running_server(own_pod, folder, tmp_path / "server.log") as container:
        until("the handler is there", lambda: _handles(container.pid, signal.SIGTERM))
        first = Path(f"/proc/{container.pid}")
    until("its process 1 is gone", lambda: not first.exists(), timeout=10)
