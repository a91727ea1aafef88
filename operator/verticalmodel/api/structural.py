"""pydantic's JSON schema -> the structural schema of a CustomResourceDefinition. Pure.

It translates faithfully or refuses: what the API server would accept, refuse or default must be what pydantic does.
Rules of structural schemas: apiextensions-apiserver `pkg/apiserver/schema`; costs of CEL: KEP-2876.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from verticalmodel.api.defaulting import expand
from verticalmodel.api.scalars import Schema, SchemaError, copied, scalar

__all__ = ["Structural", "cel_rule"]

_SCALARS = ("string", "integer", "number", "boolean")
_COMMON = frozenset({"type", "description", "title", "default", "enum", "const", "x-kubernetes-validations"})
_NUMERIC = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_KNOWN = {
    "string": _COMMON | {"minLength", "maxLength", "pattern", "format"},
    "integer": _COMMON | _NUMERIC,
    "number": _COMMON | _NUMERIC,
    "boolean": _COMMON,
    "array": _COMMON | {"items", "minItems", "maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"},
    "object": _COMMON
    | {"properties", "required", "additionalProperties", "minProperties", "maxProperties", "x-kubernetes-map-type"},
    "int-or-string": _COMMON | {"pattern", "minLength", "maxLength", "x-kubernetes-int-or-string"},
}
_REMEDY = {
    "$ref": "beside anyOf or allOf it cannot be inlined",
    "allOf": "state the fields in one model",
    "oneOf": "a union is no structural schema; write one object with a CEL rule per case",
    "discriminator": "a union is no structural schema; write one object with a CEL rule per case",
    "anyOf": "only `X | None` and `int | str` (with a bounded str) can be expressed",
    "prefixItems": "a tuple of fixed positions is no structural schema; write tuple[X, ...] or an object",
    "uniqueItems": "the API server forbids it; write tuple[X, ...] with list_set()",
    "patternProperties": "the API server forbids it; constrain keys by a CEL rule",
    "propertyNames": "the API server forbids it; constrain keys by a CEL rule",
    "x-kubernetes-preserve-unknown-fields": "an unchecked field is not an API",
}
_RULES = "x-kubernetes-validations"
_RULE_KEYS = frozenset({"rule", "message", "messageExpression", "reason", "fieldPath", "optionalOldSelf"})


@dataclass(frozen=True)
class Structural:
    """Translates the schemas of one model; `definitions` are its $defs.

    `defaults` off leaves defaults out (status: a default there would be a claim that nobody observed).
    """

    definitions: Mapping[str, Schema]
    defaults: bool = True
    open_references: tuple[str, ...] = ()

    def translate(self, schema: Schema, path: str) -> Schema:
        """The structural form of one schema. Raises SchemaError."""
        schema, inner = self._inline(schema, path)
        kind = _kind(schema, path)
        for key in sorted(schema.keys() - _KNOWN[kind]):
            raise SchemaError(path, f"{key} is not expressible: {_REMEDY.get(key, 'no rule translates it')}")
        result: Schema = {}
        if "description" in schema:
            result["description"] = " ".join(schema["description"].split())
        if _RULES in schema:
            result[_RULES] = [cel_rule(rule, path) for rule in schema[_RULES]]
        match kind:
            case "object" if "properties" in schema:
                return result | inner.object_schema(schema, path)
            case "object":
                return result | inner.map_schema(schema, path)
            case "array":
                return result | inner.list_schema(schema, path)
            case _:
                return result | scalar(kind, schema, path)

    def _inline(self, schema: Schema, path: str) -> tuple[Schema, Structural]:
        """Follow references and drop the null of `X | None = None`: absent, never null."""
        scope = self
        while True:
            options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
            if len(options) < len(schema.get("anyOf", ())):
                if "default" not in schema or schema["default"] is not None:
                    raise SchemaError(path, "null is only allowed as the default: write `X | None = None`")
                siblings = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
                schema = _overlaid(options[0] if len(options) == 1 else {"anyOf": options}, siblings)
            elif "$ref" in schema:
                name = schema["$ref"].removeprefix("#/$defs/")
                if name in scope.open_references:
                    raise SchemaError(path, f"{name} contains itself: a structural schema has no recursion")
                scope = replace(scope, open_references=(*scope.open_references, name))
                siblings = {key: value for key, value in schema.items() if key != "$ref"}
                schema = _overlaid(self.definitions[name], siblings)
            else:
                return _hoisted(schema), scope

    def object_schema(self, schema: Schema, path: str) -> Schema:
        """An object with named fields."""
        if "additionalProperties" in schema:
            raise SchemaError(path, "additionalProperties beside properties: the server prunes unknown fields instead")
        required = schema.get("required", [])
        properties = {
            name: self._property(field, f"{path}.{name}", required=name in required)
            for name, field in schema["properties"].items()
        }
        result: Schema = {"type": "object", "properties": properties}
        if required:
            result["required"] = sorted(required)
        return result | copied(schema, "minProperties", "maxProperties", "x-kubernetes-map-type")

    def _property(self, field: Schema, path: str, *, required: bool) -> Schema:
        result = self.translate(field, path)
        if not result.get("description"):
            raise SchemaError(path, "a field without a description: say what it is and in which unit")
        if not required and "default" not in field:
            raise SchemaError(path, "default_factory hides the default from the API server: write default=")
        default = field.get("default")
        if self.defaults and default is not None:
            # In full, not {}: the API server checks CEL rules against a default before it completes it.
            result["default"] = _without_null(default)
            if expand(result, result["default"]) != result["default"]:
                raise SchemaError(path, f"the API server would not complete the default to {default!r}")
        return result

    def map_schema(self, schema: Schema, path: str) -> Schema:
        """A map from strings to one type."""
        values = schema.get("additionalProperties")
        if not isinstance(values, dict) or not values:
            raise SchemaError(path, "a free-form object: name its fields, or write dict[str, X] with a typed X")
        if "maxProperties" not in schema:
            raise SchemaError(path, "an unbounded map: give Field(max_length=...)")
        result = {"type": "object", "additionalProperties": self.translate(values, f"{path}[*]")}
        return result | copied(schema, "minProperties", "maxProperties", "x-kubernetes-map-type")

    def list_schema(self, schema: Schema, path: str) -> Schema:
        """A list; how two writers' items merge is always written down, atomic where the type says nothing."""
        if "maxItems" not in schema:
            raise SchemaError(path, "an unbounded list: give Field(max_length=...)")
        if not schema.get("items"):
            raise SchemaError(path, "a list without an item type")
        items = self.translate(schema["items"], f"{path}[*]")
        list_type = schema.get("x-kubernetes-list-type", "atomic")
        if list_type == "map":
            _check_keys(items, schema.get("x-kubernetes-list-map-keys", []), path)
        elif list_type == "set" and items.get("type") not in _SCALARS:
            raise SchemaError(path, "list_set() is for scalars; use list_map() for objects")
        result = {"type": "array", "items": items, "x-kubernetes-list-type": list_type}
        return result | copied(schema, "minItems", "maxItems", "x-kubernetes-list-map-keys")


