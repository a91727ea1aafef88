"""One file per measure: what it reads, what it ignores, and one pure function. MEASURES alone lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed
from verticalmodel.judge.measures import sandbox_enforced, transport_encrypted
from verticalmodel.judge.verdict import Verdict

__all__ = ["MEASURES", "Measure"]

Measure = Callable[[Clause, Observed], Verdict]

MEASURES: Mapping[str, Measure] = {
    sandbox_enforced.NAME: sandbox_enforced.sandbox_enforced,
    transport_encrypted.NAME: transport_encrypted.transport_encrypted,
}
