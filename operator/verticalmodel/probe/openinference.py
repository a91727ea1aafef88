"""Open Inference Protocol v2: a harmless request formed from a model's metadata, and what makes an answer good. Pure.

Source: the protocol's inference and model metadata calls, https://github.com/kserve/open-inference-protocol, REST.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

__all__ = ["UnusableError", "answer_fault", "encoded", "json_object", "request_body", "sample_object"]

ELEMENT_LIMIT = 262_144
"""Most elements of all inputs that the prober makes up: a canary must stay harmless, to the prober as well."""
_INPUT_LIMIT = 256
"""Most inputs that it makes up."""
_RANK_LIMIT = 16
"""Most dimensions of a tensor; a hostile answer must not cost more than its bytes."""
_NAME_LIMIT = 40
_INTEGERS = {"UINT8": 8, "UINT16": 16, "UINT32": 32, "UINT64": 64, "INT8": 7, "INT16": 15, "INT32": 31, "INT64": 63}
_FLOATS = frozenset({"FP16", "BF16", "FP32", "FP64"})
_TYPES = frozenset({"BOOL", "BYTES", *_INTEGERS, *_FLOATS})


class UnusableError(Exception):
    """No harmless request can be formed; the text says what is missing. It says nothing about the model."""


def request_body(metadata: Mapping[str, Any], sample: str, *, nonce: str, turn: int) -> bytes:
    """Body of an infer request with `nonce` as its id.

    The runtime's `sample` request where there is one; else inputs as `metadata` describes them, with free dimensions
    of 1 and values that differ from one `turn` to the next. Raises UnusableError.
    """
    if sample:
        return encoded({**sample_object(sample), "id": nonce})
    inputs = metadata.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise UnusableError("the metadata names no inputs; set sampleRequest")
    if len(inputs) > _INPUT_LIMIT:
        raise UnusableError(f"the metadata names {len(inputs)} inputs, more than {_INPUT_LIMIT}; set sampleRequest")
    made: list[dict[str, Any]] = []
    for one in inputs:
        made.append(_input(one, turn, room=ELEMENT_LIMIT - sum(len(before["data"]) for before in made)))
    return encoded({"id": nonce, "inputs": made})


def encoded(request: Mapping[str, Any]) -> bytes:
    """A request as JSON. Raises UnusableError where it is nested too deep."""
    try:
        return orjson.dumps(request)
    except orjson.JSONEncodeError:
        raise UnusableError("sampleRequest is nested too deep") from None


def sample_object(sample: str) -> dict[str, Any]:
    """The runtime's sample request. Raises UnusableError where it is no JSON object."""
    request = json_object(sample)
    if isinstance(request, str):
        raise UnusableError(f"sampleRequest is {request}")
    return request


