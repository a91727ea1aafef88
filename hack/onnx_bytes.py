"""ONNX files written field by field, where a model of a particular shape is wanted and there is no exporter.

Field numbers are those of onnx/onnx.proto; the wire format is protobuf's.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

FLOAT, INT8, INT64, STRING, BOOL, FLOAT16 = 1, 3, 7, 8, 9, 10
"""TensorProto.DataType."""


def varint(value: int) -> bytes:
    """A number in base 128, least significant group first."""
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def number(field: int, value: int) -> bytes:
    """A varint field."""
    return varint(field << 3) + varint(value)


def data(field: int, value: bytes | str) -> bytes:
    """A length-delimited field: text, bytes or a message."""
    content = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(content)) + content


def opset(domain: str, version: int) -> bytes:
    """An `opset_import` of a model; the default domain is left out, as exporters do."""
    return data(8, (data(1, domain) if domain else b"") + number(2, version))


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """A node of a graph."""
    return data(
        1, b"".join(data(1, name) for name in inputs) + b"".join(data(2, name) for name in outputs) + data(4, operator)
    )


def floats(name: str, values: Sequence[float]) -> bytes:
    """An initializer of a graph: a vector of FP32."""
    raw = struct.pack(f"<{len(values)}f", *values)
    return data(5, number(1, len(values)) + number(2, FLOAT) + data(8, name) + data(9, raw))


def integers(name: str, values: Sequence[int]) -> bytes:
    """An initializer of a graph: a vector of INT64."""
    raw = struct.pack(f"<{len(values)}q", *values)
    return data(5, number(1, len(values)) + number(2, INT64) + data(8, name) + data(9, raw))


def tensor(element: int, size: str) -> bytes:
    """The type of a vector whose length has a name."""
    shape = data(1, data(2, size))
    return data(1, number(1, element) + data(2, shape))


def sequence(of: bytes) -> bytes:
    """The type of a list of tensors."""
    return data(4, data(1, of))


def given(name: str, type_: bytes) -> bytes:
    """An input of a graph."""
    return data(11, data(1, name) + data(2, type_))


def result(name: str, type_: bytes) -> bytes:
    """An output of a graph."""
    return data(12, data(1, name) + data(2, type_))


def model(*graph: bytes) -> bytes:
    """A model of the default operator set around a graph's fields."""
    return number(1, 9) + data(2, "by hand") + data(7, data(2, "graph") + b"".join(graph)) + opset("", 17)
