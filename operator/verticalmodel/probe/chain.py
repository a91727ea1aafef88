"""The chain of one model in the prober's hands: what it holds, how it goes on, and what is found of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from verticalmodel import evidence
from verticalmodel.api import names
from verticalmodel.api.evidence import KIND, Entry, Evidence, EvidenceSpec, Head, Subject
from verticalmodel.probe.measurement import Key, key_of
from verticalmodel.probe.model import Model

__all__ = ["ENTRY_LIMIT", "Chain", "adopt", "body_of", "extended", "read"]

ENTRY_LIMIT = 1024
"""Most entries that the kind allows."""
SIZE_LIMIT = 700_000
"""Most bytes of entries in one object: as much again goes to managedFields, and etcd takes 1.5 MiB."""


@dataclass(frozen=True)
class Chain:
    """One Evidence object as the prober knows it."""

    head: Head | None = None
    entries: tuple[Entry, ...] = ()
    """In the order of their sequence; the API keeps another."""
    uid: str = ""
    """UID of the Evidence object; empty while there is none."""
    resource_version: str = ""
    dirty: bool = False
    """The API does not hold what is held here: write, whatever else is due."""

    @property
    def by_key(self) -> dict[Key, Entry]:
        """Entries by (measure, instance)."""
        return {key_of(entry): entry for entry in self.entries}


def subject_of(model: Model) -> Subject:
    """What the evidence of this model is about."""
    return Subject(kind="VerticalModel", name=model.name, uid=model.uid)


def read(raw: Mapping[str, Any], subject: Subject) -> tuple[Chain, str]:
    """An Evidence object as it is served, and why it is not to be believed (empty: it is).

    What is not believed keeps its place in the sequence, so that no number is ever given twice, and loses its entries.
    Raises pydantic.ValidationError for what is no Evidence.
    """
    found = Evidence.model_validate(raw)
    meta, spec = raw["metadata"], found.spec
    entries = tuple(sorted(spec.entries, key=lambda entry: entry.sequence))
    chain = Chain(spec.head, entries, meta["uid"], meta["resourceVersion"])
    fault = evidence.verify(found, subject)
    if not fault and spec.measurer != names.MANAGER_PROBER:
        fault = "it is another measurer's"
    if not fault:
        return chain, ""
    newest = max((entry.sequence for entry in spec.entries), default=0)
    head = Head(sequence=max(spec.head.sequence, newest), digest=spec.head.digest)
    return replace(chain, head=head, entries=(), dirty=True), fault


def adopt(ours: Chain | None, found: Chain | None, pending: Chain | None) -> tuple[Chain, str]:
    """Go on from what is `found` in the API, and say what is strange about it (empty: nothing).

    `ours` is what we last knew to be there, None after a start; `pending` is a write of which no answer came.
    """
    if ours is None or ours.head is None:
        return found or Chain(), ""
    if found is None or found.head is None:
        # Someone deleted it. Our entries are still what we saw, and the sequence goes on in a new object.
        return replace(ours, uid="", resource_version="", dirty=True), "removed"
    if found.head == ours.head:
        here = replace(ours, uid=found.uid, resource_version=found.resource_version)
        return replace(here, dirty=found.entries != ours.entries), "" if found.entries == ours.entries else "altered"
    if pending is not None and found.head == pending.head:
        return found, ""
    if found.head.sequence < ours.head.sequence:
        return replace(ours, uid=found.uid, resource_version=found.resource_version, dirty=True), "rolled-back"
    return found, "written-by-another"


def extended(chain: Chain, drafts: Iterable[Mapping[str, Any]], gone: Iterable[Key]) -> tuple[Chain, tuple[Entry, ...]]:
    """The chain with new entries in the place of those they supersede, and without those `gone`; and the new ones."""
    fresh, head = evidence.extend(chain.head, drafts)
    dropped = set(gone) | {key_of(entry) for entry in fresh}
    kept = tuple(entry for entry in chain.entries if key_of(entry) not in dropped)
    return replace(chain, head=head, entries=kept + fresh, dirty=False), fresh


def body_of(chain: Chain, model: Model, limit: int = ENTRY_LIMIT, size: int = SIZE_LIMIT) -> tuple[dict[str, Any], int]:
    """The object to apply, and how many entries had no room in it (the oldest; the judge then misses instances).

    Its resourceVersion makes the write fail where somebody else wrote since.
    """
    head = chain.head or evidence.extend(None, ())[1]
    spec = EvidenceSpec(subject=subject_of(model), measurer=names.MANAGER_PROBER, head=head).wire()
    entries: list[dict[str, Any]] = []
    for entry in reversed(chain.entries):
        wire = entry.wire()
        size -= len(evidence.canonical(wire))
        if len(entries) == limit or size < 0:
            break
        entries.append(wire)
    spec["entries"] = entries[::-1]
    metadata: dict[str, Any] = {
        "name": names.evidence_name(model.name, model.uid, names.MANAGER_PROBER),
        "namespace": model.namespace,
        "labels": {
            names.LABEL_MODEL: model.name,
            names.LABEL_MODEL_UID: model.uid,
            names.LABEL_MEASURER: names.MANAGER_PROBER,
        },
    }
    if chain.uid:
        metadata |= {"uid": chain.uid, "resourceVersion": chain.resource_version}
    body = {"apiVersion": names.API_VERSION, "kind": KIND.kind, "metadata": metadata, "spec": spec}
    return body, len(chain.entries) - len(entries)
