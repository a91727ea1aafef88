"""Who wrote an ONNX file, and for which operator sets: the first fields of its ModelProto.

Clause 6 counts an exported model by its opset and producer, which ONNX Runtime does not report. Parsing the
file with the `onnx` package would hold a second copy of the weights in memory next to the session's, so
this walks the top-level fields of the mapped file and steps over the graph. Format: onnx/onnx.proto, message
ModelProto; encoding: protobuf wire format, https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Field numbers of ModelProto and OperatorSetIdProto.
_IR_VERSION, _PRODUCER_NAME, _PRODUCER_VERSION, _OPSET_IMPORT = 1, 2, 3, 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
# Names and opset entries are short; a longer one is damage, and is not worth copying out of the map.
_MAX_HEADER_FIELD = 4096

DEFAULT_DOMAIN = "ai.onnx"
"""The operator set that files name by an empty string."""


class NotONNXError(ValueError):
    """The bytes are not a protobuf message, so not an ONNX model."""


@dataclass(frozen=True)
class OnnxHeader:
    """What a ModelProto says of itself; opset versions are keyed by domain, the default one as `ai.onnx`."""

    ir_version: int = 0
    producer_name: str = ""
    producer_version: str = ""
    opsets: Mapping[str, int] = field(default_factory=dict)


def read_header(path: Path) -> OnnxHeader:
    """The header of the ONNX file at `path`. Raises NotONNXError for damaged bytes, OSError for an unreadable file."""
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            raise NotONNXError("the file is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return parse_header(mapped)


def parse_header(buffer: bytes | mmap.mmap) -> OnnxHeader:
    """The header of the ModelProto in `buffer`. Raises NotONNXError for bytes that are no ModelProto."""
    ir_version = 0
    names = {_PRODUCER_NAME: "", _PRODUCER_VERSION: ""}
    opsets: dict[str, int] = {}
    for number, value in _fields(buffer, 0, len(buffer)):
        if number == _IR_VERSION and isinstance(value, int):
            ir_version = value
        elif number in names and isinstance(value, slice):
            names[number] = _text(buffer, value)
        elif number == _OPSET_IMPORT and isinstance(value, slice):
            domain, version = _opset(buffer, value)
            opsets[domain] = version
    if ir_version == 0 or not opsets:
        raise NotONNXError("no IR version or no operator set: not an ONNX model")
    return OnnxHeader(ir_version, names[_PRODUCER_NAME], names[_PRODUCER_VERSION], opsets)


def _opset(buffer: bytes | mmap.mmap, where: slice) -> tuple[str, int]:
    domain, version = "", 0
    for number, value in _fields(buffer, where.start, where.stop):
        if number == _OPSET_DOMAIN and isinstance(value, slice):
            domain = _text(buffer, value)
        elif number == _OPSET_VERSION and isinstance(value, int):
            version = value
    return domain or DEFAULT_DOMAIN, version


def _text(buffer: bytes | mmap.mmap, where: slice) -> str:
    if where.stop - where.start > _MAX_HEADER_FIELD:
        raise NotONNXError(f"a header field of {where.stop - where.start} bytes")
    try:
        return buffer[where].decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotONNXError("a header field is not UTF-8") from error


def _fields(buffer: bytes | mmap.mmap, start: int, stop: int) -> Iterator[tuple[int, int | slice]]:
    """Field numbers of one message with their varint, or the place of their bytes."""
    at = start
    while at < stop:
        key, at = _varint(buffer, at, stop)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise NotONNXError("field number 0")
        if wire_type == _VARINT:
            value, at = _varint(buffer, at, stop)
            yield number, value
            continue
        if wire_type == _BYTES:
            length, at = _varint(buffer, at, stop)
        elif wire_type in (_FIXED64, _FIXED32):
            length = 8 if wire_type == _FIXED64 else 4
        else:
            raise NotONNXError(f"wire type {wire_type}")
        if length > stop - at:
            raise NotONNXError("cut short")
        yield number, slice(at, at + length)
        at += length


def _varint(buffer: bytes | mmap.mmap, at: int, stop: int) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if at + index >= stop:
            raise NotONNXError("cut short")
        byte = buffer[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise NotONNXError("a number of more than 64 bits")
