"""Clause 5, the nodes run Linux or Windows Server 2022 (part II, section (1), item 2 (1)).

Reads: the prober's `operating-system-supported` evidence for each pod of which anything runs (`pod/NAME`, bound to the
pod's uid): the system that the pod's own node reports of itself, `linux`, or `windows` with a kernel of the build
`parameters.windowsBuild`.

The value is 1 where the system is one of them, else 0. The entry's own value only says that a node reported something:
which systems do is the edition's to say, not the measurer's. An entry about another node than the live pod is on speaks
for nobody.

Ignores: nodes that run no pod of the model, labels (anybody who may label a node could write them), the image's name.
"""

from __future__ import annotations

from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed, ObservedPod
from verticalmodel.judge.instances import Reader, Reading, of_each_pod
from verticalmodel.judge.verdict import Verdict, shortened

NAME = "operating-system-supported"
MEASURERS = frozenset({names.MANAGER_PROBER})
HOW = "The prober compares the operating system that the node of each pod reports with the edition's list"

_WINDOWS_BUILD = "10.0.20348"
_REMEDY = "Move the model to other nodes with spec.pod.nodeSelector, or cordon and replace this one"
_QUOTE_LIMIT = 80


def operating_system_supported(clause: Clause, observed: Observed) -> Verdict:
    """Clause 5 over the node of every pod; value 1 where it is supported."""
    build = clause.parameters.get("windowsBuild", _WINDOWS_BUILD)
    return of_each_pod(clause, observed, MEASURERS, lambda pod: _reader(pod, build), remedy=_REMEDY)


def _reader(pod: ObservedPod, build: str) -> Reader:
    return lambda entry: _read(entry, pod, build)


def _read(entry: Entry, pod: ObservedPod, build: str) -> Reading:
    seen = {one.name: one.value for one in entry.observations}
    system, kernel = seen.get("operatingSystem", ""), seen.get("kernel", "")
    if seen.get("node") != pod.node:
        return Reading(None, f"measured on node {seen.get('node', '')!r}, and the pod is on {pod.node!r}")
    if not system:
        return Reading(None, "called a measurement without an operating system", ClauseReason.INCONSISTENT)
    supported = system == "linux" or (system == "windows" and (kernel == build or kernel.startswith(f"{build}.")))
    image = shortened(seen.get("osImage", ""), _QUOTE_LIMIT)
    return Reading(
        1.0 if supported else 0.0,
        f"node {pod.node} runs {system} ({', '.join(word for word in (image, kernel) if word)})",
    )
