"""Values against limits: comparison, distance, and the figures people read. Pure."""

from __future__ import annotations

import math

from verticalmodel.api.operatingstandard import COMPARISONS, Clause

_DIGITS = 4


def holds(clause: Clause, value: float) -> bool:
    """Whether the value is on the right side of the clause's limit; the limit itself is."""
    return margin(clause, value) >= 0


def margin(clause: Clause, value: float) -> float:
    """How far the value is on the right side of the limit, in the clause's unit; negative on the wrong side."""
    if clause.comparator == "AtLeast":
        return value - clause.limit
    if clause.comparator == "AtMost":
        return clause.limit - value
    # Equal numbers that were computed on different ways differ in their last bits.
    return 0.0 if math.isclose(value, clause.limit, rel_tol=1e-9, abs_tol=1e-12) else -abs(value - clause.limit)


def rounded(clause: Clause, value: float) -> float:
    """The value with four significant digits, or as it is where rounding would change sides."""
    short = float(f"{value:.{_DIGITS}g}")
    return short if holds(clause, short) == holds(clause, value) else value


def shown(clause: Clause, value: float) -> str:
    """Value and limit for people, for example `1.2 TLS, limit at least 1.3`."""
    return f"{rounded(clause, value):.10g} {clause.unit}, limit {COMPARISONS[clause.comparator]} {clause.limit:.10g}"
