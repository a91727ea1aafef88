"""Every kind of tensor goes through the reference runtime whole, or is refused for what is wrong with it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.local_pod import Pod, pod
from e2e.local_service import MODEL, Service, running_server, service
from onnx_bytes import (
    BOOL,
    FLOAT,
    FLOAT16,
    INT8,
    INT64,
    STRING,
    floats,
    given,
    integers,
    model,
    node,
    result,
    sequence,
    tensor,
)

pytestmark = pytest.mark.e2e

TYPED = model(
    *(node("Identity", [name], [f"{name}_out"]) for name in ("word", "small", "flag", "half")),
    node("Add", ["left", "right"], ["sum"]),
    node("Gather", ["table", "index"], ["picked"]),
    floats("table", [10, 20]),
    *(given(name, tensor(FLOAT, "rows")) for name in ("left", "right")),
    *(given(name, tensor(kind, "rows")) for name, kind in (("word", STRING), ("small", INT8), ("flag", BOOL))),
    given("half", tensor(FLOAT16, "rows")),
    given("index", tensor(INT64, "picks")),
    *(
        result(f"{name}_out", tensor(kind, "rows"))
        for name, kind in (("word", STRING), ("small", INT8), ("flag", BOOL))
    ),
    result("half_out", tensor(FLOAT16, "rows")),
    result("sum", tensor(FLOAT, "rows")),
    result("picked", tensor(FLOAT, "picks")),
)
HALF = struct.pack("<2e", 0.5, 1.5)
JSON_OUTPUTS = ("word_out", "small_out", "flag_out", "sum", "picked")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("typed")
    (folder / "typed").mkdir()
    (folder / "typed/typed.onnx").write_bytes(TYPED)
    with service(folder, model=folder / "typed") as started:
        yield started


@pytest.fixture
def own_pod() -> Iterator[Pod]:
    with pod() as started:
        yield started


def inputs(**changes: Any) -> dict[str, dict[str, Any]]:
    """Good values for every input, by name; `changes` replaces the data of some."""
    values = {
        "left": ("FP32", [1.5, -2.0]),
        "right": ("FP32", [1, 2]),
        "word": ("BYTES", ["héllo", ""]),
        "small": ("INT8", [-128, 127]),
        "flag": ("BOOL", [True, False]),
        "index": ("INT64", [1, 0, 1]),
    }
    tensors = {
        name: {"name": name, "shape": [len(value)], "datatype": datatype, "data": changes.get(name, value)}
        for name, (datatype, value) in values.items()
    }
    for name, value in changes.items():
        tensors[name]["shape"] = [len(value)]
    return tensors


def ask(serving: Service, *outputs: str, **changes: Any) -> Any:
    """One inference with the FP16 input in binary, which is the only way that the protocol has for it."""
    half = {"name": "half", "shape": [2], "datatype": "FP16", "parameters": {"binary_data_size": len(HALF)}}
    request = {"inputs": [*inputs(**changes).values(), half], "outputs": [{"name": name} for name in outputs]}
    head = json.dumps(request).encode()
    return serving.infer(head + HALF, {"inference-header-content-length": str(len(head))})


def test_every_datatype_goes_in_and_comes_out_as_it_was(serving: Service) -> None:
    """Text of any alphabet, the ends of an integer's range, truth values, and numbers in between."""
    answer = ask(serving, *JSON_OUTPUTS)
    assert {output["name"]: (output["datatype"], output["data"]) for output in answer.json["outputs"]} == {
        "word_out": ("BYTES", ["héllo", ""]),
        "small_out": ("INT8", [-128, 127]),
        "flag_out": ("BOOL", [True, False]),
        "sum": ("FP32", [2.5, 0.0]),
        "picked": ("FP32", [20.0, 10.0, 20.0]),
    }


