"""The record of bad input: what a test saw, in words for hack/bad_inputs.py. Only observations fit in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bad_inputs import Row
from verticalmodel.kube.errors import ApiError


@dataclass(frozen=True)
class Finding:
    """What a test found that is neither a condition nor an API error; the values are observed, the name is not."""

    what: str
    values: Sequence[object]

    def __str__(self) -> str:
        return f"{self.what}: {', '.join(map(str, self.values)) or 'none'}"


Seen = ApiError | Mapping[str, Any] | Finding
"""An API error, a condition, or a finding."""


def told(seen: Seen) -> str:
    """In the table's words."""
    if isinstance(seen, ApiError):
        causes = "; ".join(f"{cause.field}: {cause.message}" for cause in seen.causes)
        return f"API error {seen.status} {seen.reason}: {causes or seen}"
    if isinstance(seen, Finding):
        return str(seen)
    said = f": {seen['message']}" if seen.get("message") else ""
    return f"{seen['type']}={seen['status']}, {seen['reason']}{said}"


@dataclass
class BadInput:
    """The record of one test; its rows count once the test and its teardown have passed."""

    tier: str
    test: str
    rows: list[Row] = field(default_factory=list)

    def tried(
        self, case: str, given: str, *, produced: Seen | Sequence[Seen], way_back: str, ended: Seen | Sequence[Seen]
    ) -> None:
        """State a row: the input, what was observed of it, the way back, and what was observed at its end."""
        self.rows.append(Row(case, given, self.tier, _all(produced), way_back, _all(ended), self.test))


def _all(seen: Seen | Sequence[Seen]) -> tuple[str, ...]:
    return tuple(map(told, [seen] if isinstance(seen, ApiError | Mapping | Finding) else seen))
