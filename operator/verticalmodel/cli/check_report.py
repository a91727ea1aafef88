"""What speaks against a VerticalModel before it is applied, from its text and what a cluster offers. Pure.

Nothing here says that a clause will be met: that is measured once the model runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from verticalmodel.api.operatingstandard import Clause
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import Facts
from verticalmodel.judge.measures import parameters_encrypted, scenarios_isolated, tenants_isolated
from verticalmodel.node_fit import fits_somewhere, lacks
from verticalmodel.plan import Plan, plan

__all__ = ["Checked", "Remark", "as_json", "as_text", "checked"]

Verdict = Literal["against", "always", "fine", "unknown"]
"""`always`: broken by every model of this version, whatever its spec says."""
_WORDS: dict[Verdict, str] = {"against": "NO", "unknown": "?", "always": "!", "fine": "ok"}
"""In the order in which they are shown."""


_RUNTIMES, _STANDARDS, _CLASSES = "modelruntimes", "operatingstandards", "deviceclasses"
_PLACES = frozenset(("nodes", "resourceslices"))


@dataclass(frozen=True)
class Remark:
    """What was found of one thing."""

    about: str
    verdict: Verdict
    says: str


@dataclass(frozen=True)
class Checked:
    """A model and all that was found of it."""

    namespace: str
    name: str
    remarks: tuple[Remark, ...]

    @property
    def refused(self) -> bool:
        """Something speaks against it."""
        return any(one.verdict == "against" for one in self.remarks)

    @property
    def open(self) -> bool:
        """Something could not be found out."""
        return any(one.verdict == "unknown" for one in self.remarks)


def checked(model: VerticalModel, facts: Facts, unread: Mapping[str, str], taken: Remark) -> Checked:
    """All remarks: whether the API server takes it, whether the operator plans it, where it fits, what it breaks.

    `unread` names the plurals of which `facts` holds nothing, with the reason; `taken` is what the API server said to
    a dry run.
    """
    remarks = [taken, *_planned(model, facts, unread)]
    if _STANDARDS in unread:
        remarks.append(_missing("clauses", {_STANDARDS: unread[_STANDARDS]}))
    clauses = facts.standard.spec.clauses if facts.standard is not None else ()
    remarks += [Remark(_named(one), verdict, why) for one in clauses for verdict, why in _breaks(one, model)]
    return Checked(model.metadata.namespace, model.metadata.name, tuple(remarks))


def _planned(model: VerticalModel, facts: Facts, unread: Mapping[str, str]) -> Iterator[Remark]:
    """Whether the operator would make its children, and on which nodes the GPUs are."""
    needed = {_RUNTIMES, _STANDARDS, *((_CLASSES,) if model.spec.resources.gpu is not None else ())}
    lacking = {plural: why for plural, why in unread.items() if plural in needed}
    if lacking:
        yield _missing("plan", lacking)
        return
    # Which ingress controllers and issuers there are, the operator knows and its users need not.
    inside = model.model_copy(update={"spec": model.spec.model_copy(update={"exposure": None, "certificate": None})})
    planned = plan(inside, replace(facts, occupied=frozenset()))
    if not isinstance(planned, Plan):
        yield Remark("plan", "against", f"{planned.reason}: {planned.message}")
        return
    yield Remark("plan", "fine", "the operator would make its children")
    unseen = {plural: why for plural, why in unread.items() if plural in _PLACES}
    if planned.gpus is not None and unseen:
        yield _missing("GPUs by node", unseen)
    else:
        yield from _placed(planned, facts)


def _missing(about: str, unread: Mapping[str, str]) -> Remark:
    return Remark(about, "unknown", "; ".join(f"{plural}: {why}" for plural, why in sorted(unread.items())))


def _named(clause: Clause) -> str:
    return f"clause {clause.id} {clause.condition}"


def _placed(planned: Plan, facts: Facts) -> Iterator[Remark]:
    """Whether a node has the GPUs; clauses 1 and 2 ask no less of them than the request does."""
    if planned.gpus is None:
        return
    lacking = lacks(planned.gpus, facts.nodes) or "there is no node"
    fits = fits_somewhere(planned.gpus, facts.nodes)
    yield Remark("GPUs by node", "fine" if fits else "against", lacking)


def _breaks(clause: Clause, model: VerticalModel) -> Iterator[tuple[Verdict, str]]:
    """Why this very spec would be found to break the clause."""
    spec = model.spec
    if clause.measure == parameters_encrypted.NAME and spec.source.key is None:
        yield "against", "spec.source.key: not set, so the parameters come plain; seal them with `vmodel seal`"
    access = spec.access.namespace_selector
    if clause.measure == scenarios_isolated.NAME and access is not None and not any(access.wire().values()):
        yield "against", "spec.access.namespaceSelector: {} lets pods of every namespace connect, strangers as well"
    if clause.measure == tenants_isolated.NAME:
        yield "always", "this version has no authentication: whoever may connect gets an answer"


def as_text(told: Checked) -> str:
    """The remarks for people, what speaks against the model first."""
    order = list(_WORDS)
    lines = [f"{told.namespace}/{told.name}"]
    ordered = sorted(told.remarks, key=lambda remark: order.index(remark.verdict))
    lines += [f"  {_WORDS[one.verdict]:<3} {one.about:<32} {one.says}" for one in ordered]
    if any(one.verdict == "always" for one in told.remarks):
        lines.append("  ! no spec can change in this version; it does not count against the file")
    lines.append("  Whether clauses hold is measured once it runs: kubectl vmodel status")
    return "\n".join(lines) + "\n"


def as_json(told: Checked) -> dict[str, Any]:
    """The remarks for programs."""
    return {
        "namespace": told.namespace,
        "name": told.name,
        "refused": told.refused,
        "remarks": [{"about": one.about, "verdict": one.verdict, "says": one.says} for one in told.remarks],
    }
