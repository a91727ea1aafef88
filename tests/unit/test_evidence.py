"""The chain of evidence: what holds, and every way in which it can be found broken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from unit.builders import NAME, UID, canary_draft, container_drafts, evidence, pod
from verticalmodel.api.evidence import GENESIS, Entry, Evidence, Head, Subject
from verticalmodel.evidence import canonical, entry_digest, extend, sha256_of, verify

SUBJECT = Subject(name=NAME, uid=UID)
THREE = (*container_drafts([pod()]), canary_draft(pod()))


def with_entries(found: Evidence, *entries: Entry, head: Head | None = None) -> Evidence:
    """The object with other entries, and with another head if given."""
    spec = found.spec.model_copy(update={"entries": entries, "head": head or found.spec.head})
    return found.model_copy(update={"spec": spec})


def test_a_fresh_chain_starts_at_the_genesis_and_numbers_from_one() -> None:
    entries, head = extend(None, THREE)
    assert [one.sequence for one in entries] == [1, 2, 3]
    assert [one.previous for one in entries] == [GENESIS, entries[0].digest, entries[1].digest]
    assert head == Head(sequence=3, digest=entries[2].digest)


def test_a_chain_goes_on_where_it_ended() -> None:
    first, head = extend(None, THREE[:1])
    second, _ = extend(head, THREE[1:2])
    assert (second[0].sequence, second[0].previous) == (2, first[0].digest)


def test_nothing_new_leaves_the_head_where_it_was() -> None:
    _, head = extend(None, THREE)
    assert extend(head, ()) == ((), head)


def test_a_draft_that_is_no_entry_is_refused() -> None:
    with pytest.raises(ValidationError):
        extend(None, [{"measure": "canary-answer"}])


def test_a_whole_chain_holds() -> None:
    assert verify(evidence(THREE), SUBJECT) == ""


def test_an_object_without_entries_holds() -> None:
    assert verify(evidence(()), SUBJECT) == ""


def test_a_chain_holds_in_any_order_and_after_the_way_through_json() -> None:
    found = evidence(THREE)
    read = Evidence.model_validate_json(found.model_dump_json(by_alias=True, exclude_none=True))
    assert verify(with_entries(read, *reversed(read.spec.entries)), SUBJECT) == ""


def test_an_entry_replaced_by_a_newer_one_leaves_a_chain_that_holds() -> None:
    """An object keeps the newest entry per instance, so numbers in the middle go missing by design."""
    found = evidence(THREE)
    assert verify(with_entries(found, found.spec.entries[0], found.spec.entries[2]), SUBJECT) == ""


@pytest.mark.parametrize(
    "subject",
    [
        Subject(name=NAME, uid="another"),
        Subject(name="another", uid=UID),
        Subject(kind="OperatingStandard", name=NAME, uid=UID),
    ],
)
def test_evidence_about_another_subject_is_refused(subject: Subject) -> None:
    assert verify(evidence(THREE), subject) == "it is about another subject"


CHANGES: dict[str, Any] = {
    "value": 7.0, "outcome": "Inconclusive", "instance": "pod/other", "measure": "other", "unit": "m", "samples": 9,
    "window_seconds": 9.0, "method": "another", "source": "elsewhere", "load": 9.0, "simulated": True, "scope": "Event",
    "observations": (), "sequence": 9, "previous": "sha256:" + "9" * 64,
}  # fmt: skip


@pytest.mark.parametrize("field", sorted(CHANGES))
def test_a_changed_field_breaks_the_chain(field: str) -> None:
    found = evidence(THREE)
    first, *rest = found.spec.entries
    changed = first.model_copy(update={field: CHANGES[field]})
    assert "does not fit its content" in verify(with_entries(found, changed, *rest), SUBJECT)


def test_the_changes_above_cover_every_field_that_is_not_a_time_or_binding_or_the_digest() -> None:
    assert set(Entry.model_fields) - set(CHANGES) == {"measured_at", "expires_at", "binding", "digest"}


def redigested(entry: Entry, **changes: Any) -> Entry:
    """An entry changed by somebody who knows how digests are made."""
    changed = entry.model_copy(update=changes)
    return changed.model_copy(update={"digest": entry_digest(changed.wire())})


def test_an_entry_rewritten_with_its_digest_no_longer_leads_to_the_next() -> None:
    found = evidence(THREE)
    first, *rest = found.spec.entries
    rewritten = with_entries(found, redigested(first, value=7.0), *rest)
    assert verify(rewritten, SUBJECT) == "entry 2 does not follow from entry 1"


def test_the_newest_entry_rewritten_with_its_digest_is_not_the_head() -> None:
    found = evidence(THREE)
    *rest, last = found.spec.entries
    assert verify(with_entries(found, *rest, redigested(last, value=7.0)), SUBJECT) == (
        "the head of the chain is not its newest entry"
    )


def test_two_entries_with_one_number_are_refused() -> None:
    found = evidence(THREE)
    twin = redigested(found.spec.entries[1], instance="pod/twin")
    assert verify(with_entries(found, *found.spec.entries, twin), SUBJECT) == "two entries have the sequence 2"


def test_an_entry_newer_than_the_head_is_refused() -> None:
    found = evidence(THREE)
    older = Head(sequence=2, digest=found.spec.entries[1].digest)
    assert verify(with_entries(found, *found.spec.entries, head=older), SUBJECT) == (
        "an entry is newer than the head of the chain"
    )


def test_canonical_form_is_sorted_dense_utf8() -> None:
    assert canonical({"b": [1, 1.5, None, True], "a": "ä"}) == '{"a":"ä","b":[1,1.5,null,true]}'.encode()


def test_canonical_form_has_no_place_for_what_json_cannot_say() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"value": float("nan")})


WORDS = st.text("abzäß\u2028\U0001f512", max_size=4)
JSON = WORDS | st.none() | st.dictionaries(WORDS, st.integers(0, 9), max_size=2)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(WORDS, JSON, max_size=4))
def test_the_order_of_keys_never_changes_a_digest(value: dict[str, Any]) -> None:
    assert sha256_of(dict(reversed(value.items()))) == sha256_of(value)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(THREE), max_size=6), st.integers(0, 6))
def test_a_chain_is_the_same_however_its_drafts_are_portioned(drafts: list[dict[str, Any]], cut: int) -> None:
    whole, end = extend(None, drafts)
    first, middle = extend(None, drafts[:cut])
    second, last = extend(middle if first else None, drafts[cut:])
    assert ((*first, *second), last) == (whole, end)
