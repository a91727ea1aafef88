"""What an unsealing says at its end: at most 4096 bytes of JSON, the container's termination message. Pure."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from verticalmodel.seal.reasons import Reason

__all__ = ["MAX_REPORT_BYTES", "Report", "Seconds", "encode", "parse"]

MAX_REPORT_BYTES = 4096
"""What the kubelet keeps of a termination message."""
_MAX_MESSAGE = 1024

_Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
_Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="ignore"
    )


class Seconds(_Frozen):
    """Wall time by phase, on one monotonic clock. Fetching and unsealing overlap: each has its share of the workers'
    busy time, so that the phases sum to the whole.
    """

    fetched: float = Field(default=0, ge=0)
    unsealed: float = Field(default=0, ge=0)
    total: float = Field(default=0, ge=0)


class Report(_Frozen):
    """One run. What was not learned before a refusal is None."""

    reason: Reason
    message: Annotated[str, StringConstraints(max_length=_MAX_MESSAGE)] = ""
    sealed: bool | None = None
    artifact: _Hex | None = Field(default=None, description="Random id of a sealed artifact.")
    digest: _Digest | None = Field(default=None, description="Of what was found, whether or not it was wanted.")
    key_id: _Hex | None = Field(default=None, description="Which key the artifact was sealed with; reveals nothing.")
    bytes: int = Field(default=0, ge=0, description="Delivered plaintext.")
    files: int = Field(default=0, ge=0)
    needed_bytes: int | None = Field(default=None, ge=0, description="With TooLarge: the least limit that would do.")
    seconds: Seconds = Seconds()

    @property
    def succeeded(self) -> bool:
        """Whether the parameters are in place; of a check, whether they could be."""
        return self.reason.succeeded

    @property
    def bytes_per_second(self) -> float:
        """Delivered plaintext over the whole wall time; 0 where nothing was delivered."""
        return self.bytes / self.seconds.total if self.seconds.total else 0.0


def encode(report: Report) -> bytes:
    """The report as UTF-8 JSON of at most MAX_REPORT_BYTES; the message is cut where it would not fit."""
    wire = report.model_dump(mode="json", by_alias=True, exclude_none=True)
    derived = {
        "outcome": "Succeeded" if report.succeeded else "Refused",
        "bytesPerSecond": round(report.bytes_per_second),
    }
    message = report.message
    # A character is one to twelve bytes of JSON.
    while len(text := _json(derived | wire | {"message": message})) > MAX_REPORT_BYTES:
        message = message[: len(message) * 3 // 4]
    return text


def parse(text: str) -> Report | None:
    """The report in a termination message, or None where it is none (a container killed before its end)."""
    try:
        return Report.model_validate_json(text)
    except ValidationError:
        return None


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