def json_object(text: bytes | str) -> dict[str, Any] | str:
    """The JSON object that a text holds, or what it is instead, in words."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return "not JSON"
    return found if isinstance(found, dict) else "not an object"


def _input(tensor: object, turn: int, *, room: int) -> dict[str, Any]:
    name, datatype, shape = _tensor(tensor)
    if datatype not in _TYPES:
        raise UnusableError(f"input {_shown(name)} has an unknown datatype; set sampleRequest")
    fixed = [1 if length < 0 else length for length in shape]
    count = math.prod(fixed)
    if count > room:
        raise UnusableError(
            f"up to input {_shown(name)} there are more than {ELEMENT_LIMIT} elements; set sampleRequest"
        )
    return {
        "name": name,
        "datatype": datatype,
        "shape": fixed,
        "data": [_value(datatype, turn, i) for i in range(count)],
    }


def _shown(name: str) -> str:
    """A name from outside, fit for a log and a status."""
    return "".join(one if one.isprintable() else "?" for one in name[:_NAME_LIMIT])


def _tensor(tensor: object) -> tuple[str, str, Sequence[int]]:
    if not isinstance(tensor, dict):
        raise UnusableError("the metadata's inputs are not objects; set sampleRequest")
    name, datatype, shape = tensor.get("name"), tensor.get("datatype"), _shape(tensor.get("shape"), least=-1)
    if not isinstance(name, str) or not isinstance(datatype, str) or shape is None:
        raise UnusableError("the metadata's inputs lack name, datatype or shape; set sampleRequest")
    return name, datatype, shape


def _shape(shape: object, *, least: int) -> list[int] | None:
    if not isinstance(shape, list) or len(shape) > _RANK_LIMIT:
        return None
    return shape if all(type(length) is int and length >= least for length in shape) else None


def _value(datatype: str, turn: int, index: int) -> float | int | bool | str:
    """A small number that every integer type holds too; not constant, so that a stored answer does not fit."""
    number = (turn * 7 + index * 3) % 11
    if datatype in _FLOATS:
        return number / 10
    if datatype == "BOOL":
        return number % 2 == 1
    return str(number) if datatype == "BYTES" else number


def answer_fault(body: bytes, metadata: Mapping[str, Any], *, model: str, nonce: str) -> str:
    """Why this is no good answer to the request with this nonce; an empty string where it is one.

    Good: JSON without NaN, the model's name, the id that was sent, and at least one output, each with a known datatype,
    a shape that holds as many elements as there are and fits the metadata, and finite numbers only.
    """
    answer = json_object(body)
    if isinstance(answer, str):
        return answer
    if answer.get("model_name") != model:
        return "another model_name"
    if answer.get("id") != nonce:
        return "another id"
    outputs = answer.get("outputs")
    if not isinstance(outputs, list) or not outputs:
        return "no outputs"
    said = metadata.get("outputs")
    named = (
        [one for one in said if isinstance(one, dict) and isinstance(one.get("name"), str)]
        if isinstance(said, list)
        else []
    )
    declared = {one["name"]: one for one in named}
    return next((fault for one in outputs if (fault := _output_fault(one, declared))), "")


def _output_fault(output: object, declared: Mapping[Any, Mapping[str, Any]]) -> str:
    if not isinstance(output, dict) or not isinstance(output.get("name"), str):
        return "an output without a name"
    fault = _tensor_fault(output, declared.get(output["name"], {} if not declared else None))
    return f"output {_shown(output['name'])} {fault}" if fault else ""


def _tensor_fault(output: Mapping[str, Any], said: Mapping[str, Any] | None) -> str:
    datatype, shape = output.get("datatype"), _shape(output.get("shape"), least=0)
    if said is None:
        return "is not in the metadata"
    if not isinstance(datatype, str) or datatype not in _TYPES:
        return "has an unknown datatype"
    if shape is None or not _fits(shape, said.get("shape")):
        return "has another shape than the metadata says" if shape is not None else "has no shape"
    elements = _flatten(output.get("data"))
    if len(elements) != math.prod(shape):
        return f"has {len(elements)} elements for another shape"
    return "" if all(_is_element(one, datatype) for one in elements) else f"holds other than finite {datatype}"


def _fits(shape: Sequence[int], said: object) -> bool:
    if not isinstance(said, list):
        return True
    return len(shape) == len(said) and all(
        limit == length or (type(limit) is int and limit < 0) for length, limit in zip(shape, said, strict=True)
    )


def _flatten(data: object) -> list[object]:
    """Elements of a tensor, which may be nested or flat (row-major); none of what is no list.

    Each list is opened once, so the cost is that of the answer's bytes, whatever it is made of.
    """
    if not isinstance(data, list):
        return []
    level: list[object] = data
    for _ in range(_RANK_LIMIT):
        rows = [row for row in level if isinstance(row, list)]
        if not rows or len(rows) < len(level):
            break
        level = [one for row in rows for one in row]
    return level


def _is_element(value: object, datatype: str) -> bool:
    if datatype == "BYTES":
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if datatype in _INTEGERS:
        return isinstance(value, int) and abs(value) <= 2 ** _INTEGERS[datatype]
    return isinstance(value, int | float) and math.isfinite(value)
