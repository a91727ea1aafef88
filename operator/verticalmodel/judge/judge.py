"""One verdict per clause of the model's standard: all of them, in order, three-valued, no short-circuit. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import PurePath

from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.operatingstandard import Clause, OperatingStandard
from verticalmodel.facts import Observed
from verticalmodel.judge.instances import unknown
from verticalmodel.judge.measures import MEASURES, PLATFORM_MEASURES, Measure, PlatformMeasure
from verticalmodel.judge.verdict import Verdict, bounded

__all__ = ["judge", "judge_platform", "measured"]


def measured(clause: Clause) -> bool:
    """Whether this version judges the clause from measurements."""
    return clause.measure in (PLATFORM_MEASURES if clause.scope == "Platform" else MEASURES)


def judge(observed: Observed, registry: Mapping[str, Measure] = MEASURES) -> tuple[Verdict, ...]:
    """A verdict for each clause, in the standard's order; none where the model's standard does not exist.

    `registry` maps the `measure` of a clause to its function. Never raises: a measure that crashes makes its own clause
    Unknown and leaves the others alone.

    A clause of the platform is worked out anew by the functions that judge it on the OperatingStandard, and not read
    from that one's status: who forged it would have lied to its readers alone, and until the next look.
    """
    if observed.standard is None:
        return ()
    of_platform = {one.clause: one for one in judge_platform(observed.standard, observed.now)}
    return tuple(
        _referred(of_platform[clause.id], observed.standard)
        if clause.scope == "Platform"
        else _of_model(clause, observed, registry)
        for clause in observed.standard.spec.clauses
    )


def judge_platform(
    standard: OperatingStandard, now: datetime, registry: Mapping[str, PlatformMeasure] = PLATFORM_MEASURES
) -> tuple[Verdict, ...]:
    """A verdict for each clause that is judged once for the whole platform. Never raises."""

    def verdict(clause: Clause) -> Verdict:
        measure = registry.get(clause.measure)
        if measure is None:
            return unknown(clause, ClauseReason.NOT_MEASURED, _not_yet(clause))
        return _survived(clause, lambda: measure(clause, standard, now))

    return tuple(verdict(clause) for clause in standard.spec.clauses if clause.scope == "Platform")


def _referred(verdict: Verdict, standard: OperatingStandard) -> Verdict:
    place = f"Judged once for the whole platform, on OperatingStandard {standard.metadata.name}."
    return replace(verdict, message=bounded(f"{place} {verdict.message}"))


def _of_model(clause: Clause, observed: Observed, registry: Mapping[str, Measure]) -> Verdict:
    if observed.model.metadata.deletion_timestamp is not None:
        return unknown(clause, ClauseReason.NOT_MEASURED, "The model is being deleted, so it is not measured any more")
    measure = registry.get(clause.measure)
    if measure is None:
        return unknown(clause, ClauseReason.NOT_MEASURED, _not_yet(clause))
    return _survived(clause, lambda: measure(clause, observed))


def _survived(clause: Clause, look: Callable[[], Verdict]) -> Verdict:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in one measure must not take the other clauses down
        return unknown(clause, ClauseReason.JUDGE_FAILED, _crashed(clause, error))


def _not_yet(clause: Clause) -> str:
    would = clause.parameters.get("howMeasured", f"The measure {clause.measure!r} would judge it")
    return f"{would}; this version of the operator does not measure it yet"


def _crashed(clause: Clause, error: Exception) -> str:
    """Type and place of a crash, and no word of its text: that may quote anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return (
        f"The measure {clause.measure!r} failed with {type(error).__name__}{place}. This is a defect of the operator: "
        "please report this line; the other clauses are judged as ever"
    )
