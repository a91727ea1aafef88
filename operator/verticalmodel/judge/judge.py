"""One verdict per clause of the model's standard: all of them, in order, three-valued, no short-circuit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed
from verticalmodel.judge.instances import unknown
from verticalmodel.judge.measures import MEASURES, Measure
from verticalmodel.judge.verdict import Verdict

__all__ = ["judge", "measured"]


def measured(clause: Clause) -> bool:
    """Whether this version judges the clause from measurements."""
    return clause.scope == "Model" and clause.measure in MEASURES


def judge(observed: Observed, registry: Mapping[str, Measure] = MEASURES) -> tuple[Verdict, ...]:
    """A verdict for each clause, in the standard's order; none where the model's standard does not exist.

    `registry` maps the `measure` of a clause to its function. Never raises: a measure that crashes makes its own clause
    Unknown and leaves the others alone.
    """
    if observed.standard is None:
        return ()
    return tuple(_verdict(clause, observed, registry) for clause in observed.standard.spec.clauses)


def _verdict(clause: Clause, observed: Observed, registry: Mapping[str, Measure]) -> Verdict:
    if clause.scope == "Platform":
        message = f"Judged once for the whole platform, not for this model. {_not_yet(clause)}"
        return unknown(clause, ClauseReason.NOT_MEASURED, message)
    if observed.model.metadata.deletion_timestamp is not None:
        return unknown(clause, ClauseReason.NOT_MEASURED, "The model is being deleted, so it is not measured any more")
    measure = registry.get(clause.measure)
    if measure is None:
        return unknown(clause, ClauseReason.NOT_MEASURED, _not_yet(clause))
    try:
        return measure(clause, observed)
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
