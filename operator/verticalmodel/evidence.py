"""The chain of evidence: canonical form, digests, and verification (DESIGN section 4). Pure.

Measurers extend a chain, the judge and offline verifiers check it: one home, so that they cannot disagree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from verticalmodel.api.evidence import GENESIS, Entry, Evidence, EvidenceSpec, Head, Subject

__all__ = ["canonical", "entry_digest", "extend", "sha256_of", "verify"]


def canonical(value: Any) -> bytes:
    """Bytes that are the same for equal JSON values: sorted keys, no spaces, UTF-8 (after RFC 8785)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_of(value: Any) -> str:
    """`sha256:<hex>` of the canonical form of a JSON value."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def entry_digest(entry: Mapping[str, Any]) -> str:
    """Digest of an entry in wire form: every field but `digest` itself, `previous` included."""
    return sha256_of({key: value for key, value in entry.items() if key != "digest"})


def extend(head: Head | None, drafts: Iterable[Mapping[str, Any]]) -> tuple[tuple[Entry, ...], Head]:
    """Chain new measurements behind `head` (None: a new chain), in order.

    Each draft is an entry in wire form without sequence, previous and digest. Raises pydantic.ValidationError for a
    draft that is no entry.
    """
    sequence, previous = (head.sequence, head.digest) if head else (0, GENESIS)
    entries = []
    for draft in drafts:
        sequence += 1
        # Through the model and back, so that the digest covers exactly what a reader will parse.
        shape = Entry.model_validate({**draft, "sequence": sequence, "previous": previous, "digest": GENESIS})
        digest = entry_digest(shape.wire())
        entries.append(shape.model_copy(update={"digest": digest}))
        previous = digest
    return tuple(entries), Head(sequence=sequence, digest=previous)


def verify(evidence: Evidence, subject: Subject) -> str:
    """Why this object is no evidence about `subject`, or an empty string where its chain holds.

    A removed entry that was neither the newest nor followed by its successor leaves no trace here; it is missed by the
    judge, who knows which instances ought to exist.
    """
    spec = evidence.spec
    if spec.subject != subject:
        return "it is about another subject"
    ordered = sorted(spec.entries, key=lambda entry: entry.sequence)
    for entry in ordered:
        if entry.digest != entry_digest(entry.wire()):
            return f"the digest of entry {entry.sequence} does not fit its content"
    for before, after in pairwise(ordered):
        if after.sequence == before.sequence:
            return f"two entries have the sequence {after.sequence}"
        if after.sequence == before.sequence + 1 and after.previous != before.digest:
            return f"entry {after.sequence} does not follow from entry {before.sequence}"
    return _verify_head(spec, ordered)


def _verify_head(spec: EvidenceSpec, ordered: list[Entry]) -> str:
    if not ordered:
        return ""
    last = ordered[-1]
    if last.sequence > spec.head.sequence:
        return "an entry is newer than the head of the chain"
    if last.sequence == spec.head.sequence and last.digest != spec.head.digest:
        return "the head of the chain is not its newest entry"
    return ""
