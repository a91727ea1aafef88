"""Our API against the Kubernetes API conventions, field by field, as an API linter would read the CRDs.

Each rule is a function from (path, schema) to objections, so that the rules themselves can be shown to bite.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from generation.artifacts import KINDS
from verticalmodel.api import conditions
from verticalmodel.api.crd import compile_crd

Schema = dict[str, Any]
Rule = Callable[[str, Schema], Iterator[str]]

ROOTS = ("spec", "status")
_UNITS = re.compile(r"second|minute|hour|day", re.IGNORECASE)
_DURATION_NAMES = re.compile(r"(window|lifetime|timeout|budget|age|period|interval|duration|seconds)", re.IGNORECASE)
_BOUNDED_FORMATS = {"date-time", "date"}
_CAMEL_CASE = re.compile(r"^[a-z][A-Za-z0-9]*$")


def root(module: ModuleType) -> Schema:
    crd = compile_crd(module.KIND, getattr(module, module.KIND.kind))
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def walk(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Every schema below spec and status with its path; `[*]` for items and values."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from walk(f"{path}.{name}", field)
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from walk(f"{path}[*]", inner)


def no_phase(path: str, _schema: Schema) -> Iterator[str]:
    """A phase is a state machine that readers freeze; conditions are observations."""
    if path.rpartition(".")[2] in ("phase", "state"):
        yield "a phase: report conditions"


def no_null(_path: str, schema: Schema) -> Iterator[str]:
    if schema.get("nullable"):
        yield "nullable: absent is enough"


def lists_say_how_they_merge(_path: str, schema: Schema) -> Iterator[str]:
    if schema.get("type") == "array" and schema.get("x-kubernetes-list-type") not in ("map", "set", "atomic"):
        yield "a list without x-kubernetes-list-type"


def conditions_merge_by_type(path: str, schema: Schema) -> Iterator[str]:
    """metav1.Condition: a list map by type, with exactly its fields."""
    if not path.endswith(".conditions"):
        return
    if schema.get("x-kubernetes-list-map-keys") != ["type"]:
        yield "conditions that are no list map by type"
    fields = {"type", "status", "reason", "message", "lastTransitionTime", "observedGeneration"}
    if schema["items"]["properties"].keys() != fields:
        yield f"a condition with other fields than {sorted(fields)}"
    if {"type", "status", "reason", "lastTransitionTime"} - set(schema["items"]["required"]):
        yield "a condition without one of its required fields"


def everything_is_bounded(_path: str, schema: Schema) -> Iterator[str]:
    """An unbounded field is a way to fill etcd, and costs CEL its budget."""
    if schema.get("type") == "string" and not (
        "maxLength" in schema or "enum" in schema or schema.get("format") in _BOUNDED_FORMATS
    ):
        yield "an unbounded string"
    if schema.get("type") == "array" and "maxItems" not in schema:
        yield "an unbounded list"
    if "additionalProperties" in schema and "maxProperties" not in schema:
        yield "an unbounded map"


def descriptions_are_sentences(path: str, schema: Schema) -> Iterator[str]:
    """Every named field has one; an item of a list may lean on its list."""
    text = schema.get("description")
    if not text:
        if not path.endswith("[*]"):
            yield "no description"
    elif not text.endswith("."):
        yield f"a description without a full stop: {text!r}"


def durations_name_their_unit(path: str, schema: Schema) -> Iterator[str]:
    name = path.rpartition(".")[2]
    numeric = schema.get("type") in ("integer", "number")
    if numeric and _DURATION_NAMES.search(name) and not _UNITS.search(f"{name} {schema.get('description', '')}"):
        yield "a duration without its unit in the name or the description"


def names_are_camel_case(path: str, _schema: Schema) -> Iterator[str]:
    name = path.rpartition(".")[2].removesuffix("[*]")
    if name and not _CAMEL_CASE.match(name):
        yield f"{name!r} is not camelCase"


def enums_are_words(_path: str, schema: Schema) -> Iterator[str]:
    """PascalCase for states of ours; names of protocols keep their own spelling."""
    for value in schema.get("enum", ()):
        if not re.match(r"^[A-Z][A-Za-z]*$|^open-inference-v2$|^openai$", str(value)):
            yield f"the value {value!r} is not PascalCase"


RULES: tuple[Rule, ...] = (
    no_phase,
    no_null,
    lists_say_how_they_merge,
    conditions_merge_by_type,
    everything_is_bounded,
    descriptions_are_sentences,
    durations_name_their_unit,
    names_are_camel_case,
    enums_are_words,
)


def objections(rule: Rule, schema: Schema) -> list[str]:
    found = []
    for name in ROOTS:
        if name in schema["properties"]:
            found += [
                f"{path}: {text}"
                for path, field in walk(name, schema["properties"][name])
                for text in rule(path, field)
            ]
    return found


@pytest.mark.parametrize("module", KINDS, ids=lambda module: module.KIND.kind)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_our_kinds_follow_the_conventions(rule: Rule, module: ModuleType) -> None:
    assert objections(rule, root(module)) == []


CONDITION: Schema = {
    "properties": {
        "type": {},
        "status": {},
        "reason": {},
        "message": {},
        "lastTransitionTime": {},
        "observedGeneration": {},
    },
    "required": ["type", "status", "reason", "lastTransitionTime"],
}
BAD: list[tuple[Rule, str, Schema]] = [
    (no_phase, "status.phase", {}),
    (no_null, "spec.a", {"nullable": True}),
    (lists_say_how_they_merge, "spec.a", {"type": "array"}),
    (conditions_merge_by_type, "status.conditions", {"x-kubernetes-list-type": "atomic", "items": CONDITION}),
    (
        conditions_merge_by_type,
        "status.conditions",
        {"x-kubernetes-list-map-keys": ["type"], "items": {**CONDITION, "required": ["type"]}},
    ),
    (everything_is_bounded, "spec.a", {"type": "string", "pattern": "^a+$"}),
    (everything_is_bounded, "spec.a", {"type": "array"}),
    (everything_is_bounded, "spec.a", {"type": "object", "additionalProperties": {}}),
    (descriptions_are_sentences, "spec.a", {}),
    (descriptions_are_sentences, "spec.a", {"description": "No stop"}),
    (durations_name_their_unit, "spec.timeout", {"type": "integer", "description": "How long."}),
    (names_are_camel_case, "spec.two_words", {}),
    (enums_are_words, "spec.a", {"enum": ["in-progress"]}),
]


@pytest.mark.parametrize(("rule", "path", "schema"), BAD)
def test_each_rule_objects_to_what_it_is_for(rule: Rule, path: str, schema: Schema) -> None:
    assert list(rule(path, schema)) != []


def test_every_rule_is_shown_to_bite() -> None:
    assert {rule for rule, _, _ in BAD} == set(RULES)


@pytest.mark.parametrize("module", KINDS, ids=lambda module: module.KIND.kind)
def test_columns_and_scale_point_at_fields_that_exist(module: ModuleType) -> None:
    """The API server accepts any path and kubectl then shows an empty column."""
    known = {
        f".{path}"
        for name in ROOTS
        if name in root(module)["properties"]
        for path, _ in walk(name, root(module)["properties"][name])
    }
    known.add(".metadata.creationTimestamp")
    paths = [column.json_path for column in module.KIND.columns] + list((module.KIND.scale or {}).values())
    plain = {re.sub(r"\[\?\(@\.(\w+)=='\w+'\)\]", "[*]", path) for path in paths}
    assert plain <= known


@pytest.mark.parametrize("module", KINDS, ids=lambda module: module.KIND.kind)
def test_every_kind_shows_its_age_and_has_short_names_that_nobody_else_uses(module: ModuleType) -> None:
    taken = {"vm", "isvc", "ev", "mc", "mr", "po", "svc", "cm", "sa", "no", "ns"}
    assert "Age" in [column.name for column in module.KIND.columns]
    assert not taken & set(module.KIND.short_names)


def test_condition_types_and_reasons_are_pascal_case_and_distinct() -> None:
    types = [
        conditions.READY,
        conditions.COMPLIANT,
        conditions.NO_KNOWN_BREACH,
        conditions.ACCEPTED,
        conditions.PROGRESSING,
        conditions.EXPOSED,
        conditions.FAILOVER_ARMED,
        conditions.UPDATE_PENDING,
    ]
    reasons = [reason.value for reason in conditions.ClauseReason]
    assert all(re.match(r"^[A-Z][A-Za-z]+$", word) for word in types + reasons)
    assert len(set(types)) == len(types)
