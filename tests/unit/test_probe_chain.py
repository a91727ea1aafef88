"""The chain of one model in the prober's hands: never a number twice, whatever is found in the API."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticalmodel import evidence
from verticalmodel.api import names
from verticalmodel.api.evidence import Binding, Evidence, Head
from verticalmodel.probe.chain import Chain, adopt, body_of, extended, read, subject_of
from verticalmodel.probe.measurement import CANARY, MEASURES, Measurement, key_of
from verticalmodel.probe.model import Model

MODEL = Model("ns", "m", "uid-m", (), None, dict.fromkeys(MEASURES, 600.0))
NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
Wire = dict[str, Any]


def draft(instance: str, value: float | None = 0.1) -> Wire:
    made = Measurement(
        CANARY, instance, "s", value, 1, value or 0.0, "test", Binding(pod_uid="u"), {"answer": "good"}, NOW
    )
    return made.draft(source="p", load=0.5, lifetime=600)


def chain(*instances: str, **changes: Any) -> Chain:
    made, _ = extended(Chain(), [draft(instance) for instance in instances], ())
    return replace(made, **{"uid": "uid-1", "resource_version": "7", **changes})


def served(held: Chain, *, uid: str = "uid-1", version: str = "7") -> Wire:
    """The object as the API server gives it back: JSON, with numbers and entries in an order of its own."""
    body, _ = body_of(held, MODEL)
    found: Wire = json.loads(json.dumps(body).replace(".0,", ","))
    found["spec"]["entries"] = found["spec"]["entries"][::-1]
    found["metadata"] |= {"uid": uid, "resourceVersion": version}
    return found


def test_what_was_applied_is_read_back_as_the_same_chain() -> None:
    held = chain("a", "b", "c")

    assert read(served(held), subject_of(MODEL)) == (held, "")


def test_the_object_names_what_it_follows_and_belongs_to_no_owner() -> None:
    body, crowded_out = body_of(chain("a"), MODEL)

    assert body["metadata"] == {
        "name": names.evidence_name("m", "uid-m", "verticalmodel-prober"),
        "namespace": "ns",
        "labels": {
            names.LABEL_MODEL: "m",
            names.LABEL_MODEL_UID: "uid-m",
            names.LABEL_MEASURER: "verticalmodel-prober",
        },
        "uid": "uid-1",
        "resourceVersion": "7",
    }
    assert (body["apiVersion"], body["kind"], crowded_out) == ("verticalmodel.io/v1alpha1", "Evidence", 0)
    assert body["spec"]["subject"] == {"kind": "VerticalModel", "name": "m", "uid": "uid-m"}


def test_a_first_object_names_no_predecessor() -> None:
    body, _ = body_of(extended(Chain(), [draft("a")], ())[0], MODEL)

    assert "resourceVersion" not in body["metadata"]
    assert "uid" not in body["metadata"]


def test_a_new_entry_supersedes_its_older_self_and_what_is_gone_leaves() -> None:
    before = chain("a", "b", "c")

    after, fresh = extended(before, [draft("b", 0.2)], [(CANARY, "c")])

    assert [(entry.instance, entry.sequence) for entry in after.entries] == [("a", 1), ("b", 4)]
    assert fresh == after.entries[1:]
    assert fresh[0].previous == before.entries[2].digest
    assert after.head == Head(sequence=4, digest=fresh[0].digest)


def test_where_an_object_is_full_the_newest_entries_stay() -> None:
    held = chain("a", "b", "c", "d")

    by_count, left_out = body_of(held, MODEL, limit=3)
    assert ([entry["sequence"] for entry in by_count["spec"]["entries"]], left_out) == ([2, 3, 4], 1)
    by_size, left_out = body_of(held, MODEL, size=len(evidence.canonical(held.entries[3].wire())))
    assert ([entry["sequence"] for entry in by_size["spec"]["entries"]], left_out) == ([4], 3)
    assert read({**served(held), "spec": by_count["spec"]}, subject_of(MODEL))[1] == ""


def test_after_a_start_the_chain_goes_on_from_what_is_found() -> None:
    found = chain("a", "b")

    assert adopt(None, found, None) == (found, "")
    assert adopt(None, None, None) == (Chain(), "")
    assert adopt(Chain(), found, None) == (found, "")


def test_what_was_deleted_is_written_again_with_the_sequence_it_had() -> None:
    ours = chain("a", "b")

    assert adopt(ours, None, None) == (replace(ours, uid="", resource_version="", dirty=True), "removed")


def test_a_change_of_anything_but_the_entries_is_taken_note_of() -> None:
    ours, found = chain("a"), chain("a", resource_version="9")

    assert adopt(ours, found, None) == (found, "")


def test_entries_that_somebody_removed_are_written_again() -> None:
    ours = chain("a", "b")
    found = replace(ours, entries=ours.entries[1:], resource_version="9")

    assert adopt(ours, found, None) == (replace(ours, resource_version="9", dirty=True), "altered")


def test_a_write_without_an_answer_that_did_happen_is_adopted() -> None:
    ours = chain("a")
    pending, _ = extended(ours, [draft("b")], ())
    found = replace(pending, resource_version="9")

    assert adopt(ours, found, pending) == (found, "")


def test_a_write_without_an_answer_that_did_not_happen_is_forgotten() -> None:
    ours = chain("a")
    pending, _ = extended(ours, [draft("b")], ())

    assert adopt(ours, ours, pending) == (ours, "")


def test_an_older_chain_put_back_by_somebody_does_not_turn_ours_back() -> None:
    older = chain("a", resource_version="9")
    ours, _ = extended(chain("a"), [draft("b")], ())

    assert adopt(ours, older, None) == (replace(ours, resource_version="9", dirty=True), "rolled-back")


def test_another_probers_entries_are_followed() -> None:
    ours = chain("a")
    found, _ = extended(ours, [draft("x"), draft("y")], ())

    assert adopt(ours, found, None) == (found, "written-by-another")


def forged(**changes: Any) -> Wire:
    found = served(chain("a", "b"))
    found["spec"]["entries"][0] |= changes
    return found


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (forged(value=0.9), "the digest of entry 2 does not fit its content"),
        (forged(sequence=40), "the digest of entry 40 does not fit its content"),
        (
            {**served(chain("a")), "spec": {**served(chain("a"))["spec"], "measurer": "other"}},
            "it is another measurer's",
        ),
    ],
    ids=["value", "sequence", "measurer"],
)
def test_what_cannot_be_believed_loses_its_entries_and_keeps_its_numbers(raw: Wire, why: str) -> None:
    found, fault = read(raw, subject_of(MODEL))

    assert fault == why
    assert (found.entries, found.dirty) == ((), True)
    assert found.head is not None
    assert found.head.sequence >= max(entry["sequence"] for entry in raw["spec"]["entries"])


def test_evidence_about_another_model_is_not_believed() -> None:
    _, fault = read(served(chain("a")), subject_of(replace(MODEL, uid="another")))

    assert fault == "it is about another subject"


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_however_often_it_is_restarted_no_number_is_given_twice(steps: list[tuple[str, bool, bool]]) -> None:
    """Steps: an instance, whether it goes rather than is measured, whether the prober restarts before."""
    held, given_out = Chain(), dict[int, str]()
    for instance, goes, restarts in steps:
        if restarts and held.head:
            held, fault = read(served(held), subject_of(MODEL))
            assert fault == ""
        drafts = [] if goes else [draft(instance)]
        held, fresh = extended(held, drafts, [(CANARY, instance)] if goes else [])
        for entry in fresh:
            assert entry.sequence not in given_out
            given_out[entry.sequence] = entry.digest
        assert [entry.sequence for entry in held.entries] == sorted({entry.sequence for entry in held.entries})
        assert len({key_of(entry) for entry in held.entries}) == len(held.entries)
    assert sorted(given_out) == list(range(1, len(given_out) + 1)), "a number was skipped"
    if held.head:
        assert evidence.verify(Evidence.model_validate(served(held)), subject_of(MODEL)) == ""
