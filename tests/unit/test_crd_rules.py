"""What the compiler makes of each kind of field: one tiny type per rule, one golden file per type.

VERTICALMODEL_UPDATE_GOLDEN=1 rewrites the golden files; read the difference before committing it.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import ConfigDict, Field, StringConstraints, WithJsonSchema

from generation.artifacts import to_yaml
from verticalmodel.api.schema import AwareDatetime, Object, cel, list_map, list_set, validations
from verticalmodel.api.structural import Structural

GOLDEN = Path(__file__).parent.parent / "golden" / "crd"
Word = Annotated[str, StringConstraints(max_length=63)]


Amount = Annotated[
    str, WithJsonSchema({"x-kubernetes-int-or-string": True, "maxLength": 9, "pattern": "^[0-9]+(Mi)?$"})
]


class Inner(Object):
    """An inner object, described by its docstring
    over two lines.
    """

    size: int = Field(default=1, description="Size in bytes.")
    word: Word = Field(default="a", description="A word.")


class Named(Object):
    """An inner object with a required field."""

    name: Word = Field(description="Name.")
    size: int = Field(default=1, description="Size in bytes.")


class Colour(StrEnum):
    """A colour."""

    RED = "Red"
    BLUE = "Blue"


class ReferencesAreInlined(Object):
    """Golden: the field's own description wins; without one the type's docstring stands in."""

    described: Inner = Field(description="Described where it is used.")
    undescribed: Inner


class OptionalIsAbsentNeverNull(Object):
    """Golden: `X | None = None` is X, not required, without nullable and without a default."""

    text: Word | None = Field(default=None, description="A word.")
    inner: Inner | None = Field(default=None, description="An object.")
    either: int | Word | None = Field(default=None, description="A number or a word.")


class LiteralsBecomeEnums(Object):
    """Golden: one value (const), several, numbers, and an enumeration of Python."""

    one: Literal["open"] = Field(description="One value.")
    several: Literal["A", "B"] = Field(default="A", description="Several values.")
    number: Literal[1, 2] = Field(description="Numbers.")
    colour: Colour = Field(default=Colour.RED, description="A colour.")


class ExclusiveBounds(Object):
    """Golden: exclusive bounds of integers move by one, those of numbers become the boolean form."""

    above: int = Field(gt=0, lt=10, description="An integer.")
    ratio: float = Field(gt=0, lt=1, description="A number.")
    inclusive: int = Field(ge=0, le=10, description="An integer.")
    even: int = Field(multiple_of=2, description="An even integer.")


class IntOrString(Object):
    """Golden: int-or-string has no type; the string's bounds stay."""

    amount: Amount = Field(default="1", description="Bytes.")
    either: int | Word = Field(description="A port, by number or name.")


class ListTypes(Object):
    """Golden: every list says how two writers' items merge, atomic where the type says nothing."""

    plain: tuple[Word, ...] = Field(default=(), min_length=0, max_length=4, description="Replaced as a whole.")
    distinct: tuple[Word, ...] = Field(max_length=4, description="Merged by value.", json_schema_extra=list_set())
    keyed: tuple[Named, ...] = Field(max_length=4, description="Merged by name.", json_schema_extra=list_map("name"))
    defaulted_key: tuple[Inner, ...] = Field(
        max_length=4, description="A key with a default.", json_schema_extra=list_map("size")
    )


class Maps(Object):
    """Golden: dict[str, X] is additionalProperties with maxProperties."""

    words: dict[str, Word] = Field(default={}, max_length=8, description="Words by name.")
    objects: dict[str, Inner] = Field(default={}, max_length=8, description="Objects by name.")


class NestedDefaults(Object):
    """Golden: a parent's default is whole, because CEL rules see it before nested defaults complete it."""

    all_default: Inner = Field(default=Inner(), description="The server fills in everything.")
    differs: Inner = Field(default=Inner(size=7), description="One figure differs.")
    required_inside: Named = Field(default=Named(name="b"), description="A required field has a value.")
    items: tuple[Inner, ...] = Field(default=(Inner(size=2),), max_length=2, description="Defaults in a list.")
    off: bool = Field(default=False, description="False is a default too.")


class Ruled(Object):
    """A type with a rule of its own."""

    size: int = Field(default=1, description="Size in bytes.")

    model_config = ConfigDict(json_schema_extra=validations(cel("self.size < 9", "size is below 9")))


class CelRules(Object):
    """Golden: rules on a type and on a field; those of a type and of the field that refers to it add up."""

    low: int = Field(ge=0, description="Lower end.")
    high: int = Field(ge=0, description="Upper end.", json_schema_extra=validations(cel("self != 7", "high is not 7")))
    inner: Ruled = Field(
        description="Rules and a reference.", json_schema_extra=validations(cel("self.size > 0", "size is above 0"))
    )

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "self.low <= self.high",
                "low is at most high",
                fieldPath=".low",
                messageExpression="'low is ' + string(self.low)",
            )
        )
    )


class FormatsAndPatterns(Object):
    """Golden: formats with one meaning, patterns that both engines read alike."""

    when: AwareDatetime = Field(description="A moment.")
    day: Annotated[str, WithJsonSchema({"type": "string", "format": "date"})] = Field(description="A day.")
    code: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(?:-[0-9]+)*\.x$", max_length=9)] = Field(
        description="A code."
    )


class Scalars(Object):
    """Golden: integers are int64, numbers are doubles."""

    count: int = Field(description="A count.")
    share: float = Field(default=0.5, description="A share.")
    flag: bool = Field(description="A switch.")


class AtomicObject(Object):
    """Golden: how two writers' fields merge can be said of objects as well."""

    size: int = Field(description="Size in bytes.")

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})


RULES: dict[str, type[Object]] = {
    "references-are-inlined": ReferencesAreInlined,
    "optional-is-absent-never-null": OptionalIsAbsentNeverNull,
    "literals-become-enums": LiteralsBecomeEnums,
    "exclusive-bounds": ExclusiveBounds,
    "int-or-string": IntOrString,
    "list-types": ListTypes,
    "maps": Maps,
    "nested-defaults": NestedDefaults,
    "cel-rules": CelRules,
    "formats-and-patterns": FormatsAndPatterns,
    "scalars": Scalars,
    "atomic-object": AtomicObject,
}


def structural(model: type[Object], *, defaults: bool = True) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    return Structural(schema.pop("$defs", {}), defaults=defaults).translate(schema, "spec")


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_gives_its_golden_schema(rule: str) -> None:
    golden = GOLDEN / f"{rule}.yaml"
    _, _, schema = to_yaml(structural(RULES[rule]), "").partition("\n")
    text = f"# {RULES[rule].__name__} in tests/unit/test_crd_rules.py, which says how to rewrite this file.\n{schema}"
    if os.environ.get("VERTICALMODEL_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text


def test_no_golden_file_is_without_its_rule() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(RULES)


def test_defaults_are_left_out_where_they_would_be_claims() -> None:
    """Under status nothing is defaulted, at no depth; nothing else differs."""
    without = yaml.safe_load((GOLDEN / "nested-defaults.yaml").read_text(encoding="utf-8"))

    def drop(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: drop(value) for key, value in node.items() if key != "default"}
        return [drop(item) for item in node] if isinstance(node, list) else node

    assert structural(NestedDefaults, defaults=False) == drop(without)


@pytest.mark.parametrize("rule", RULES)
def test_translating_twice_gives_the_same_bytes(rule: str) -> None:
    assert to_yaml(structural(RULES[rule]), "x") == to_yaml(structural(RULES[rule]), "x")
