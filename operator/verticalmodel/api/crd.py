"""The compiler: a kind's pydantic type -> its CustomResourceDefinition (apiextensions.k8s.io/v1). Pure."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from verticalmodel.api import names
from verticalmodel.api.scalars import Schema, SchemaError
from verticalmodel.api.schema import KindInfo, PrinterColumn
from verticalmodel.api.structural import Structural, cel_rule

__all__ = ["SchemaError", "compile_crd"]

_TYPE_META = {
    "apiVersion": "Version of the API that this object is written in, verticalmodel.io/v1alpha1.",
    "kind": "Kind of this object.",
}
_ROOT_KEYS = frozenset({"$defs", "description", "properties", "required", "title", "type"})


def compile_crd(kind_info: KindInfo, model: type[BaseModel]) -> dict[str, Any]:
    """The CustomResourceDefinition of `model`, ready for YAML: equal input, equal output.

    `model` has the fields metadata (the API server's business), spec, and status where `kind_info.status`. Raises
    SchemaError naming the field and the reason for whatever a structural schema cannot say.
    """
    _check_names(kind_info)
    version: dict[str, Any] = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root(kind_info, model)},
        "additionalPrinterColumns": [_column(column) for column in kind_info.columns],
    }
    if kind_info.status:
        version["subresources"] = {"status": {}}
        if kind_info.scale:
            version["subresources"]["scale"] = dict(kind_info.scale)
    if kind_info.selectable_fields:
        version["selectableFields"] = [{"jsonPath": path} for path in kind_info.selectable_fields]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind_info.plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": kind_info.kind,
                "listKind": f"{kind_info.kind}List",
                "plural": kind_info.plural,
                "singular": kind_info.singular,
                "shortNames": list(kind_info.short_names),
                # A reader of one namespace is shown nothing that belongs to all of them.
                **({"categories": [names.CATEGORY]} if kind_info.scope == "Namespaced" else {}),
            },
            "scope": kind_info.scope,
            "conversion": {"strategy": "None"},
            "versions": [version],
        },
    }


def _check_names(kind_info: KindInfo) -> None:
    """Refuse a category that is also a name: kubectl expands categories first, so it would hide the kind."""
    if names.CATEGORY in (kind_info.singular, kind_info.plural, *kind_info.short_names):
        raise SchemaError(kind_info.kind, f"the category {names.CATEGORY} is also a name of this kind")
    if kind_info.scale and not kind_info.status:
        raise SchemaError(kind_info.kind, "the scale subresource reads status: set status=True")


def _root(kind_info: KindInfo, model: type[BaseModel]) -> Schema:
    emitted = model.model_json_schema(by_alias=True, mode="validation")
    parts = emitted["properties"].keys() - {"metadata"}
    expected = {"spec", "status"} if kind_info.status else {"spec"}
    if parts != expected:
        raise SchemaError(kind_info.kind, f"top-level fields are {sorted(parts)}, expected {sorted(expected)}")
    for key in sorted(emitted.keys() - _ROOT_KEYS):
        raise SchemaError(kind_info.kind, f"{key} at the root is not translated: rules go to KindInfo.root_rules")
    if not emitted.get("description"):
        raise SchemaError(kind_info.kind, "a kind without a docstring: say what it is")
    definitions = emitted.get("$defs", {})
    properties: Schema = {name: {"type": "string", "description": text} for name, text in _TYPE_META.items()}
    properties["metadata"] = {"type": "object"}
    for part in sorted(parts):
        walk = Structural(definitions, defaults=part == "spec")
        properties[part] = walk.translate(emitted["properties"][part], part)
    root: Schema = {
        "type": "object",
        "description": " ".join(emitted["description"].split()),
        "properties": properties,
        "required": ["spec"],
    }
    if kind_info.root_rules:
        # Named here, so that a rule's fieldPath may lead to it: a rule at the root has no field to show otherwise.
        properties["metadata"] = {"type": "object", "properties": {"name": {"type": "string"}}}
        root["x-kubernetes-validations"] = [cel_rule(rule, kind_info.kind) for rule in kind_info.root_rules]
    return root


def _column(column: PrinterColumn) -> dict[str, Any]:
    optional = {"description": column.description, "priority": column.priority}
    required = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    return required | {key: value for key, value in optional.items() if value}
