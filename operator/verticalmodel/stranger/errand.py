"""What a stranger is sent to try, and what it brings back; JSON on the wire. Pure."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, StringConstraints

__all__ = ["ANSWERED", "CONNECTED", "MOST_TARGETS", "PATH", "Address", "Errand", "Report"]

PATH: Final = "/errands"
MOST_TARGETS: Final = 16
CONNECTED: Final = "connected"
"""A connection came about: the stranger got through."""
ANSWERED: Final = "answered"
"""First word where the API server did not refuse."""

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
_Target = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,40}$")]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Address(_Wire):
    """Where a TCP connection is tried."""

    host: IPvAnyAddress
    port: Annotated[int, Field(ge=1, le=65535)]


class Errand(_Wire):
    """Try to connect to each target, and to read what belongs to a pod and its namespace by the API."""

    namespace: _Name
    pod: _Name
    targets: Annotated[dict[_Target, Address], Field(min_length=1, max_length=MOST_TARGETS)]
    control: Address
    """What anybody may connect to: where that fails too, the stranger's own network is broken."""


class Report(_Wire):
    """What became of each attempt, by `net.TARGET`, `api.RESOURCE`, and of the controls, by `control.NAME`."""

    outcomes: dict[str, str]
    gap_seconds: float
    """Between the network's two controls, on one monotonic clock."""
