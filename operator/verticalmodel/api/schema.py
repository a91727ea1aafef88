"""What the kinds are written with: the base type, field conventions for the CRD compiler, and quantities."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

__all__ = [
    "AwareDatetime",
    "Digest",
    "DnsLabel",
    "KindInfo",
    "Object",
    "PrinterColumn",
    "Quantity",
    "at_least",
    "at_most",
    "cel",
    "list_map",
    "list_set",
    "parse_quantity",
    "validations",
]


class Object(BaseModel):
    """Base of every API type: immutable, camelCase on the wire, unknown fields ignored when read.

    Unknown fields are the API server's business (strict field validation); refusing them here would break
    objects stored by a newer version.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=False,
    )

    def wire(self) -> dict[str, Any]:
        """The JSON form that the API server stores: camelCase, absent instead of null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def cel(rule: str, message: str, **more: str) -> dict[str, str]:
    """One x-kubernetes-validations entry (KEP-2876); `more` may hold reason, fieldPath or messageExpression."""
    return {"rule": rule, "message": message, **more}


def validations(*rules: Mapping[str, str]) -> dict[str, Any]:
    """json_schema_extra for CEL rules on a type or field."""
    return {"x-kubernetes-validations": [dict(rule) for rule in rules]}


def list_map(*keys: str) -> dict[str, Any]:
    """json_schema_extra for a list merged by key (server-side apply, KEP-555)."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def list_set() -> dict[str, Any]:
    """json_schema_extra for a list of distinct scalars."""
    return {"x-kubernetes-list-type": "set"}


Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[a-f0-9]{64}$", max_length=71)]
DnsSubdomain = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
"""A name of most kinds of objects (RFC 1123 subdomain); the API server has the last word."""
DnsLabel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]

_QUANTITY = re.compile(r"^([+-]?[0-9]+(?:\.[0-9]*)?|\.[0-9]+)((?:[KMGTPE]i)|[numkMGTPE]|[eE][+-]?[0-9]+)?$")
_SCALE = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal("1e3"), "M": Decimal("1e6"),
    "G": Decimal("1e9"), "T": Decimal("1e12"), "P": Decimal("1e15"), "E": Decimal("1e18"),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
    "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def parse_quantity(text: str) -> Decimal:
    """Value of a Kubernetes quantity in base units (bytes, cores). Raises ValueError naming the text."""
    match = _QUANTITY.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity; write for example '2', '500m' or '4Gi'")
    number, suffix = match.groups()
    if not suffix:
        return Decimal(number)
    if suffix in _SCALE:
        return Decimal(number) * _SCALE[suffix]
    return Decimal(f"{number}{suffix}")


Quantity = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if isinstance(value, int) else value),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "maxLength": 32,
            **validations(
                cel(
                    "isQuantity(string(self))",
                    "must be a quantity, for example 2, 500m or 4Gi",
                    messageExpression="string(self) + ' is not a quantity; write for example 2, 500m or 4Gi'",
                )
            ),
        }
    ),
]


def _absent(field: str) -> str:
    return f"!has(self.{field}) || "


def at_least(field: str, minimum: str, *, optional: bool = False) -> dict[str, str]:
    """A rule for an object: its Quantity `field` is at least `minimum`. What is no quantity has its own message."""
    value = f"string(self.{field})"
    return cel(
        f"{_absent(field) if optional else ''}"
        f"!isQuantity({value}) || quantity({value}).compareTo(quantity('{minimum}')) >= 0",
        f"{field} must be at least {minimum}",
        fieldPath=f".{field}",
        messageExpression=f"'{field} is ' + {value} + ', it must be at least {minimum}'",
    )


def at_most(field: str, maximum: str, *, optional: bool = False) -> dict[str, str]:
    """A rule for an object: its Quantity `field` is at most `maximum`. What is no quantity has its own message."""
    value = f"string(self.{field})"
    return cel(
        f"{_absent(field) if optional else ''}"
        f"!isQuantity({value}) || quantity({value}).compareTo(quantity('{maximum}')) <= 0",
        f"{field} must be at most {maximum}",
        fieldPath=f".{field}",
        messageExpression=f"'{field} is ' + {value} + ', it must be at most {maximum}'",
    )


@dataclass(frozen=True)
class PrinterColumn:
    """A column of `kubectl get`; priority 1 shows with -o wide only."""

    name: str
    json_path: str
    type: Literal["string", "integer", "number", "boolean", "date"] = "string"
    description: str = ""
    priority: int = 0


@dataclass(frozen=True)
class KindInfo:
    """What a CRD needs beside the schema."""

    kind: str
    plural: str
    short_names: tuple[str, ...]
    scope: Literal["Namespaced", "Cluster"]
    columns: tuple[PrinterColumn, ...]
    status: bool = False
    scale: Mapping[str, str] | None = None
    root_rules: tuple[Mapping[str, str], ...] = ()
    selectable_fields: tuple[str, ...] = field(default=())

    @property
    def singular(self) -> str:
        """The lower-case kind, as kubectl accepts it."""
        return self.kind.lower()
