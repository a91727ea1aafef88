"""What sums up all clauses: Compliant, NoKnownBreach, how many are met, and until when that may be relied on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from verticalmodel.api.conditions import COMPLIANT, NO_KNOWN_BREACH, ClauseReason
from verticalmodel.judge.verdict import Rollup, Verdict, bounded

__all__ = [
    "ALL_CLAUSES_MET",
    "CLAUSES_BROKEN",
    "CLAUSES_UNKNOWN",
    "NOTHING_BROKEN",
    "NOT_MEASURED",
    "NO_STANDARD",
    "compliance",
    "met",
    "valid_until",
]

ALL_CLAUSES_MET = "AllClausesMet"
CLAUSES_BROKEN = "ClausesBroken"
CLAUSES_UNKNOWN = "ClausesUnknown"
NOTHING_BROKEN = "NothingBroken"
NOT_MEASURED = "NotMeasured"
NO_STANDARD = "NoStandard"

_LISTED = 12


def compliance(verdicts: Sequence[Verdict]) -> tuple[Rollup, Rollup]:
    """Compliant and NoKnownBreach over the mandatory clauses.

    Compliant: False where one is False and not waived, else Unknown where one is Unknown, else True. NoKnownBreach:
    False where one is False and not waived, True where something was measured and nothing is broken, Unknown where
    nothing was. A clause that is not applicable counts nowhere.
    """
    by_number = sorted(verdicts, key=lambda verdict: verdict.clause)
    counted = [verdict for verdict in by_number if verdict.mandatory and _applies(verdict)]
    broken = [verdict for verdict in counted if _breaks(verdict)]
    open_ = [verdict for verdict in counted if verdict.status == "Unknown"]
    if not counted:
        nothing = "There is no mandatory clause to judge: spec.standard must name an OperatingStandard that exists"
        return (
            Rollup(COMPLIANT, "Unknown", NO_STANDARD, nothing),
            Rollup(NO_KNOWN_BREACH, "Unknown", NO_STANDARD, nothing),
        )
    if broken:
        message = bounded(f"{len(broken)} of {len(counted)} mandatory clauses are broken: {_listed(broken)}")
        return (
            Rollup(COMPLIANT, "False", CLAUSES_BROKEN, message),
            Rollup(NO_KNOWN_BREACH, "False", CLAUSES_BROKEN, message),
        )
    return _compliant(counted, open_), _no_known_breach(counted, open_)


def _compliant(counted: Sequence[Verdict], open_: Sequence[Verdict]) -> Rollup:
    if open_:
        message = f"{len(open_)} of {len(counted)} mandatory clauses are not known: {_listed(open_)}"
        return Rollup(COMPLIANT, "Unknown", CLAUSES_UNKNOWN, bounded(message))
    return Rollup(COMPLIANT, "True", ALL_CLAUSES_MET, f"All {len(counted)} mandatory clauses hold or are waived")


def _no_known_breach(counted: Sequence[Verdict], open_: Sequence[Verdict]) -> Rollup:
    if len(open_) == len(counted):
        return Rollup(NO_KNOWN_BREACH, "Unknown", NOT_MEASURED, "No clause has been measured yet")
    message = f"{len(counted) - len(open_)} of {len(counted)} mandatory clauses were measured, and none is broken"
    return Rollup(NO_KNOWN_BREACH, "True", NOTHING_BROKEN, message)


def met(verdicts: Iterable[Verdict]) -> str:
    """`<clauses True>/<clauses of the standard>`; a clause that is not applicable is in neither number."""
    counted = [verdict for verdict in verdicts if _applies(verdict)]
    return f"{sum(verdict.status == 'True' for verdict in counted)}/{len(counted)}"


def valid_until(verdicts: Iterable[Verdict]) -> datetime | None:
    """The earliest expiry behind any True; None where no True expires."""
    expiries = (verdict.valid_until for verdict in verdicts if verdict.status == "True")
    return min((expiry for expiry in expiries if expiry is not None), default=None)


def _applies(verdict: Verdict) -> bool:
    return verdict.reason is not ClauseReason.NOT_APPLICABLE


def _breaks(verdict: Verdict) -> bool:
    return verdict.status == "False" and verdict.reason is not ClauseReason.WAIVED


def _listed(verdicts: Sequence[Verdict]) -> str:
    shown = ", ".join(f"{verdict.clause} {verdict.condition}" for verdict in verdicts[:_LISTED])
    more = len(verdicts) - _LISTED
    return f"{shown} and {more} more" if more > 0 else shown
