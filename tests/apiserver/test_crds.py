"""Claims about the CRDs on a real API server: what it accepts, refuses and completes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from apiserver import objects
from apiserver.crd_cases import CASES, QUANTITY, breaches, field_of
from apiserver.kubectl import apply_crds
from apiserver.objects import OBJECT_MISSING, Wire, changed
from verticalmodel.api import names
from verticalmodel.api.evidence import EvidenceSpec
from verticalmodel.api.model_spec import VerticalModelSpec
from verticalmodel.api.modelruntime import ModelRuntimeSpec
from verticalmodel.api.operatingstandard import OperatingStandardSpec
from verticalmodel.api.schema import parse_quantity
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import ApiError, Invalid
from verticalmodel.kube.resources import (
    EVIDENCES,
    MODEL_RUNTIMES,
    OPERATING_STANDARDS,
    VERTICAL_MODELS,
    Key,
    Resource,
    key_of,
)

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("kinds")]

CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False, kind="CustomResourceDefinition"
)
RESOURCES = {resource.kind: resource for resource in (VERTICAL_MODELS, MODEL_RUNTIMES, OPERATING_STANDARDS, EVIDENCES)}


@pytest.fixture(scope="module")
def kinds(apiserver: Path) -> None:
    """The CRDs of this checkout."""
    apply_crds(apiserver)


@pytest.fixture
def unique() -> str:
    """A name for a cluster-scoped object of this test."""
    return f"test-{uuid4().hex[:10]}"


def sample(kind: str, namespace: str) -> Wire:
    builders = {"ModelRuntime": objects.runtime, "OperatingStandard": objects.edition}
    if kind in builders:
        return builders[kind]("sample")
    return objects.model(namespace) if kind == "VerticalModel" else objects.evidence_of(namespace)


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES)
async def test_the_crd_is_established_and_structural(api: ApiClient, resource: Resource) -> None:
    """NonStructuralSchema would be there as a condition; KubernetesAPIApprovalPolicyConformant is for k8s.io groups."""
    crd = await api.get(CRDS, Key("", f"{resource.plural}.{names.GROUP}"))
    conditions = {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("claim", CASES)
async def test_one_value_is_accepted_and_its_neighbour_refused_with_a_reason(
    api: ApiClient, namespace: str, claim: str
) -> None:
    case = CASES[claim]
    obj = sample(case.kind, namespace)
    await api.create(RESOURCES[case.kind], changed(obj, case.path, case.good), dry_run=True)
    with pytest.raises(Invalid) as refused:
        await api.create(RESOURCES[case.kind], changed(obj, case.path, case.bad), dry_run=True)
    messages = [cause.message for cause in refused.value.causes if cause.field == case.where]
    assert any(all(word in message for word in case.says) for message in messages), refused.value.causes


@pytest.mark.parametrize("kind", RESOURCES)
async def test_a_misspelt_field_is_refused_by_name(api: ApiClient, namespace: str, kind: str) -> None:
    obj = changed(sample(kind, namespace), ("spec", "repliacs"), 2)
    with pytest.raises(ApiError, match=r'unknown field "spec\.repliacs"') as refused:
        await api.create(RESOURCES[kind], obj, dry_run=True)
    assert refused.value.status == 400


@pytest.mark.parametrize("kind", RESOURCES)
async def test_a_missing_spec_is_refused(api: ApiClient, namespace: str, kind: str) -> None:
    with pytest.raises(Invalid) as refused:
        await api.create(RESOURCES[kind], changed(sample(kind, namespace), ("spec",), OBJECT_MISSING), dry_run=True)
    assert ("spec", "FieldValueRequired") in [(cause.field, cause.reason) for cause in refused.value.causes]


async def test_two_clauses_never_share_a_condition(api: ApiClient) -> None:
    first = objects.edition()["spec"]["clauses"][0]
    other = {**first, "id": 14, "condition": "ParametersEncrypted"}
    await api.create(OPERATING_STANDARDS, changed(objects.edition(), ("spec", "clauses"), [first, other]), dry_run=True)
    twice = changed(objects.edition(), ("spec", "clauses"), [first, {**other, "condition": first["condition"]}])
    with pytest.raises(Invalid) as refused:
        await api.create(OPERATING_STANDARDS, twice, dry_run=True)
    assert [(cause.field, cause.message) for cause in refused.value.causes] == [
        ("spec.clauses", "Invalid value: each clause needs a condition type of its own")
    ]


async def test_two_clauses_never_share_a_number(api: ApiClient) -> None:
    first = objects.edition()["spec"]["clauses"][0]
    twice = changed(objects.edition(), ("spec", "clauses"), [first, {**first, "condition": "Other"}])
    with pytest.raises(Invalid) as refused:
        await api.create(OPERATING_STANDARDS, twice, dry_run=True)
    assert ("spec.clauses[1]", "FieldValueDuplicate") in [(cause.field, cause.reason) for cause in refused.value.causes]


async def test_an_edition_never_changes(api: ApiClient, unique: str) -> None:
    created = await api.create(OPERATING_STANDARDS, objects.edition(unique))
    try:
        relabelled = changed(created, ("metadata", "labels"), {"seen": "yes"})
        await api.replace(OPERATING_STANDARDS, relabelled, dry_run=True)
        with pytest.raises(Invalid) as refused:
            await api.replace(OPERATING_STANDARDS, changed(created, ("spec", "clauses", 0, "limit"), 1.2))
        assert [(cause.field, cause.message) for cause in refused.value.causes] == [
            ("spec", "Invalid value: an edition is immutable: publish a new OperatingStandard instead")
        ]
    finally:
        await api.delete(OPERATING_STANDARDS, key_of(created))


@pytest.mark.parametrize(
    ("path", "value", "field", "message"),
    [
        (("spec", "subject", "uid"), "another", "spec.subject", "the subject of evidence never changes"),
        (("spec", "subject", "name"), "another", "spec.subject", "the subject of evidence never changes"),
        (("spec", "measurer"), "another", "spec.measurer", "the measurer of evidence never changes"),
        (
            ("spec", "head", "sequence"),
            0,
            "spec.head.sequence",
            "a chain never goes back: head.sequence must not decrease",
        ),
    ],
)
async def test_evidence_keeps_its_subject_its_measurer_and_its_direction(  # noqa: PLR0917 - fixtures and one row
    api: ApiClient, namespace: str, path: tuple[str, ...], value: Any, field: str, message: str
) -> None:
    created = await api.create(EVIDENCES, objects.evidence_of(namespace))
    await api.replace(EVIDENCES, changed(created, ("spec", "head", "sequence"), 2), dry_run=True)
    with pytest.raises(Invalid) as refused:
        await api.replace(EVIDENCES, changed(created, path, value))
    assert [(cause.field, cause.message) for cause in refused.value.causes] == [(field, f"Invalid value: {message}")]


LEAST: dict[str, tuple[Wire, type[Any]]] = {
    "VerticalModel": ({"runtime": {"name": "oip-onnx"}, "source": {"uri": "pvc://models"}}, VerticalModelSpec),
    "ModelRuntime": ({"image": "serving:1", "command": ["serve"], "formats": ["onnx"]}, ModelRuntimeSpec),
    "OperatingStandard": (
        {
            "title": "Rules",
            "edition": "2026",
            "effective": "2026-01-01",
            "clauses": [
                {
                    key: value
                    for key, value in objects.edition()["spec"]["clauses"][0].items()
                    if key not in ("parameters", "mandatory", "scope")
                }
            ],
        },
        OperatingStandardSpec,
    ),
    "Evidence": (
        {
            "subject": {"name": "m", "uid": "u"},
            "measurer": "somebody",
            "head": {"sequence": 1, "digest": objects.DIGEST},
            "entries": [
                {
                    key: value
                    for key, value in objects.evidence_of("n")["spec"]["entries"][0].items()
                    if key not in ("value", "load", "simulated", "binding", "observations")
                }
            ],
        },
        EvidenceSpec,
    ),
}


@pytest.mark.parametrize("kind", RESOURCES)
async def test_the_server_completes_an_object_to_what_python_assumes(
    api: ApiClient, namespace: str, unique: str, kind: str
) -> None:
    spec, python = LEAST[kind]
    obj = changed(changed(sample(kind, namespace), ("spec",), spec), ("metadata", "name"), unique)
    stored = await api.create(RESOURCES[kind], obj, dry_run=True)
    assert stored["spec"] == python.model_validate(spec).wire()
    assert "status" not in stored


@pytest.mark.parametrize("kind", RESOURCES)
async def test_a_whole_object_is_stored_as_it_was_sent(api: ApiClient, namespace: str, kind: str) -> None:
    """Nothing of ours is pruned, rounded or reordered: digests over entries stay true."""
    obj = sample(kind, namespace)
    assert (await api.create(RESOURCES[kind], obj, dry_run=True))["spec"] == obj["spec"]


QUANTITIES = ["2", "500m", "1.5Gi", ".5", "5.", "+1", "1e3", "1E3", "1E", "1e-3", "12n", "1Ki", "1k"]
NO_QUANTITIES = ["", "1K", "1e1.5", "1 Gi", "1GiB", "0x10", "1,5", "--1", "1e", "lots", "1_000"]


@pytest.mark.parametrize("text", QUANTITIES + NO_QUANTITIES)
async def test_python_and_the_server_agree_on_what_a_quantity_is(api: ApiClient, namespace: str, text: str) -> None:
    """Read as cpu, where the least is 10m: what is too small is a quantity still."""
    obj = changed(objects.model(namespace), ("spec", "resources", "cpu"), text)
    messages: list[str] = []
    try:
        await api.create(VERTICAL_MODELS, obj, dry_run=True)
    except Invalid as refused:
        messages = [cause.message for cause in refused.causes]
    server = not any(QUANTITY in message for message in messages)
    try:
        parse_quantity(text)
        python = True
    except ValueError:
        python = False
    assert (server, python) == (text in QUANTITIES, text in QUANTITIES)


@pytest.mark.parametrize("kind", RESOURCES)
async def test_every_bound_in_the_crd_bites(api: ApiClient, namespace: str, kind: str) -> None:
    """No bound is only on paper: each field of the sample is pushed over each of its limits, one at a time."""
    crd = await api.get(CRDS, Key("", f"{RESOURCES[kind].plural}.{names.GROUP}"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    obj = sample(kind, namespace)
    silent = []
    count = 0
    for path, bad, reason in breaches(schema, obj["spec"], ("spec",)):
        count += 1
        where = field_of(path)
        try:
            await api.create(RESOURCES[kind], changed(obj, path, bad), dry_run=True)
        except Invalid as refused:
            found = {(cause.field, cause.reason) for cause in refused.causes}
            if (where, reason) not in found:
                silent.append((where, reason, found))
        else:
            silent.append((where, reason, "accepted"))
    assert silent == []
    assert count > 30


@pytest.mark.parametrize("kind", RESOURCES)
def test_python_reads_what_the_server_may_store(kind: str) -> None:
    """The sample is valid in Python as well, so no case above is refused for a mistake of the sample."""
    python = LEAST[kind][1]
    spec = sample(kind, "n")["spec"]
    assert python.model_validate(spec).wire() == spec
    with pytest.raises(ValidationError):
        python.model_validate({})
