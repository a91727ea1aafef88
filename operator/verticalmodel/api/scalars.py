"""Strings and numbers in structural schemas: bounds, patterns, enums. Pure."""

from __future__ import annotations

from typing import Any

from verticalmodel.api import re2

__all__ = ["Schema", "SchemaError", "copied", "scalar"]

Schema = dict[str, Any]

_NUMBER_FORMATS = {"integer": "int64", "number": "double"}
_BOUNDED_FORMATS = frozenset({"date-time", "date", "uuid", "ipv4", "ipv6"})
"""Formats that both sides know, with the same meaning and a bounded length. Not `duration`: ISO 8601 in pydantic, Go
style in the API server."""


class SchemaError(TypeError):
    """A type that no structural schema expresses faithfully: where, and why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def scalar(kind: str, schema: Schema, path: str) -> Schema:
    """The structural form of a string, int-or-string, integer, number or boolean. Raises SchemaError."""
    match kind:
        case "string":
            return _string(schema, path)
        case "int-or-string":
            return _int_or_string(schema, path)
        case "boolean":
            return {"type": kind} | _enum(schema, kind, path)
        case _:
            return _number(schema, kind, path)


def copied(schema: Schema, *keys: str) -> Schema:
    """Those of `keys` that the schema has, unchanged."""
    return {key: schema[key] for key in keys if key in schema}


def _string(schema: Schema, path: str) -> Schema:
    result: Schema = (
        {"type": "string"} | _enum(schema, "string", path) | copied(schema, "minLength", "maxLength", "format")
    )
    form = schema.get("format")
    if form is not None and form not in _BOUNDED_FORMATS:
        raise SchemaError(path, f"format {form} is unknown or means another thing to the API server")
    if not (form or "enum" in result or "maxLength" in result):
        raise SchemaError(path, "an unbounded string: give StringConstraints(max_length=...); CEL needs the bound")
    return result | _pattern(schema, path)


def _int_or_string(schema: Schema, path: str) -> Schema:
    if "maxLength" not in schema:
        raise SchemaError(path, "an unbounded string: add maxLength; CEL needs the bound")
    result: Schema = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
    return result | copied(schema, "minLength", "maxLength") | _pattern(schema, path)


def _pattern(schema: Schema, path: str) -> Schema:
    pattern = schema.get("pattern")
    if pattern is None:
        return {}
    reason = re2.objection(pattern)
    if reason:
        raise SchemaError(path, f"pattern {pattern!r} cannot be used: {reason}")
    return {"pattern": pattern}


def _number(schema: Schema, kind: str, path: str) -> Schema:
    result: Schema = {"type": kind, "format": _NUMBER_FORMATS[kind]} | _enum(schema, kind, path)
    result |= copied(schema, "minimum", "maximum", "multipleOf")
    for bound, exclusive, step in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
        if exclusive not in schema:
            continue
        if bound in schema:
            raise SchemaError(path, f"both {bound} and {exclusive}: keep one")
        if kind == "integer":
            result[bound] = schema[exclusive] + step
        else:
            result |= {bound: schema[exclusive], exclusive: True}
    return result


def _enum(schema: Schema, kind: str, path: str) -> Schema:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values is None:
        return {}
    python = {"string": str, "integer": int, "number": float, "boolean": bool}[kind]
    if any(type(value) is not python for value in values):
        raise SchemaError(path, f"values {values} are not all of type {kind}")
    return {"enum": list(values)}
