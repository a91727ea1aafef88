"""What a measure returns and what the status holds of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from verticalmodel.api.conditions import ClauseReason, Status


@dataclass(frozen=True)
class Verdict:
    """One clause, judged: three-valued, with the number behind it."""

    clause: int
    condition: str
    status: Status
    reason: ClauseReason
    message: str
    mandatory: bool = True
    value: float | None = None
    unit: str | None = None
    limit: float | None = None
    instance: str | None = None
    valid_until: datetime | None = None
    """Earliest expiry of the evidence behind it; only a True has one."""
