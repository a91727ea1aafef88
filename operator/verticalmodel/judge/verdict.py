"""What a measure returns and what the status holds of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from verticalmodel.api.conditions import MESSAGE_LIMIT, ClauseReason, Status


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
    lifetime_seconds: int | None = None
    """How long one look holds by the standard; sets how often a refreshed valid_until is worth a write."""


@dataclass(frozen=True)
class Rollup:
    """One condition that sums up more than a clause; `type` and `reason` are constants that users rely on."""

    type: str
    status: Status
    reason: str
    message: str


def bounded(text: str) -> str:
    """`text` on one line, printable, at most MESSAGE_LIMIT characters; what is cut off is marked by an ellipsis."""
    return shortened(text, MESSAGE_LIMIT)


def shortened(text: str, limit: int) -> str:
    """`text` on one line, printable, at most `limit` characters; what is cut off is marked by an ellipsis."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
