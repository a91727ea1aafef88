"""What the compiler cannot translate faithfully it refuses, naming the field and the reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from verticalmodel.api.crd import SchemaError, compile_crd
from verticalmodel.api.schema import KindInfo, Object, cel, list_map, list_set, validations

Word = Annotated[str, StringConstraints(max_length=63)]


class Item(Object):
    """An item."""

    name: Word = Field(description="Name.")
    note: Word | None = Field(default=None, description="A note.")
    tags: tuple[Word, ...] = Field(default=(), max_length=3, description="Tags.")


class Cat(Object):
    """A cat."""

    kind: Literal["cat"] = Field(description="What it is.")


class Dog(Object):
    """A dog."""

    kind: Literal["dog"] = Field(description="What it is.")


class Tree(Object):
    """Contains itself."""

    children: tuple[Tree, ...] = Field(default=(), max_length=3, description="Branches.")


class Strict(BaseModel):
    """Forbids unknown fields in Python."""

    model_config = ConfigDict(extra="forbid")
    name: Word = Field(description="Name.")


def described(**more: Any) -> Any:
    return Field(description="A field.", **more)


def patterned(pattern: str) -> Any:
    return Annotated[str, WithJsonSchema({"type": "string", "maxLength": 9, "pattern": pattern})]


# Each case: a field's annotation, its Field, and the reason that the message must give.
REFUSED: dict[str, tuple[Any, Any, str]] = {
    "a field without a description": (Word, Field(), "a field without a description"),
    "a null that is not the default": (Word | None, described(), "null is only allowed as the default"),
    "a null beside another default": (Word | None, described(default="x"), "null is only allowed as the default"),
    "a default that only Python knows": (Word, described(default_factory=str), "default_factory hides the default"),
    "a tuple of fixed positions": (tuple[int, Word], described(), "prefixItems is not expressible"),
    "a set": (frozenset[Word], described(max_length=3), "uniqueItems is not expressible"),
    "keys with a pattern": (
        dict[Annotated[str, StringConstraints(pattern="^a$")], Word],
        described(max_length=3),
        "patternProperties is not expressible",
    ),
    "keys with a length": (
        dict[Annotated[str, StringConstraints(max_length=3)], Word],
        described(max_length=3),
        "propertyNames is not expressible",
    ),
    "a union of objects": (Cat | Dog, described(), "anyOf is not expressible"),
    "a union of objects or null": (Cat | Dog | None, described(default=None), "anyOf is not expressible"),
    "a discriminated union": (Cat | Dog, described(discriminator="kind"), "discriminator is not expressible"),
    "a union of scalars": (float | Word, described(), "anyOf is not expressible"),
    "a bounded integer or a string": (Annotated[int, Field(ge=1)] | Word, described(), "anyOf is not expressible"),
    "a Literal of mixed types": (Literal["a", 1], described(), "a Literal of mixed types"),
    "a Literal of true and one": (Literal[True, 1], described(), "a Literal of mixed types"),
    "values of another type": (int, described(json_schema_extra={"enum": ["a"]}), "are not all of type integer"),
    "a duration": (timedelta, described(), "format duration is unknown"),
    "bytes": (bytes, described(), "format binary is unknown"),
    "a type within itself": (Tree, described(), "Tree contains itself"),
    "anything": (Any, described(), "type None is not expressible"),
    "a free-form object": (dict[str, Any], described(max_length=3), "a free-form object"),
    "an untyped list": (tuple[Any, ...], described(max_length=3), "a list without an item type"),
    "an object that forbids unknown fields": (Strict, described(), "additionalProperties beside properties"),
    "an unbounded string": (str, described(), "an unbounded string"),
    "an unbounded string with a pattern": (
        Annotated[str, StringConstraints(pattern="^a+$")],
        described(),
        "an unbounded string",
    ),
    "an unbounded int-or-string": (int | str, described(), "an unbounded string"),
    "an unbounded list": (tuple[Word, ...], described(), "an unbounded list"),
    "an unbounded map": (dict[str, Word], described(), "an unbounded map"),
    "an unbounded string in a list": (tuple[str, ...], described(max_length=3), "an unbounded string"),
    "an unbounded string in a map": (dict[str, str], described(max_length=3), "an unbounded string"),
    "two lower bounds": (int, described(ge=1, gt=0), "both minimum and exclusiveMinimum"),
    "two upper bounds": (float, described(le=1, lt=2), "both maximum and exclusiveMaximum"),
    "unchecked fields": (
        Word,
        described(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
        "x-kubernetes-preserve-unknown-fields is not expressible",
    ),
    "a keyword that nobody translates": (Word, described(examples=["a"]), "examples is not expressible"),
    "a deprecated field": (Word, described(deprecated=True), "deprecated is not expressible"),
    "a list map without keys": (
        tuple[Item, ...],
        described(max_length=3, json_schema_extra=list_map()),
        "needs its keys",
    ),
    "a list map by an unknown key": (
        tuple[Item, ...],
        described(max_length=3, json_schema_extra=list_map("id")),
        "list key 'id' is no scalar field",
    ),
    "a list map by a list": (
        tuple[Item, ...],
        described(max_length=3, json_schema_extra=list_map("tags")),
        "list key 'tags' is no scalar field",
    ),
    "a list map by an optional key": (
        tuple[Item, ...],
        described(max_length=3, json_schema_extra=list_map("note")),
        "list key 'note' must be required or have a default",
    ),
    "a list map of scalars": (
        tuple[Word, ...],
        described(max_length=3, json_schema_extra=list_map("name")),
        "list key 'name' is no scalar field",
    ),
    "a list set of objects": (
        tuple[Item, ...],
        described(max_length=3, json_schema_extra=list_set()),
        "list_set() is for scalars",
    ),
    "a rule without a message": (
        Word,
        described(json_schema_extra=validations({"rule": "true"})),
        "a CEL rule needs a rule and a message of one line",
    ),
    "a rule with a message of two lines": (
        Word,
        described(json_schema_extra=validations(cel("true", "a\nb"))),
        "a CEL rule needs a rule and a message of one line",
    ),
    "a rule with a misspelt key": (
        Word,
        described(json_schema_extra=validations(cel("true", "a", fieldpath=".a"))),
        "a CEL rule has no fieldpath",
    ),
    "look-ahead": (patterned("^(?=a)"), described(), "RE2 has no look-around"),
    "look-behind": (patterned("(?<!a)b"), described(), "RE2 has no look-around"),
    "a named group": (patterned("(?P<a>b)"), described(), "only (?: ) is used here"),
    "an inline flag": (patterned("(?i)a"), described(), "only (?: ) is used here"),
    "a back-reference": (patterned(r"(a)\1"), described(), "RE2 has no back-references"),
    "a possessive repetition": (patterned("a*+"), described(), "RE2 has no possessive repetition"),
    "a large repetition": (patterned("a{1001}"), described(), "RE2 repeats at most 1000 times"),
    "a Unicode class": (patterned(r"^\d+$"), described(), "Unicode in one engine and ASCII in the other"),
    "a Unicode class in a set": (patterned(r"^[\w.]+$"), described(), "Unicode in one engine and ASCII in the other"),
    "an escape of Python": (patterned(r"a\Z"), described(), "the engines differ on this escape"),
    "a nested set": (patterned("[a[b]]"), described(), "nested sets and set operations are not RE2"),
    "a lone brace": (patterned("a{"), described(), "escape it"),
    "a letter beyond ASCII": (patterned("ä"), described(), "only printable ASCII"),
    "no regular expression at all": (patterned("("), described(), "it is no regular expression"),
}


def kind(annotation: Any, field: Any, *, info: Callable[[], KindInfo] | None = None) -> Callable[[], dict[str, Any]]:
    """Compiles a kind whose spec.outer.field is the given one: deep enough for the path to matter."""
    outer = type("Outer", (Object,), {"__annotations__": {"field": annotation}, "field": field, "__doc__": "Outer."})
    spec = type("Spec", (Object,), {"__annotations__": {"outer": outer}, "outer": described(), "__doc__": "Spec."})
    root = type(
        "Thing",
        (Object,),
        {"__annotations__": {"metadata": Item, "spec": spec}, "__doc__": "A thing.", "spec": described()},
    )
    default = KindInfo(kind="Thing", plural="things", short_names=(), scope="Namespaced", columns=())
    return lambda: compile_crd(info() if info else default, root)


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_the_path_and_the_reason(case: str) -> None:
    annotation, field, reason = REFUSED[case]
    with pytest.raises(SchemaError) as refusal:
        kind(annotation, field)()
    assert refusal.value.path.startswith("spec.outer.field")
    assert reason in refusal.value.reason
    assert str(refusal.value) == f"{refusal.value.path}: {refusal.value.reason}"


def test_the_frame_of_the_refusals_compiles() -> None:
    """Without this the cases above could be refused for another reason."""
    assert kind(Word, described())()["spec"]["names"]["kind"] == "Thing"


@pytest.mark.parametrize(
    ("annotation", "path"),
    [
        (tuple[str, ...], "spec.outer.field[*]"),
        (dict[str, str], "spec.outer.field[*]"),
        (dict[str, tuple[str, ...]], "spec.outer.field[*]"),
        (tuple[Tree, ...], "spec.outer.field[*].children[*]"),
    ],
)
def test_the_path_names_the_place_inside_lists_and_maps(annotation: Any, path: str) -> None:
    with pytest.raises(SchemaError) as refusal:
        kind(annotation, described(max_length=3))()
    assert refusal.value.path == path


def test_a_default_that_the_server_would_complete_otherwise_is_refused() -> None:
    """A null where the nested field has a default: Python keeps the null, the server fills the default in."""
    annotation = Annotated[
        dict[str, Any],
        WithJsonSchema(
            {
                "type": "object",
                "properties": {"size": {"type": "integer", "default": 1, "description": "Size."}},
            }
        ),
    ]
    with pytest.raises(SchemaError, match="the API server would not complete the default"):
        kind(annotation, described(default={"size": None}))()


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"kind": "VModels"}, "the category vmodels is also a name of this kind"),
        ({"plural": "vmodels"}, "the category vmodels is also a name of this kind"),
        ({"short_names": ("vmodels",)}, "the category vmodels is also a name of this kind"),
        ({"scale": {"specReplicasPath": ".spec.replicas"}}, "the scale subresource reads status: set status=True"),
        ({"status": True}, "top-level fields are ['spec'], expected ['spec', 'status']"),
        ({"root_rules": ({"rule": "true"},)}, "a CEL rule needs a rule and a message of one line"),
    ],
)
def test_a_kind_that_cannot_be_is_refused(info: dict[str, Any], reason: str) -> None:
    base: dict[str, Any] = {
        "kind": "Thing",
        "plural": "things",
        "short_names": (),
        "scope": "Namespaced",
        "columns": (),
    }
    with pytest.raises(SchemaError) as refusal:
        kind(Word, described(), info=lambda: KindInfo(**{**base, **info}))()
    assert refusal.value.reason == reason


class Undocumented(Object):
    metadata: Item
    spec: Item = Field(description="Spec.")


class RootRules(Object):
    """Rules where nothing translates them."""

    metadata: Item
    spec: Item = Field(description="Spec.")
    model_config = ConfigDict(json_schema_extra=validations(cel("true", "always")))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Undocumented, "a kind without a docstring: say what it is"),
        (RootRules, "x-kubernetes-validations at the root is not translated: rules go to KindInfo.root_rules"),
    ],
)
def test_a_root_that_would_lose_something_is_refused(model: type[Object], reason: str) -> None:
    info = KindInfo(kind="Thing", plural="things", short_names=(), scope="Namespaced", columns=())
    with pytest.raises(SchemaError) as refusal:
        compile_crd(info, model)
    assert refusal.value.reason == reason
