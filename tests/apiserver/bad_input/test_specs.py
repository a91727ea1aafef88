"""Bad specs: refused by the API server with field, value and what is allowed, or told as a condition; and mended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from apiserver.bad_input.conftest import Land
from apiserver.objects import changed
from recording import BadInput, Finding
from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.kube.errors import ApiError
from verticalmodel.kube.resources import Key, Resource
from verticalmodel.standard import manifest

pytestmark = pytest.mark.apiserver

QUOTAS = Resource("", "v1", "resourcequotas", namespaced=True, kind="ResourceQuota")
LONG = "m" * 63
GPU = {"resources": {"gpu": {"memory": "24G"}}}


def edition(name: str) -> dict[str, Any]:
    """The default edition under a name of the test's own."""
    return changed(manifest(names.DEFAULT_STANDARD), ("metadata", "name"), name)


@dataclass(frozen=True)
class Refused:
    """A spec that the API server refuses, and what the refusal must name."""

    case: str
    given: str
    path: tuple[str, ...]
    bad: Any
    good: Any
    says: tuple[str, ...]
    name: str = "m"
    spec: dict[str, Any] = field(default_factory=dict)


REFUSED = [
    Refused("misspelt-field", "spec.repliacs: 2", ("spec", "repliacs"), 2, None, ('unknown field "spec.repliacs"',)),
    Refused(
        "wrong-quantity",
        "spec.resources.memory: 1.5GiB",
        ("spec", "resources", "memory"),
        "1.5GiB",
        "1.5Gi",
        ("spec.resources.memory", "1.5GiB", "is not a quantity; write for example 2, 500m or 4Gi"),
        spec={"resources": {}},
    ),
    Refused(
        "gpu-memory",
        "spec.resources.gpu.memory: 16G",
        ("spec", "resources", "gpu", "memory"),
        "16G",
        "24G",
        ("spec.resources.gpu", "memory is 16G, it must be at least 24G"),
        spec=GPU,
    ),
    Refused(
        "long-name",
        "metadata.name of 64 characters",
        ("metadata", "name"),
        LONG + "m",
        LONG,
        (LONG + "m", "is no name for a model", "at most 63 lower-case letters"),
        name=LONG,
    ),
]


@pytest.mark.parametrize("one", REFUSED, ids=lambda one: one.given)
async def test_a_spec_that_cannot_be_is_refused_and_its_mended_twin_serves(
    land: Land, bad_input: BadInput, one: Refused
) -> None:
    good = land.body(one.name, **one.spec)
    with pytest.raises(ApiError) as refused:
        await land.user.create(resources.VERTICAL_MODELS, changed(good, one.path, one.bad))
    causes = "; ".join(f"{cause.field}: {cause.message}" for cause in refused.value.causes) or str(refused.value)
    assert all(word in causes for word in one.says), causes
    assert await land.left() == []
    key = await land.apply_body(good if one.good is None else changed(good, one.path, one.good))
    ended = await land.serving(key)
    mended = "leave it out" if one.good is None else f"{one.path[-1]}: {one.good}"
    bad_input.tried(one.case, one.given, produced=refused.value, way_back=mended, ended=ended)


