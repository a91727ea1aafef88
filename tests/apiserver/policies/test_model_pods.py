"""Who may make and change the pods that stand behind a model, and who may write under the operator's name."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver.objects import Wire
from apiserver.policies.conftest import Cast, child, denied_by, model_pod, pod_spec
from verticalmodel.api import names
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NETWORK_POLICIES,
    PODS,
    REPLICA_SETS,
    SERVICES,
    Key,
    Resource,
    key_of,
)

pytestmark = pytest.mark.apiserver

PODS_POLICY, MANAGER_POLICY, WORKLOADS_POLICY = "model-pods", "field-manager", "model-workloads"
LABELS = {names.LABEL_MODEL: "m", names.LABEL_COMPONENT: "server"}


@pytest.fixture
async def tenant(cast: Cast, namespace: str) -> ApiClient:
    """An administrator of the namespace."""
    account = await cast.account(namespace, "eve")
    await cast.bind(account, "admin", namespace)
    return await cast.act_as(account)


async def served(operator: ApiClient, admin: ApiClient, namespace: str) -> Wire:
    """A pod that the ReplicaSet controller made from the operator's Deployment."""
    body = child(DEPLOYMENTS, namespace)
    body["spec"] = {
        "replicas": 1,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": pod_spec()},
    }
    await operator.apply(DEPLOYMENTS, body)
    async with asyncio.timeout(30):
        while True:
            found = (await admin.list(PODS, namespace, labels=LABELS)).items
            if found:
                return found[0]
            await asyncio.sleep(0.1)  # the controllers' pace


async def test_only_the_replica_set_controller_makes_a_models_pod(
    cast: Cast, operator: ApiClient, tenant: ApiClient, namespace: str
) -> None:
    assert (await served(operator, cast.admin, namespace))["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
    for somebody in (tenant, cast.admin):
        words = await denied_by(PODS_POLICY, somebody.create(PODS, model_pod(namespace)))
        assert "made by its model's Deployment and by nobody else" in words


@pytest.mark.parametrize("label", [names.LABEL_PREFLIGHT, names.LABEL_PREFLIGHT_OF])
async def test_nobody_makes_a_pod_that_passes_for_a_pre_flights(tenant: ApiClient, namespace: str, label: str) -> None:
    forged: dict[str, Any] = model_pod(namespace)
    forged["metadata"]["labels"] = {label: "m"}
    assert "/preflight or /preflight-of" in await denied_by(PODS_POLICY, tenant.create(PODS, forged))


@pytest.mark.parametrize("label", [names.LABEL_MODEL, names.LABEL_PREFLIGHT, names.LABEL_PREFLIGHT_OF])
async def test_no_workload_of_anybody_else_asks_for_pods_with_a_models_labels(
    cast: Cast, tenant: ApiClient, namespace: str, label: str
) -> None:
    def workload(kind: str, name: str, labels: dict[str, str]) -> dict[str, Any]:
        template = {"metadata": {"labels": {"app": "x", **labels}}, "spec": pod_spec()}
        spec = {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": template}
        meta = {"name": name, "namespace": namespace}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": spec}

    for somebody in (tenant, cast.admin):
        for resource in (DEPLOYMENTS, REPLICA_SETS):
            words = await denied_by(
                WORKLOADS_POLICY, somebody.create(resource, workload(resource.kind, "forged", {label: "m"}))
            )
            assert "only the operator's own Deployment asks for them" in words
    own = workload("Deployment", "own", {})
    await tenant.create(DEPLOYMENTS, own)
    taken_on = {"spec": {"template": {"metadata": {"labels": {label: "m"}}}}}
    await denied_by(WORKLOADS_POLICY, tenant.patch_merge(DEPLOYMENTS, key_of(own), taken_on))


async def test_nobody_makes_a_replica_set_of_a_model_his_own(
    cast: Cast, operator: ApiClient, tenant: ApiClient, namespace: str
) -> None:
    """Let go of by its Deployment it would be nobody's to mend, and its pods would still be the model's."""
    pod = await served(operator, cast.admin, namespace)
    key = Key(namespace, pod["metadata"]["ownerReferences"][0]["name"])
    live = await cast.admin.get(REPLICA_SETS, key)
    image = {"containers": [{"name": live["spec"]["template"]["spec"]["containers"][0]["name"], "image": "evil:1"}]}
    for change in (
        {"metadata": {"ownerReferences": None}},
        {"metadata": {"labels": dict.fromkeys(live["metadata"]["labels"])}},
        {"spec": {"template": {"spec": image}}},
    ):
        words = await denied_by(WORKLOADS_POLICY, tenant.patch_merge(REPLICA_SETS, key, change))
        assert "are the Deployment controller's" in words
    await tenant.patch_merge(REPLICA_SETS, key, {"metadata": {"annotations": {"team": "radiology"}}})
    await operator.delete(DEPLOYMENTS, key_of(child(DEPLOYMENTS, namespace)))
    async with asyncio.timeout(30):
        while (await cast.admin.list(PODS, namespace, labels=LABELS)).items:  # noqa: ASYNC110 - the controllers' pace
            await asyncio.sleep(0.1)


async def test_no_pod_takes_on_or_gives_up_a_models_labels(
    cast: Cast, operator: ApiClient, tenant: ApiClient, namespace: str
) -> None:
    pod = await served(operator, cast.admin, namespace)
    plain: dict[str, Any] = model_pod(namespace, "plain")
    plain["metadata"]["labels"] = {"app": "plain"}
    await tenant.create(PODS, plain)
    for key, labels in ((key_of(plain), LABELS), (key_of(pod), {names.LABEL_MODEL: None})):
        words = await denied_by(PODS_POLICY, tenant.patch_merge(PODS, key, {"metadata": {"labels": labels}}))
        assert "never change, and no other pod can take them on" in words
    await tenant.patch_merge(PODS, key_of(pod), {"metadata": {"labels": {"team": "radiology"}}})


async def test_a_models_pod_stays_what_it_is(
    cast: Cast, operator: ApiClient, tenant: ApiClient, namespace: str
) -> None:
    key = key_of(await served(operator, cast.admin, namespace))
    image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "stub:1"}]
    assert "images of a model's pod never change" in await denied_by(PODS_POLICY, tenant.patch_json(PODS, key, image))
    digest = {"metadata": {"annotations": {names.ANNOTATION_TEMPLATE_DIGEST: "sha256:0"}}}
    await denied_by(PODS_POLICY, tenant.patch_merge(PODS, key, digest))


