"""The compiled CRDs of our kinds: what kubectl and the API server will see."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from kubernetes.client import V1CustomResourceDefinition
from pydantic import Field

from generation.artifacts import KINDS
from verticalmodel.api import names, re2, verticalmodel
from verticalmodel.api.crd import compile_crd
from verticalmodel.api.defaulting import expand
from verticalmodel.api.model_spec import VerticalModelSpec
from verticalmodel.api.schema import KindInfo, Object, PrinterColumn, cel
from verticalmodel.api.verticalmodel import VerticalModel

every_kind = pytest.mark.parametrize("module", KINDS, ids=lambda module: module.KIND.kind)


def crd(module: ModuleType) -> dict[str, Any]:
    return compile_crd(module.KIND, getattr(module, module.KIND.kind))


class Meta(Object):
    """Metadata."""

    name: str


class ThingSpec(Object):
    """A spec."""

    count: int = Field(default=1, description="A count.")


class ThingStatus(Object):
    """A status."""

    count: int = Field(default=0, description="A count.")


class Thing(Object):
    """A thing
    over two lines.
    """

    metadata: Meta
    spec: ThingSpec = Field(description="What is wanted.")
    status: ThingStatus = Field(default=ThingStatus(), description="What is there.")


def test_a_kind_becomes_one_whole_custom_resource_definition() -> None:
    info = KindInfo(
        kind="Thing",
        plural="things",
        short_names=("th",),
        scope="Cluster",
        status=True,
        scale={"specReplicasPath": ".spec.count", "statusReplicasPath": ".status.count"},
        root_rules=(cel("self.metadata.name != 'no'", "not no"),),
        selectable_fields=(".spec.count",),
        columns=(
            PrinterColumn("Count", ".spec.count", type="integer", description="A count.", priority=1),
            PrinterColumn("Age", ".metadata.creationTimestamp", type="date"),
        ),
    )
    assert compile_crd(info, Thing) == {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.verticalmodel.io"},
        "spec": {
            "group": "verticalmodel.io",
            "scope": "Cluster",
            "conversion": {"strategy": "None"},
            "names": {
                "kind": "Thing",
                "listKind": "ThingList",
                "plural": "things",
                "singular": "thing",
                "shortNames": ["th"],
            },
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [
                        {
                            "name": "Count",
                            "type": "integer",
                            "jsonPath": ".spec.count",
                            "description": "A count.",
                            "priority": 1,
                        },
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                    "selectableFields": [{"jsonPath": ".spec.count"}],
                    "subresources": {
                        "status": {},
                        "scale": {"specReplicasPath": ".spec.count", "statusReplicasPath": ".status.count"},
                    },
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": "A thing over two lines.",
                            "required": ["spec"],
                            "x-kubernetes-validations": [{"rule": "self.metadata.name != 'no'", "message": "not no"}],
                            "properties": {
                                "apiVersion": {
                                    "type": "string",
                                    "description": "Version of the API that this object is written in, "
                                    "verticalmodel.io/v1alpha1.",
                                },
                                "kind": {"type": "string", "description": "Kind of this object."},
                                "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
                                "spec": {
                                    "type": "object",
                                    "description": "What is wanted.",
                                    "properties": {
                                        "count": {
                                            "type": "integer",
                                            "format": "int64",
                                            "default": 1,
                                            "description": "A count.",
                                        }
                                    },
                                },
                                "status": {
                                    "type": "object",
                                    "description": "What is there.",
                                    "properties": {
                                        "count": {"type": "integer", "format": "int64", "description": "A count."}
                                    },
                                },
                            },
                        }
                    },
                }
            ],
        },
    }


@every_kind
def test_who_lists_the_category_in_a_namespace_is_shown_nothing_of_other_namespaces(module: ModuleType) -> None:
    wanted = ["vmodels"] if module.KIND.scope == "Namespaced" else None
    assert crd(module)["spec"]["names"].get("categories") == wanted


@every_kind
def test_the_official_client_knows_every_field_of_our_crds(module: ModuleType) -> None:
    """Its models forbid unknown fields: const, $defs, prefixItems or a numeric exclusiveMinimum would be refused."""
    V1CustomResourceDefinition.model_validate(crd(module))


@every_kind
def test_no_forbidden_keyword_is_left_anywhere(module: ModuleType) -> None:
    forbidden = {"$ref", "$defs", "title", "const", "nullable", "uniqueItems", "oneOf", "allOf", "not", "discriminator"}

    def keywords(node: Any) -> set[str]:
        """Keys of schemas, not names of fields."""
        if not isinstance(node, dict):
            return set()
        named = [*node.get("properties", {}).values(), node.get("items"), node.get("additionalProperties")]
        return set(node).union(*map(keywords, named))

    root = crd(module)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert keywords(root) & forbidden == set()


def test_a_first_model_needs_a_source_and_a_runtime_only() -> None:
    """And what the server adds is what Python assumes, field by field."""
    least = {"source": {"uri": "pvc://models/mammography"}, "runtime": {"name": "oip-onnx"}}
    schema = crd(verticalmodel)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert expand(schema, least) == VerticalModelSpec.model_validate(least).wire()


def test_names_follow_the_design() -> None:
    found = {module.KIND.kind: (module.KIND.plural, module.KIND.short_names, module.KIND.scope) for module in KINDS}
    assert found == {
        "VerticalModel": ("verticalmodels", ("vmodel",), "Namespaced"),
        "ModelRuntime": ("modelruntimes", ("mruntime",), "Cluster"),
        "OperatingStandard": ("operatingstandards", ("opstd",), "Cluster"),
        "Evidence": ("evidences", ("evd",), "Namespaced"),
    }
    assert names.CATEGORY == "vmodels"


def test_evidence_has_no_status_that_somebody_else_could_write() -> None:
    module = next(module for module in KINDS if module.KIND.kind == "Evidence")
    assert "subresources" not in crd(module)["spec"]["versions"][0]


NESTED = {
    "properties": {
        "a": {"default": 1},
        "b": {"default": {}, "properties": {"c": {"default": "x"}, "d": {}}},
        "list": {"items": {"properties": {"e": {"default": True}}}},
        "map": {"additionalProperties": {"properties": {"f": {"default": []}}}},
    }
}


def test_defaults_fill_objects_lists_and_maps_from_outside_in() -> None:
    value = {"list": [{}, {"e": False}], "map": {"k": {}}, "unknown": 1}
    assert expand(NESTED, value) == {
        "a": 1,
        "b": {"c": "x"},
        "list": [{"e": True}, {"e": False}],
        "map": {"k": {"f": []}},
        "unknown": 1,
    }
    assert value == {"list": [{}, {"e": False}], "map": {"k": {}}, "unknown": 1}


def test_an_absent_field_of_status_reads_as_its_default() -> None:
    """The server defaults nothing under status, so a reader must."""
    model = VerticalModel.model_validate(
        {
            "metadata": {"name": "m", "namespace": "n", "uid": "u"},
            "spec": {"source": {"uri": "pvc://models"}, "runtime": {"name": "oip-onnx"}},
        }
    )
    assert model.status.conditions == ()


ACCEPTED_PATTERNS = [
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    r"^sha256:[a-f0-9]{64}$",
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))$",
    r"^[^/\]\\]+?$",
    r"^[]a]*$",
    r"^(?:a|b){1,1000}.{0}$",
    "",
]


@pytest.mark.parametrize("pattern", ACCEPTED_PATTERNS)
def test_a_pattern_in_the_dialect_of_both_engines_is_accepted(pattern: str) -> None:
    assert re2.objection(pattern) == ""
