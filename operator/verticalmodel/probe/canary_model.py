"""A model of a few hundred bytes that multiplies by a number which only its maker knows: whoever answers has loaded it.

ONNX written field by field: the prober needs no exporter for one node. Field numbers are those of onnx/onnx.proto, the
wire format is protobuf's. Pure.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["INPUT", "OUTPUT", "canary_model"]

INPUT, OUTPUT = "x", "y"
_FACTOR: Final = "factor"
_FLOAT = 1
_IR_VERSION, _OPSET = 8, 13
"""Of 2021: every ONNX Runtime in use reads them."""


def canary_model(factor: float) -> bytes:
    """An ONNX model with y = x * factor, x and y FP32 of shape [1]."""
    initializer = _number(1, 1) + _number(2, _FLOAT) + _data(8, _FACTOR) + _data(9, struct.pack("<f", factor))
    multiply = _data(1, INPUT) + _data(1, _FACTOR) + _data(2, OUTPUT) + _data(4, "Mul")
    graph = (
        _data(1, multiply)
        + _data(2, "canary")
        + _data(5, initializer)
        + _data(11, _data(1, INPUT) + _data(2, _vector()))
        + _data(12, _data(1, OUTPUT) + _data(2, _vector()))
    )
    return _number(1, _IR_VERSION) + _data(2, "verticalmodel") + _data(7, graph) + _data(8, _number(2, _OPSET))


def _vector() -> bytes:
    """The type of a tensor of one FP32."""
    return _data(1, _number(1, _FLOAT) + _data(2, _data(1, _number(1, 1))))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _data(field: int, value: bytes | str) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])
