"""Claims about planning: every choice once, or a refusal that names field, value and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from verticalmodel.api.labels import LabelSelector
from verticalmodel.api.modelruntime import ModelRuntime
from verticalmodel.api.operatingstandard import OperatingStandard
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import Facts, Platform
from verticalmodel.plan import Plan, pin_key, plan
from verticalmodel.refusals import Refusal, RefusalReason

KEY_OF_THE_SMALLEST = "sha256:aee5087f3d51fa75cf8cb4cabf4a269a9fe779921ae480e80fd02dc8993bdc32"
PLATFORM = Platform(guard_image="guard:1", unseal_image="unseal:1", version="0.1.0")
RUNTIME = ModelRuntime.model_validate(
    {"metadata": {"name": "oip-onnx"}, "spec": {"image": "serving:1", "command": ["serve"], "formats": ["onnx"]}}
)


def standard(limit: float = 300, measure: str = "cold-start") -> OperatingStandard:
    clause = {
        "id": 7,
        "condition": "ColdStartWithinBudget",
        "title": "t",
        "text": "t",
        "reading": "r",
        "citation": "c",
        "measure": measure,
        "comparator": "AtMost",
        "limit": limit,
        "unit": "s",
        "lifetimeSeconds": 600,
    }
    spec = {"title": "t", "edition": "2026", "effective": "2026-01-01", "clauses": [clause]}
    return OperatingStandard.model_validate({"metadata": {"name": "vlm-2026"}, "spec": spec})


def model(**spec: Any) -> VerticalModel:
    return VerticalModel.model_validate(
        {
            "metadata": {"name": "m", "namespace": "ns", "uid": "u-1"},
            "spec": {"runtime": {"name": "oip-onnx"}, "source": {"uri": "pvc://claim/a/model.onnx"}, **spec},
        }
    )


def facts(**changes: Any) -> Facts:
    given: dict[str, Any] = {"platform": PLATFORM, "runtime": RUNTIME, "standard": standard(), **changes}
    return Facts(**given)


def planned(subject: VerticalModel, known: Facts | None = None) -> Plan:
    result = plan(subject, known or facts())
    assert isinstance(result, Plan)
    return result


@pytest.mark.parametrize(
    ("subject", "known", "reason", "mentions"),
    [
        (model(), facts(runtime=None), RefusalReason.RUNTIME_NOT_FOUND, ("spec.runtime.name", "'oip-onnx'")),
        (
            model(),
            facts(runtime=None, runtime_broken="spec.port"),
            RefusalReason.RUNTIME_UNUSABLE,
            ("spec.runtime.name", "'oip-onnx'", "spec.port", "kubectl explain modelruntime.spec"),
        ),
        (model(), facts(standard=None), RefusalReason.STANDARD_NOT_FOUND, ("spec.standard.name", "'vlm-2026'")),
        (
            model(source={"uri": "pvc://c", "format": "gguf"}),
            facts(),
            RefusalReason.FORMAT_NOT_SUPPORTED,
            ("spec.source.format", "'gguf'", "onnx"),
        ),
        (model(), facts(occupied=frozenset({"Service/m"})), RefusalReason.NAME_TAKEN, ("Service/m", "'ns'")),
        (
            model(startup={"budgetSeconds": 301}),
            facts(),
            RefusalReason.LOOSER_THAN_STANDARD,
            ("spec.startup.budgetSeconds", "301", "300"),
        ),
    ],
)
def test_a_refusal_names_the_field_its_value_and_what_is_allowed(
    subject: VerticalModel, known: Facts, reason: RefusalReason, mentions: tuple[str, ...]
) -> None:
    refusal = plan(subject, known)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason
    assert all(mention in refusal.message for mention in mentions)


def test_the_smallest_model_gets_safe_defaults() -> None:
    result = planned(model())
    assert (result.replicas, result.cpu, result.memory, result.start_budget_seconds) == (1, "1", "1Gi", 300)
    assert (result.claim, result.memory_bytes, result.parameters_bytes) == ("claim", 2**30, 2**30 - 128 * 2**20)
    assert result.clients == LabelSelector(match_labels={"kubernetes.io/metadata.name": "ns"})
    assert result.restarts_on_overrun


def test_a_remote_source_needs_no_claim() -> None:
    remote = {"uri": "s3://models/breast", "egress": [{"cidr": "192.0.2.0/24"}]}
    assert planned(model(source=remote)).claim == ""


def test_a_suspended_model_has_no_pods_but_keeps_its_wish() -> None:
    assert planned(model(replicas=3, suspend=True)).replicas == 0


def test_a_stricter_start_budget_is_kept_and_the_standards_limit_is_the_default() -> None:
    assert planned(model(startup={"budgetSeconds": 60})).start_budget_seconds == 60
    assert planned(model(), facts(standard=standard(limit=120))).start_budget_seconds == 120


def test_a_standard_without_a_start_clause_sets_no_ceiling() -> None:
    known = facts(standard=standard(measure="other"))
    assert planned(model(startup={"budgetSeconds": 900}), known).start_budget_seconds == 900


@pytest.mark.parametrize(
    "change", [{"replicas": 5}, {"suspend": True}, {"access": {"namespaceSelector": {}}}, {"standard": {"name": "x"}}]
)
def test_scaling_suspending_and_granting_access_ask_for_no_new_pods(change: dict[str, Any]) -> None:
    assert pin_key(model(**change)) == pin_key(model())


@pytest.mark.parametrize(
    "change",
    [
        {"source": {"uri": "pvc://other"}},
        {"source": {"uri": "pvc://claim/a/model.onnx", "key": {"name": "model-key"}}},
        {"source": {"uri": "pvc://claim/a/model.onnx", "digest": "sha256:" + "0" * 64}},
        {"resources": {"cpu": "2"}},
        {"startup": {"enforcement": "Report"}},
        {"update": "take it"},
        {"runtime": {"name": "other"}},
        {"resources": {"gpu": {}}},
        {"pod": {"labels": {"team": "a"}}},
    ],
)
def test_what_pods_are_made_of_asks_for_new_pods(change: dict[str, Any]) -> None:
    assert pin_key(model(**change)) != pin_key(model())


def test_the_key_of_the_smallest_model_is_the_same_in_every_version() -> None:
    """A field that a newer operator adds, or a default that it writes into stored objects, must restart nothing."""
    explicit = model(
        resources={"cpu": "1", "memory": "1Gi"}, startup={"enforcement": "Enforce"}, update="", pod={"env": []}
    )
    assert pin_key(explicit) == pin_key(model()) == KEY_OF_THE_SMALLEST
