"""The editions of the standard: each one an OperatingStandard manifest in this folder, and its loader."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml

from verticalmodel.api import names
from verticalmodel.api.operatingstandard import KIND, OperatingStandardSpec

__all__ = ["EDITIONS", "load", "manifest"]

EDITIONS = {names.DEFAULT_STANDARD: "vlm_2026.yaml"}
"""Name of each edition that comes with the operator, and its file."""


def load(name: str) -> OperatingStandardSpec:
    """The edition `name`, parsed. Raises LookupError naming the editions that exist."""
    return OperatingStandardSpec.model_validate(_document(name)["spec"])


def manifest(name: str) -> dict[str, Any]:
    """The edition `name` as an object to apply, every default spelled out. Raises LookupError like `load`."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": KIND.kind,
        "metadata": {"name": name},
        "spec": load(name).wire(),
    }


def _document(name: str) -> dict[str, Any]:
    if name not in EDITIONS:
        raise LookupError(f"there is no edition {name!r}; the operator comes with: {', '.join(sorted(EDITIONS))}")
    text = resources.files(__name__).joinpath(EDITIONS[name]).read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document
