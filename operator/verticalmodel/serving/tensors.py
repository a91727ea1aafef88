"""Between the protocol's tensors and ONNX Runtime's: names, datatypes, shapes, and every reason to refuse one.

Open Inference Protocol v2, "Inference Request JSON Object" and "Tensor Data Types". A refusal is an InvalidInput
(HTTP 400) whose message names the tensor, what it was and what the model takes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from kserve.errors import InvalidInput

# ONNX Runtime's names on the left. bfloat16 has no numpy type, sequences and maps no protocol datatype.
PROTOCOL_DATATYPES: Mapping[str, str] = {
    "tensor(bool)": "BOOL",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}

_NUMPY_TYPES: Mapping[str, Any] = {
    "BOOL": np.bool_,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
# The JSON values that each kind of array takes: no string is a number, no fraction an integer, no number a truth value.
_ACCEPTED_VALUES: Mapping[str, frozenset[type]] = {
    "b": frozenset({bool}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "f": frozenset({int, float}),
    "O": frozenset({str}),
}


class UnservableTensorError(ValueError):
    """A model input or output that the protocol cannot carry."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model; a dimension is its size, the name of a symbolic one, or None when unknown."""

    name: str
    datatype: str
    dimensions: tuple[int | str | None, ...]

    @classmethod
    def of(cls, node: Any) -> TensorSpec:
        """From ONNX Runtime's NodeArg. Raises UnservableTensorError for a type that the protocol does not have."""
        datatype = PROTOCOL_DATATYPES.get(node.type)
        if datatype is None:
            raise UnservableTensorError(
                f"tensor {node.name!r} has type {node.type}; the protocol carries {', '.join(PROTOCOL_DATATYPES)}"
            )
        return cls(node.name, datatype, tuple(node.shape))

    def metadata(self) -> dict[str, Any]:
        """As "Model Metadata Response JSON Object" wants it: -1 stands for a dimension of any size."""
        shape = [size if isinstance(size, int) else -1 for size in self.dimensions]
        return {"name": self.name, "datatype": self.datatype, "shape": shape}

    def smallest(self) -> Any:
        """Zeros (or empty strings) of this shape, with 1 for every dimension of any size: the warm-up's input."""
        shape = tuple(size if isinstance(size, int) else 1 for size in self.dimensions)
        if self.datatype == "BYTES":
            return np.full(shape, "", dtype=np.object_)
        return np.zeros(shape, dtype=_NUMPY_TYPES[self.datatype])


def feeds(inputs: Sequence[Any], specs: Sequence[TensorSpec]) -> dict[str, Any]:
    """Arrays to feed the session, by input name, from a request's KServe InferInputs.

    Raises InvalidInput for a missing, repeated or unknown name, a wrong datatype, rank or size, sizes that disagree
    on one symbolic dimension, and for data that is not of its datatype or does not fill its shape.
    """
    by_name = {spec.name: spec for spec in specs}
    sent = [tensor.name for tensor in inputs]
    unknown = sorted(set(sent) - set(by_name))
    missing = sorted(set(by_name) - set(sent))
    if unknown or missing or len(sent) != len(set(sent)):
        raise InvalidInput(f"inputs are {sent}; the model takes each of {sorted(by_name)} exactly once")
    sizes: dict[str, int] = {}
    return {tensor.name: _array(tensor, by_name[tensor.name], sizes) for tensor in inputs}


def _array(tensor: Any, spec: TensorSpec, sizes: dict[str, int]) -> Any:
    if tensor.datatype != spec.datatype:
        raise InvalidInput(f"input {spec.name!r} has datatype {tensor.datatype!r}; the model takes {spec.datatype}")
    _check_shape(tensor.shape, spec, sizes)
    values = _values(tensor.data, spec)
    wanted = math.prod(tensor.shape)
    if values.size != wanted:
        raise InvalidInput(f"input {spec.name!r} has {values.size} values; its shape {tensor.shape} takes {wanted}")
    return values.reshape(tensor.shape)


def _check_shape(shape: Sequence[int], spec: TensorSpec, sizes: dict[str, int]) -> None:
    refusal = f"input {spec.name!r} has shape {list(shape)}; the model takes {spec.metadata()['shape']}"
    if len(shape) != len(spec.dimensions):
        raise InvalidInput(refusal)
    for size, dimension in zip(shape, spec.dimensions, strict=True):
        if size < 1:
            raise InvalidInput(f"{refusal}, and every dimension is at least 1")
        if isinstance(dimension, int) and size != dimension:
            raise InvalidInput(refusal)
        if isinstance(dimension, str) and sizes.setdefault(dimension, size) != size:
            raise InvalidInput(f"{refusal}, and {dimension!r} is {sizes[dimension]} in another input")


def _values(data: Any, spec: TensorSpec) -> Any:
    """The JSON list `data`, flat or nested, as an array of the tensor's datatype.

    It goes through an array of objects, because numpy would size an array of strings by its longest member: one
    long string among many short ones is then a request for all of the container's memory.
    """
    target = np.dtype(_NUMPY_TYPES[spec.datatype])
    refusal = f"input {spec.name!r} has data that is not {spec.datatype}"
    try:
        raw = np.array(data, dtype=np.object_)
    except ValueError as error:  # lists of unequal length, or nested too deeply
        raise InvalidInput(f"{refusal}: its lists are not of one shape") from error
    if not set(map(type, raw.flat)) <= _ACCEPTED_VALUES[target.kind]:
        raise InvalidInput(refusal)
    if raw.size == 0 or target.kind == "O":
        return raw
    if not _within(raw, target):
        limits = np.finfo(target) if target.kind == "f" else np.iinfo(target)
        raise InvalidInput(f"{refusal}: its values go from {limits.min} to {limits.max}")
    return raw.astype(target)


def _within(raw: Any, target: Any) -> bool:
    """Whether no value overflows `target`; NaN and infinity do not, a binary tensor may carry them on purpose."""
    if target.kind == "b":
        return True
    if target.kind in "iu":
        return bool(np.iinfo(target).min <= raw.min() and raw.max() <= np.iinfo(target).max)
    try:
        wide = raw.astype(np.float64)
    except OverflowError:  # an integer of more than 308 digits
        return False
    return bool((np.abs(wide[np.isfinite(wide)]) <= np.finfo(target).max).all())
