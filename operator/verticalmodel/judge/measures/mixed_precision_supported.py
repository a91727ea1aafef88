"""Clause 2, GPUs compute in mixed precision (part II, section (1), item 1 (1)).

Reads: the prober's `mixed-precision-supported` evidence for each pod of which anything runs (`pod/NAME`, bound to the
pod's uid): the compute capability that the driver of the pod's devices publishes for each.

A GPU below `parameters.minimumComputeCapability` has no hardware for it and breaks the clause: value 0. That all are
above shows nothing, because the clause asks for a computation on the device; so this is never True.

Ignores: product names, what the spec asks for, node labels. A pod without claims was not measured.
"""

from __future__ import annotations

from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed, ObservedPod
from verticalmodel.judge.gpus import seen_gpus, version, without_claims
from verticalmodel.judge.instances import Reader, Reading, of_each_pod, unknown
from verticalmodel.judge.verdict import Verdict

NAME = "mixed-precision-supported"
MEASURERS = frozenset({names.MANAGER_PROBER})
HOW = (
    "The prober reads the compute capability that the driver publishes for the devices of each pod's claims; one below "
    "the minimum breaks the clause, and only a computation on the device will show that it holds"
)

_CAPABILITY = (7, 0)
"""Volta: the first with tensor cores; where the edition names none."""
_REMEDY = "Leave spec.resources.gpu.mixedPrecision at true, so that only GPUs with such hardware are given"


def mixed_precision_supported(clause: Clause, observed: Observed) -> Verdict:
    """Clause 2 over the GPUs of every pod; value 0 where one has no hardware for it."""
    minimum = version(clause.parameters.get("minimumComputeCapability", "")) or _CAPABILITY

    def reader(pod: ObservedPod) -> Reader:
        return lambda entry: _read(entry, pod, minimum)

    told = without_claims(clause, observed) or of_each_pod(clause, observed, MEASURERS, reader, remedy=_REMEDY)
    if told.status == "True":
        message = "All GPUs have the hardware by their compute capability; no computation on them has shown it yet"
        return unknown(clause, ClauseReason.NOT_MEASURED, message)
    return told


def _read(entry: Entry, pod: ObservedPod, minimum: tuple[int, int]) -> Reading:
    gpus = seen_gpus(entry, pod)
    if isinstance(gpus, str):
        return Reading(None, gpus)
    mute = [gpu for gpu in gpus if gpu.capability is None]
    if entry.value != 1.0 or mute:
        return Reading(None, "called a measurement without a compute capability of every GPU")
    weakest = min(gpus, key=lambda gpu: gpu.capability or _CAPABILITY)
    major, minor = weakest.capability or _CAPABILITY
    capable = (major, minor) >= minimum
    return Reading(1.0 if capable else 0.0, f"{weakest} has compute capability {major}.{minor}")