def _overlaid(schema: Schema, siblings: Schema) -> Schema:
    """What a field says wins over what its type says; rules add up."""
    rules = [*schema.get(_RULES, ()), *siblings.get(_RULES, ())]
    return schema | siblings | ({_RULES: rules} if rules else {})


def _hoisted(schema: Schema) -> Schema:
    """`int | str` with the constraints of its str one level up, where they still bind strings only."""
    options = {option.get("type"): option for option in schema.get("anyOf", ())}
    if options.keys() != {"integer", "string"} or options["integer"] != {"type": "integer"}:
        return schema
    constraints = {key: value for key, value in options["string"].items() if key != "type"}
    siblings = {key: value for key, value in schema.items() if key != "anyOf"}
    return {"x-kubernetes-int-or-string": True} | constraints | siblings


def _kind(schema: Schema, path: str) -> str:
    """Type of a schema, or int-or-string, which has none."""
    if schema.get("x-kubernetes-int-or-string"):
        return "int-or-string"
    kind = schema.get("type")
    if isinstance(kind, str) and kind in _KNOWN:
        return kind
    for key in sorted(schema.keys() & _REMEDY.keys()):
        raise SchemaError(path, f"{key} is not expressible: {_REMEDY[key]}")
    if "enum" in schema:
        raise SchemaError(path, "a Literal of mixed types has no type: use one type")
    raise SchemaError(path, f"type {kind!r} is not expressible: use a scalar, an object, a list or a map")


def _check_keys(items: Schema, keys: list[str], path: str) -> None:
    """A list-map key is a scalar that every item has (KEP-555)."""
    properties = items.get("properties", {})
    if not keys:
        raise SchemaError(path, "list_map() needs its keys")
    for key in keys:
        if properties.get(key, {}).get("type") not in _SCALARS:
            raise SchemaError(path, f"list key {key!r} is no scalar field of its items")
        if key not in items.get("required", []) and "default" not in properties[key]:
            raise SchemaError(path, f"list key {key!r} must be required or have a default")


def cel_rule(rule: Mapping[str, Any], path: str) -> Schema:
    """A CEL rule with a message of its own: the server's default message only repeats the expression."""
    unknown = sorted(rule.keys() - _RULE_KEYS)
    if unknown:
        raise SchemaError(path, f"a CEL rule has no {', '.join(unknown)}; known: {', '.join(sorted(_RULE_KEYS))}")
    if not rule.get("rule") or not rule.get("message") or "\n" in rule["message"]:
        raise SchemaError(path, "a CEL rule needs a rule and a message of one line")
    return dict(rule)


def _without_null(value: Any) -> Any:
    """The wire form: absent instead of null."""
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value
