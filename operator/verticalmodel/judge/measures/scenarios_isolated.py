"""Clause 34, scenarios never mix (part I, section (2), item 2).

Reads: the prober's `scenarios-isolated` evidence for each pod of which anything runs, once by a stranger on the pod's
own node (`pod/NAME/near`) and once by one on another (`pod/NAME/far`), bound to the pod's uid: what became of
connections to its ports and its Service (`net.*`), and of reads of its namespace's Secrets and claims and of its log by
the API (`api.*`), from a pod without any grant.

The value is the number of attempts that got through, worked out again from the observations. One breaks the clause: it
happened. Refusals count only if all that has to be tried was, and the controls held: the stranger could connect to the
prober before and after, the prober to the pod, all within `parameters.controlGapSeconds` (5 where the edition says
nothing), and the API server accepted the stranger's account.

Ignores: what a NetworkPolicy says, whom spec.access lets in, and UDP.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed, ObservedPod
from verticalmodel.judge.admissible import Instance
from verticalmodel.judge.instances import Reader, Reading, of_pods
from verticalmodel.judge.verdict import Verdict, shortened

NAME = "scenarios-isolated"
MEASURERS = frozenset({names.MANAGER_PROBER})
HOW = (
    "A stranger without grants on the pod's node and one on another try its ports, its Service, and by the API its "
    "namespace's Secrets, claims and its log"
)

_REQUIRED = (
    f"net.{names.GUARD_PORT}",
    f"net.{names.DRAIN_PORT}",
    "net.service",
    "api.secrets",
    "api.persistentvolumeclaims",
    "api.log",
)
_NO_WAY = re.compile(r"refused|timeout|unreachable (EHOSTUNREACH|ENETUNREACH|EACCES|EPERM)|there is none")
_NOT_ALLOWED = re.compile(r"refused 40[13]")
_CONTROLS = ("control.before", "control.after", "target.before", "target.after")
_CONNECTED, _ANSWERED = "connected", "answered"
_GAP_SECONDS = "5"
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?")
_REMEDY = (
    "Look for NetworkPolicies that add to the model's own, for a network plugin that enforces none, for "
    "spec.access that lets everybody in, and for RBAC that grants rights to all accounts"
)
_QUOTE_LIMIT = 60
_SHOWN = 3


def scenarios_isolated(clause: Clause, observed: Observed) -> Verdict:
    """Clause 34 over what strangers near and far tried at every pod; value in crossings."""
    allowed = clause.parameters.get("controlGapSeconds", _GAP_SECONDS)
    gap = float(allowed) if _SECONDS.fullmatch(allowed) else 0.0

    def instances(pod: ObservedPod) -> Iterator[tuple[Instance, Reader]]:
        for where in ("near", "far"):
            yield Instance(f"pod/{pod.name}/{where}", pod_uid=pod.uid), _reader(pod, where, gap)

    return of_pods(clause, observed, MEASURERS, instances, remedy=_REMEDY)


def _reader(pod: ObservedPod, where: str, gap: float) -> Reader:
    def read(entry: Entry) -> Reading:
        seen = {one.name: one.value for one in entry.observations}
        through = sorted(name for name in seen if _is_attempt(name) and _got_through(seen[name]))
        if entry.value is None or not math.isclose(entry.value, len(through)):
            return Reading(
                None, f"the claimed value {entry.value} contradicts the observations, which give {len(through)}"
            )
        if through:
            shown = ", ".join(through[:_SHOWN]) + (f" and {len(through) - _SHOWN} more" if through[_SHOWN:] else "")
            return Reading(float(len(through)), f"a stranger on node {_quoted(seen.get('from', ''))} got at {shown}")
        why = _doubt(seen, gap) or _misplaced(seen.get("from", ""), pod, where)
        if why:
            return Reading(None, why, ClauseReason.NOT_MEASURED)
        return Reading(0.0, f"a stranger on node {_quoted(seen['from'])} was refused everything, its controls held")

    return read


def _doubt(seen: Mapping[str, str], gap: float) -> str:
    """Why refusals show nothing; empty where they do."""
    missing = [name for name in _REQUIRED if name not in seen]
    if missing:
        return f"not tried: {', '.join(missing)}"
    if "portsLeftOut" in seen:
        return f"{_quoted(seen['portsLeftOut'])} ports of the pod were not tried"
    for name in sorted(name for name in seen if _is_attempt(name)):
        expected = _NO_WAY if name.startswith("net.") else _NOT_ALLOWED
        if not expected.fullmatch(seen[name]):
            return f"{_quoted(name)} ended otherwise than by a refusal: {_quoted(seen[name])}"
    broken = [name for name in _CONTROLS if seen.get(name) != _CONNECTED]
    if not seen.get("control.identity", "").startswith(_ANSWERED):
        broken.append("control.identity")
    if broken:
        return f"the controls failed: {', '.join(broken)}"
    between = seen.get("control.gapSeconds", "")
    if not _SECONDS.fullmatch(between) or float(between) > gap:
        return f"the controls lie {_quoted(between) or 'an unknown number of'} s apart, at most {gap:g} s count"
    return ""


def _misplaced(node: str, pod: ObservedPod, where: str) -> str:
    if not node or (node == pod.node) is not (where == "near"):
        return f"the stranger stood on node {_quoted(node) or 'unknown'}, the pod runs on {pod.node}"
    return ""


def _is_attempt(name: str) -> bool:
    return name.startswith(("net.", "api."))


def _got_through(said: str) -> bool:
    return said == _CONNECTED or said.startswith(_ANSWERED)


def _quoted(text: str) -> str:
    return shortened(text, _QUOTE_LIMIT)