def unversioned(body: Wire) -> Wire:
    """To be put whatever was written meanwhile: a controller may have."""
    return {**body, "metadata": {key: value for key, value in body["metadata"].items() if key != "resourceVersion"}}


@pytest.mark.parametrize(
    "resource", [DEPLOYMENTS, SERVICES, CONFIG_MAPS, NETWORK_POLICIES], ids=lambda resource: resource.plural
)
@pytest.mark.parametrize("manager", [names.MANAGER_CHILDREN, names.MANAGER_STATUS])
async def test_nobody_writes_a_child_under_the_operators_name(
    operator: ApiClient, tenant: ApiClient, namespace: str, resource: Resource, manager: str
) -> None:
    body = child(resource, namespace)
    await operator.apply(resource, body, manager=names.MANAGER_CHILDREN)
    key: Key = key_of(body)
    label = {"metadata": {"labels": {"a": "b"}}}
    attempts = (
        tenant.apply(resource, body | {"metadata": body["metadata"] | label["metadata"]}, manager=manager),
        tenant.patch_merge(resource, key, label, manager=manager),
        tenant.replace(resource, unversioned(await tenant.get(resource, key)), manager=manager),
    )
    for attempt in attempts:
        assert "are the operator's; choose another --field-manager" in await denied_by(MANAGER_POLICY, attempt)
    await tenant.patch_merge(resource, key, label, manager="kubectl")


async def test_the_operator_touches_a_models_pod_and_changes_nothing_else_of_any_pod(
    cast: Cast, operator: ApiClient, tenant: ApiClient, namespace: str
) -> None:
    key = key_of(await served(operator, cast.admin, namespace))
    touch = {"metadata": {"annotations": {names.ANNOTATION_CLAIM_RETRY: "1"}}}
    await operator.patch_merge(PODS, key, touch)
    plain: dict[str, Any] = model_pod(namespace, "plain")
    plain["metadata"]["labels"] = {"app": "plain"}
    await tenant.create(PODS, plain)
    await denied_by("operator-pods", operator.patch_merge(PODS, key_of(plain), touch))
    await tenant.patch_merge(PODS, key, {"metadata": {"annotations": {"team": "radiology"}}})
    for change in (
        {"metadata": {"annotations": {"team": "cardiology"}}},
        {"metadata": {"annotations": {"team": None}}},
        {"metadata": {"annotations": {"another": "one"}}},
        {"metadata": {"labels": {"team": "radiology"}}},
        {"metadata": {"finalizers": ["example.com/held"]}},
        {"spec": {"activeDeadlineSeconds": 1}},
    ):
        await denied_by("operator-pods", operator.patch_merge(PODS, key, change))