def test_half_precision_goes_in_and_comes_out_in_binary(serving: Service) -> None:
    """Bit by bit."""
    half = {"name": "half", "shape": [2], "datatype": "FP16", "parameters": {"binary_data_size": len(HALF)}}
    wanted = {"name": "half_out", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [*inputs().values(), half], "outputs": [wanted]}).encode()
    answer = serving.infer(head + HALF, {"inference-header-content-length": str(len(head))})
    length = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.body[:length])["outputs"]
    assert (answer.status, output["datatype"], output["shape"]) == (200, "FP16", [2])
    assert answer.body[length:] == HALF


def test_half_precision_as_json_is_refused_for_what_it_is(serving: Service) -> None:
    """The protocol has no JSON form of it; the answer says what to do instead."""
    as_json = {"name": "half", "shape": [2], "datatype": "FP16", "data": [0.5, 1.5]}
    answer = serving.infer({"inputs": [*inputs().values(), as_json]})
    assert answer.status == 400
    assert "binary" in answer.json["error"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"small": [-129, 0]}, "-128 to 127"),
        ({"small": [0, 128]}, "-128 to 127"),
        ({"small": [1.5, 0]}, "INT8"),
        ({"index": [1 << 70, 0, 0]}, "INT64"),
        ({"flag": [1, 0]}, "BOOL"),
        ({"word": [1, 2]}, "BYTES"),
        ({"left": [1.0, 2.0, 3.0]}, "'rows' is"),
        ({"left": ["NaN", 0]}, "FP32"),
        ({"index": [0, 2, 0]}, "does not take these values"),
    ],
    ids=["below", "above", "fraction", "huge", "number", "numbers", "unequal", "text", "outside the table"],
)
def test_a_value_that_the_model_cannot_take_is_a_400(serving: Service, changes: Any, complaint: str) -> None:
    """Out of a type's range, of another type, of a size that disagrees with another input, or outside of a table."""
    answer = ask(serving, *JSON_OUTPUTS, **changes)
    assert answer.status == 400
    assert complaint in answer.json["error"]


def test_a_model_that_does_not_answer_its_warm_up_never_becomes_ready(own_pod: Pod, tmp_path: Path) -> None:
    """It loads, but its first answer is an error: it ends with the reason instead of serving errors."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.onnx").write_bytes(
        model(
            node("Add", ["index", "five"], ["beyond"]),
            node("Gather", ["table", "beyond"], ["picked"]),
            floats("table", [10, 20]),
            integers("five", [5]),
            given("index", tensor(INT64, "picks")),
            result("picked", tensor(FLOAT, "picks")),
        )
    )
    with running_server(own_pod, tmp_path / "model", tmp_path / "server.log") as container:
        assert container.process.wait(60) == 1
        assert [line for line in container.lines if '"ready"' in line] == []
    assert "does not answer its warm-up" in (tmp_path / "server.messages/reason").read_text()


def test_a_model_whose_answer_is_no_tensor_is_refused_at_the_start(own_pod: Pod, tmp_path: Path) -> None:
    """The protocol carries tensors; a classifier exported with a list of maps, say, is not found out by a client."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.onnx").write_bytes(
        model(
            node("SequenceConstruct", ["left"], ["listed"]),
            given("left", tensor(FLOAT, "rows")),
            result("listed", sequence(tensor(FLOAT, "rows"))),
        )
    )
    with running_server(own_pod, tmp_path / "model", tmp_path / "server.log") as container:
        assert container.process.wait(60) == 1
    reason = (tmp_path / "server.messages/reason").read_text()
    assert "'listed' has type seq(tensor(float))" in reason


def test_metadata_tells_the_types_of_this_model(serving: Service) -> None:
    """As its file has them."""
    metadata = serving.request("GET", f"/v2/models/{MODEL}").json
    assert {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]} == {
        "left": "FP32",
        "right": "FP32",
        "word": "BYTES",
        "small": "INT8",
        "flag": "BOOL",
        "half": "FP16",
        "index": "INT64",
    }
    assert metadata["properties"]["producer_name"] == "by hand"
