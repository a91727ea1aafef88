"""How the API server completes a value from a structural schema's defaults. Pure.

Same order as apiextensions-apiserver `pkg/apiserver/schema/defaulting`: a field's default first, then its inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["expand"]


def expand(schema: Mapping[str, Any], value: Any) -> Any:
    """`value` as the API server would store it: every default of `schema` filled in. The input is left alone."""
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        defaults = {name: field["default"] for name, field in properties.items() if "default" in field}
        return {
            name: expand(properties.get(name, schema.get("additionalProperties", {})), item)
            for name, item in (defaults | value).items()
        }
    if isinstance(value, list):
        return [expand(schema.get("items", {}), item) for item in value]
    return value