async def test_a_name_of_63_characters_in_a_namespace_of_63_serves(land: Land, bad_input: BadInput) -> None:
    space = f"{uuid4().hex}{uuid4().hex}"[:63]
    await land.user.create(resources.NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
    try:
        key = await land.apply_body(changed(land.body(LONG), ("metadata", "namespace"), space))
        accepted = await land.condition(key, "Accepted", "True", "Planned")
        ended = await land.serving(key)
    finally:
        await land.user.delete(resources.NAMESPACES, Key("", space))
    bad_input.tried("long-name", "name of 63 characters", produced=accepted, way_back="none is needed", ended=ended)


async def test_gpu_memory_below_a_stricter_standard_is_not_accepted(land: Land, bad_input: BadInput) -> None:
    own = f"strict-{uuid4().hex[:8]}"
    strict = edition(own)
    [memory] = [one for one in strict["spec"]["clauses"] if one["measure"] == "gpu-memory-sufficient"]
    memory["limit"] = 40
    await land.user.create(resources.OPERATING_STANDARDS, strict)
    try:
        key = await land.apply(**GPU, standard={"name": own})
        said = await land.condition(key, "Accepted", "False", "LooserThanStandard")
        assert f"spec.resources.gpu.memory: 24G is below the 40G of '{own}'" in said["message"]
        assert await land.children("Deployment") == []
        await land.apply(resources={"gpu": {"memory": "40G"}}, standard={"name": own})
        ended = await land.serving(key)
    finally:
        await land.user.delete(resources.OPERATING_STANDARDS, Key("", own))
    given = "spec.resources.gpu.memory: 24G under a standard of 40"
    bad_input.tried("gpu-memory", given, produced=said, way_back="memory: 40G", ended=ended)


MISSING = {
    "missing-runtime": ("runtime", "RuntimeNotFound", "kubectl get modelruntimes"),
    "missing-standard": ("standard", "StandardNotFound", "kubectl get operatingstandards"),
}


@pytest.mark.parametrize("case", MISSING)
async def test_what_the_spec_refers_to_and_is_not_there_is_named(land: Land, bad_input: BadInput, case: str) -> None:
    part, reason, allowed = MISSING[case]
    key = await land.apply(**{part: {"name": "nowhere"}})
    said = await land.condition(key, "Accepted", "False", reason)
    assert all(word in said["message"] for word in (f"spec.{part}.name", "'nowhere'", allowed)), said["message"]
    assert [left for left in await land.left() if not left.startswith("VerticalModel")] == []
    await land.apply()
    ended = await land.serving(key)
    bad_input.tried(case, f"spec.{part}.name: nowhere", produced=said, way_back="name one that exists", ended=ended)


async def test_a_claim_that_is_not_there_is_a_reason_of_ready(land: Land, bad_input: BadInput) -> None:
    """Not of Accepted: whoever applies model and claim in one go must not see a refusal."""
    key = await land.apply(source={"uri": "pvc://nowhere/model.onnx"})
    said = await land.condition(key, "Ready", "False", "ClaimNotFound")
    for word in ("spec.source.uri: pvc://nowhere/model.onnx", "'nowhere'", f"kubectl get pvc -n {land.namespace}"):
        assert word in said["message"]
    storage = {"resources": {"requests": {"storage": "1Mi"}}, "accessModes": ["ReadWriteOnce"]}
    meta = {"name": "nowhere", "namespace": land.namespace}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": storage}
    await land.user.create(resources.PERSISTENT_VOLUME_CLAIMS, claim)
    ended = await land.serving(key)
    bad_input.tried(
        "missing-claim", "pvc://nowhere/model.onnx", produced=said, way_back="create the claim", ended=ended
    )


async def test_a_standard_that_is_deleted_under_a_model_takes_no_traffic_down(land: Land, bad_input: BadInput) -> None:
    own = f"own-{uuid4().hex[:8]}"
    await land.user.create(resources.OPERATING_STANDARDS, edition(own))
    key = await land.apply(standard={"name": own})
    await land.serving(key)
    await land.user.delete(resources.OPERATING_STANDARDS, Key("", own))
    said = await land.condition(key, "Accepted", "False", "StandardNotFound")
    ready = await land.condition(key, "Ready", "True", "Serving")
    await land.user.create(resources.OPERATING_STANDARDS, edition(own))
    try:
        ended = [await land.condition(key, "Accepted", "True", "Planned"), await land.serving(key)]
    finally:
        await land.user.delete(resources.OPERATING_STANDARDS, Key("", own))
    given = f"OperatingStandard {own} of a model that serves"
    bad_input.tried("standard-deleted", given, produced=[said, ready], way_back="create it again", ended=ended)


async def test_pods_that_a_quota_refuses_are_a_reason_of_ready(land: Land, bad_input: BadInput) -> None:
    meta = {"name": "small", "namespace": land.namespace}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "0"}}}
    await land.user.create(QUOTAS, quota)
    key = await land.apply()
    said = await land.condition(key, "Ready", "False", "PodsRefused")
    assert "exceeded quota: small" in said["message"]
    await land.user.delete(QUOTAS, Key(land.namespace, "small"))
    ended = await land.serving(key, within=60)
    bad_input.tried("refused-pods", "ResourceQuota small: pods 0", produced=said, way_back="delete it", ended=ended)


async def memories(land: Land, key: Key) -> Finding:
    limits = [pod["spec"]["containers"][0]["resources"]["limits"]["memory"] for pod in await land.pods(key)]
    return Finding("memory of the pods", limits)


async def test_a_spec_that_is_edited_while_it_starts_ends_in_the_edited_one(land: Land, bad_input: BadInput) -> None:
    key = await land.apply()
    [first] = await land.pods(key, at_least=1)
    await land.apply(resources={"memory": "5Gi"})
    said = await land.condition(key, "Progressing", "True")
    ended = await land.serving(key)
    complete = await land.condition(key, "Progressing", "False", "Complete")
    [last] = await land.pods(key)
    assert last["metadata"]["uid"] != first["metadata"]["uid"]
    found = await memories(land, key)
    assert found.values == ["5Gi"]
    given = "spec.resources.memory: 5Gi while the first pod starts"
    bad_input.tried(
        "edited-while-starting", given, produced=said, way_back="none is needed", ended=[ended, complete, found]
    )


async def test_of_two_edits_in_one_second_the_second_holds(land: Land, bad_input: BadInput) -> None:
    key = await land.apply()
    await land.serving(key)
    for memory in ("5Gi", "6Gi"):
        await land.apply(resources={"memory": memory})
    said = await land.condition(key, "Progressing", "True")
    ended = await land.serving(key)
    complete = await land.condition(key, "Progressing", "False", "Complete")
    found = await memories(land, key)
    assert found.values == ["6Gi"]
    given = "spec.resources.memory: 5Gi, then 6Gi at once"
    bad_input.tried("two-edits", given, produced=said, way_back="none is needed", ended=[ended, complete, found])
