"""Producer and operator sets are read from the file's first fields, and damage is told apart from a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_bytes import data, number, opset, varint
from verticalmodel.serving.onnx_header import NotONNXError, OnnxHeader, parse_header, read_header

GRAPH = data(7, b"\xff" * 700)
MODEL = b"".join(
    [
        number(1, 10),
        data(2, "pytorch"),
        data(3, "2.5.1"),
        number(5, 1),
        GRAPH,
        opset("", 18),
        opset("ai.onnx.ml", 3),
        data(14, "key"),
    ]
)


def test_the_header_names_producer_and_operator_sets() -> None:
    """The default operator set, which files name by an empty string, gets its proper name."""
    assert parse_header(MODEL) == OnnxHeader(10, "pytorch", "2.5.1", {"ai.onnx": 18, "ai.onnx.ml": 3})


def test_the_fields_may_come_in_any_order_and_with_unknown_ones_between() -> None:
    """Protobuf promises no order, and later versions of the format add fields of every wire type."""
    fixed = varint(90 << 3 | 1) + b"\0" * 8 + varint(91 << 3 | 5) + b"\0" * 4
    content = opset("", 21) + fixed + GRAPH + data(2, b"skl2onnx") + number(1, 9)
    assert parse_header(content) == OnnxHeader(9, "skl2onnx", "", {"ai.onnx": 21})


def test_a_file_is_read_without_holding_it_in_memory(tmp_path: Path) -> None:
    """From a mapped file the answer is the same."""
    path = tmp_path / "model.onnx"
    path.write_bytes(MODEL)
    assert read_header(path) == parse_header(MODEL)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a model at all",
        b'{"a": "json file"}',
        MODEL[: len(MODEL) // 2],
        MODEL[:-1],
        number(1, 10),
        opset("", 18),
        number(1, 10) + data(2, b"\xff\xfe") + opset("", 18),
        number(1, 10) + data(2, b"x" * 5000) + opset("", 18),
        b"\xff" * 20,
    ],
    ids=["empty", "text", "json", "half", "last byte", "no opset", "no IR", "not UTF-8", "long name", "endless number"],
)
def test_what_is_no_whole_model_is_refused(content: bytes, tmp_path: Path) -> None:
    """Every kind of damage is the same kind of error, in memory and in a file."""
    with pytest.raises(NotONNXError):
        parse_header(content)
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(NotONNXError):
        read_header(path)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_header_or_an_error_never_a_crash(content: bytes) -> None:
    """The file comes from outside."""
    try:
        header = parse_header(content)
    except NotONNXError:
        return
    assert header.ir_version > 0
    assert header.opsets


@given(st.integers(min_value=0, max_value=len(MODEL) - 1))
def test_a_model_cut_anywhere_is_refused_or_has_all_that_it_claims(cut: int) -> None:
    """A cut inside a field is seen; a cut between fields loses whole ones only."""
    try:
        header = parse_header(MODEL[:cut])
    except NotONNXError:
        return
    assert header.opsets.items() <= {"ai.onnx": 18, "ai.onnx.ml": 3}.items()
