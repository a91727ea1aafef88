"""Clause 33, a standard API is published and models are loaded in one way (part I, section (3), item 1 (1)).

Reads: the prober's `loading-api-standard` evidence for each pod of which anything runs (`pod/NAME`, bound to the pod's
uid and its server): how the steps `load`, `infer` and `unload` of a canary model ended, by Open Inference Protocol v2
with its repository extension, and whether the served model answered beside them (`control`).

The value is the number of steps that failed, worked out again from the observations. A step that was refused or
answered wrongly breaks the clause, if the control was good: a server that answers nothing has refused nothing.

Ignores: what the runtime says that it speaks, and which steps `parameters.steps` names.
"""

from __future__ import annotations

import math

from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed
from verticalmodel.judge.instances import Reading, of_each_pod
from verticalmodel.judge.verdict import Verdict, shortened

NAME = "loading-api-standard"
MEASURERS = frozenset({names.MANAGER_PROBER})
HOW = (
    "The prober loads a canary model of its own under a random name at each pod, asks it and unloads it, by Open "
    "Inference Protocol v2; guards let nobody else do that"
)

_STEPS = ("load", "infer", "unload")
_DONE = "done"
_FAILED = ("refused 4", "wrong: ", "nothing was loaded")
_REMEDY = (
    "Serve with a runtime that speaks Open Inference Protocol v2 with its repository extension (oip-onnx does); where "
    "the condition UpdatePending says so, take the update, with which the guard knows the prober"
)
_QUOTE_LIMIT = 80


def loading_api_standard(clause: Clause, observed: Observed) -> Verdict:
    """Clause 33 over the server of every pod; value in failed steps."""
    return of_each_pod(clause, observed, MEASURERS, lambda _: _read, remedy=_REMEDY, of_server=True)


def _read(entry: Entry) -> Reading:
    seen = {one.name: one.value for one in entry.observations}
    failed = [step for step in _STEPS if seen.get(step) != _DONE]
    if entry.value is None or not math.isclose(entry.value, len(failed)):
        return Reading(None, f"the claimed value {entry.value} contradicts the observations, which give {len(failed)}")
    if seen.get("control") != "good":
        control = shortened(seen.get("control", "not asked"), _QUOTE_LIMIT)
        return Reading(None, f"the served model did not answer beside it: {control}", ClauseReason.NOT_MEASURED)
    told = [f"{step}: {shortened(seen.get(step, 'not tried'), _QUOTE_LIMIT)}" for step in failed]
    if not all(seen.get(step, "").startswith(_FAILED) for step in failed):
        return Reading(None, f"not every step came to an end ({', '.join(told)})", ClauseReason.NOT_MEASURED)
    if failed:
        return Reading(float(len(failed)), ", ".join(told))
    return Reading(0.0, "a canary model was loaded, answered by its own number, and unloaded")
