"""What entries about a pod's GPUs say, read again (clauses 1 and 2). Pure.

An entry speaks for a pod only if it names all claims of the live pod and no other, and at least one GPU.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed, ObservedPod
from verticalmodel.judge.instances import runs, unknown
from verticalmodel.judge.verdict import Verdict, shortened

_GPU = re.compile(r"(?P<name>[^: ]+): (?P<memory>[0-9]{1,18}) bytes, capability (?P<capability>\S+), (?P<product>.*)")
_CLAIM = re.compile(r"claim\.[0-9]+")
_PLACE = re.compile(r"gpu\.[0-9]+")
_VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})")
_QUOTE_LIMIT = 80


@dataclass(frozen=True)
class SeenGpu:
    """A GPU as the measurer saw it published."""

    name: str
    """driver/pool/device."""
    memory_bytes: int
    capability: tuple[int, int] | None
    """None where nobody says."""
    product: str

    def __str__(self) -> str:
        return f"{shortened(self.name, _QUOTE_LIMIT)} ({shortened(self.product, _QUOTE_LIMIT)})"


def seen_gpus(entry: Entry, pod: ObservedPod) -> tuple[SeenGpu, ...] | str:
    """All GPUs of the pod by an entry about it, or why it says nothing of this pod's."""
    claims = sorted(one.value for one in entry.observations if _CLAIM.fullmatch(one.name))
    if claims != sorted(pod.claims):
        return f"measured with the claims {', '.join(claims) or 'none'}, the pod has {', '.join(pod.claims) or 'none'}"
    found = []
    for one in entry.observations:
        if _PLACE.fullmatch(one.name):
            match = _GPU.fullmatch(one.value)
            if match is None:
                return f"{one.name} is told in words that are not known: {shortened(one.value, _QUOTE_LIMIT)}"
            found.append(SeenGpu(match["name"], int(match["memory"]), version(match["capability"]), match["product"]))
    return tuple(found) or "called a measurement without a GPU"


def version(text: str) -> tuple[int, int] | None:
    """MAJOR.MINOR of a compute capability; None where the text is none."""
    match = _VERSION.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def without_claims(clause: Clause, observed: Observed) -> Verdict | None:
    """Unknown where no pod that runs has a claim, so that the API tells of no GPU; None where one has."""
    running = [pod for pod in observed.pods if runs(pod)]
    if not running or any(pod.claims for pod in running):
        return None
    plugin = any(names.GPU_PLUGIN_RESOURCE in one.limits for pod in running for one in pod.containers)
    if plugin:
        message = (
            "The pods have their GPUs from the device plugin, which tells the API of no device. Claims do "
            "(dynamic resource allocation); a node agent, which this version has not, would ask the driver"
        )
    else:
        message = (
            "No pod of the model has a GPU, so there is none to measure. The clause is not left out for that: "
            "ask for GPUs with spec.resources.gpu"
        )
    return unknown(clause, ClauseReason.NOT_MEASURED, message)
