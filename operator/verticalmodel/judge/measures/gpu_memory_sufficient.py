"""Clause 1, each GPU has at least 24 GB (part II, section (1), item 1 (1)).

Reads: the prober's `gpu-memory-sufficient` evidence for each pod of which anything runs (`pod/NAME`, bound to the pod's
uid): the devices that the pod's ResourceClaims were given, with the memory that their driver publishes for them.

The value is the least memory of the pod's GPUs in decimal gigabytes, worked out again from the observations. A device
of the nominal class whose report is short by at most `parameters.tolerancePercent` counts as the limit; both are shown.

Ignores: what the spec asks for, node labels (anybody who may label a node could write them), devices that are no GPUs.
A pod without claims was not measured.
"""

from __future__ import annotations

import math
import re

from verticalmodel.api import names
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed, ObservedPod
from verticalmodel.judge.gpus import seen_gpus, without_claims
from verticalmodel.judge.instances import Reader, Reading, of_each_pod
from verticalmodel.judge.verdict import Verdict

NAME = "gpu-memory-sufficient"
MEASURERS = frozenset({names.MANAGER_PROBER})
HOW = "The prober reads which devices each pod's claims were given, and the memory that their driver publishes"

_TOLERANCE = re.compile(r"[0-9]{1,2}(\.[0-9]{1,4})?")
_REMEDY = "Ask for larger GPUs with spec.resources.gpu.memory; `kubectl vmodel check -f` shows which nodes have them"
_GIGABYTE = 1e9
# Values are written with four decimals.
_ROUNDING = 1e-4


def gpu_memory_sufficient(clause: Clause, observed: Observed) -> Verdict:
    """Clause 1 over the GPUs of every pod; value in GB of the smallest."""
    text = clause.parameters.get("tolerancePercent", "0")
    tolerance = float(text) / 100 if _TOLERANCE.fullmatch(text) else 0.0

    def reader(pod: ObservedPod) -> Reader:
        return lambda entry: _read(clause, entry, pod, tolerance)

    return without_claims(clause, observed) or of_each_pod(clause, observed, MEASURERS, reader, remedy=_REMEDY)


def _read(clause: Clause, entry: Entry, pod: ObservedPod, tolerance: float) -> Reading:
    gpus = seen_gpus(entry, pod)
    if isinstance(gpus, str):
        return Reading(None, gpus)
    smallest = min(gpus, key=lambda one: one.memory_bytes)
    least = smallest.memory_bytes / _GIGABYTE
    if entry.value is None or not math.isclose(entry.value, least, abs_tol=_ROUNDING):
        return Reading(None, f"the claimed value {entry.value} contradicts the observations, which give {least:g}")
    which = f"{smallest}, the smallest of {len(gpus)}" if len(gpus) > 1 else str(smallest)
    if clause.limit * (1 - tolerance) <= least < clause.limit:
        return Reading(
            clause.limit, f"{which} reports {least:.4g} GB, which counts by the tolerance of {tolerance:.2%}"
        )
    return Reading(least, which)
