"""From HTTP bytes to a KServe InferRequest and back; whatever is malformed is an InvalidInput, never a crash.

KServe 0.21 decodes both forms of the body, but answers 500 to a malformed binary one (a missing key, a number that
is none, a length that is wrong), so the JSON part is checked here first. Open Inference Protocol v2 and its binary
tensor data extension.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Annotated, Any

import kserve
import orjson
from kserve.errors import InferenceError, InvalidInput
from kserve.protocol.rest.v2_datamodels import InferenceRequest
from pydantic import BaseModel, Field, StrictInt, StrictStr, ValidationError

BINARY_HEADER = "inference-header-content-length"
"""Length of the JSON part when raw tensors follow it."""


class _BinaryInput(BaseModel):
    class Parameters(BaseModel):
        binary_data_size: Annotated[StrictInt, Field(ge=0)] | None = None

    name: StrictStr
    shape: list[StrictInt]
    datatype: StrictStr
    parameters: Parameters | None = None
    data: list[Any] | None = None


class _BinaryOutput(BaseModel):
    name: StrictStr
    parameters: dict[str, Any] | None = None


class _BinaryRequest(BaseModel):
    id: StrictStr | None = None
    parameters: dict[str, Any] | None = None
    inputs: list[_BinaryInput]
    outputs: list[_BinaryOutput] | None = None


def decode(body: bytes, headers: Mapping[str, str], model_name: str) -> Any:
    """The InferRequest in an HTTP body. Raises InvalidInput naming the field that is wrong."""
    length = headers.get(BINARY_HEADER)
    if length is None:
        return kserve.InferRequest.from_inference_request(_validated(InferenceRequest, body), model_name)
    if not length.isascii() or not length.isdigit() or int(length) > len(body):
        raise InvalidInput(f"{BINARY_HEADER} is {length!r}; it takes the length of the JSON part of {len(body)} bytes")
    json_length = int(length)
    request = _validated(_BinaryRequest, body[:json_length])
    raw = sum(
        tensor.parameters.binary_data_size
        for tensor in request.inputs
        if tensor.data is None and tensor.parameters and tensor.parameters.binary_data_size
    )
    if raw != len(body) - json_length:
        raise InvalidInput(
            f"{len(body) - json_length} bytes follow the JSON; the inputs' binary_data_size adds to {raw}"
        )
    try:
        return kserve.InferRequest.from_bytes(body, json_length, model_name)
    except (ValueError, struct.error, InferenceError) as error:  # a size that does not fit the shape or datatype
        raise InvalidInput(f"binary input data does not fit its shape and datatype: {error}") from error


def encode(response: Any) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an InferResponse."""
    content, json_length = response.to_rest()
    if json_length is None:
        return orjson.dumps({key: value for key, value in content.items() if value is not None}), {
            "content-type": "application/json"
        }
    return content, {"content-type": "application/octet-stream", BINARY_HEADER: str(json_length)}


def _validated(shape: Any, body: bytes) -> Any:
    try:
        return shape.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the body is not JSON: {error}") from error
    except ValidationError as error:
        raise InvalidInput("; ".join(_complaint(detail) for detail in error.errors()[:5])) from error


def _complaint(detail: Any) -> str:
    where = ".".join(str(part) for part in detail["loc"]) or "body"
    return f"{where}: {detail['msg']}"
