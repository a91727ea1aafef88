"""Which rulebook judges a model is not its owner's to choose: another than the default takes the right to use it."""

from __future__ import annotations

from uuid import uuid4

import pytest

from apiserver import objects
from apiserver.objects import Wire
from apiserver.policies.conftest import CLUSTER_ROLES, Cast, denied_by, username
from verticalmodel.api import names
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import VERTICAL_MODELS, Key, key_of

pytestmark = pytest.mark.apiserver

POLICY = "standard-choice"
LAX = "lax"


@pytest.fixture
async def owner(namespace: str, cast: Cast) -> Key:
    """Somebody who may do anything with models of the namespace."""
    account = await cast.account(namespace, "owner")
    await cast.grant(account, namespace, names.GROUP, "verticalmodels")
    return account


@pytest.fixture
async def tenant(cast: Cast, owner: Key) -> ApiClient:
    return await cast.act_as(owner)


def model(namespace: str, standard: str | None = None) -> Wire:
    made = objects.model(namespace)
    spec = {key: value for key, value in made["spec"].items() if key != "standard"}
    return {**made, "spec": {**spec, **({"standard": {"name": standard}} if standard else {})}}


async def may_use(cast: Cast, account: Key, standard: str, namespace: str = "") -> None:
    """Let the account use a standard, in a namespace or everywhere."""
    rule = {
        "apiGroups": [names.GROUP],
        "resources": ["operatingstandards"],
        "resourceNames": [standard],
        "verbs": ["use"],
    }
    role = {
        "apiVersion": CLUSTER_ROLES.api_version,
        "kind": "ClusterRole",
        "metadata": {"name": f"use-{standard}-{uuid4().hex[:8]}"},
        "rules": [rule],
    }
    await cast.admin.create(CLUSTER_ROLES, role)
    await cast.bind(account, role["metadata"]["name"], namespace)


async def test_the_default_is_anybodys(tenant: ApiClient, namespace: str) -> None:
    created = await tenant.create(VERTICAL_MODELS, model(namespace))
    assert created["spec"]["standard"]["name"] == names.DEFAULT_STANDARD
    await tenant.apply(VERTICAL_MODELS, model(namespace, names.DEFAULT_STANDARD))


async def test_another_standard_is_not_named_without_the_right_to_use_it(
    tenant: ApiClient, owner: Key, namespace: str
) -> None:
    words = await denied_by(POLICY, tenant.create(VERTICAL_MODELS, model(namespace, LAX)))
    assert f"spec.standard.name: {username(owner)} may not use OperatingStandard lax in namespace {namespace}" in words

    created = await tenant.create(VERTICAL_MODELS, model(namespace))
    swap = {"spec": {"standard": {"name": LAX}}}
    await denied_by(POLICY, tenant.patch_merge(VERTICAL_MODELS, key_of(created), swap))
    await denied_by(POLICY, tenant.replace(VERTICAL_MODELS, {**created, "spec": {**created["spec"], **swap["spec"]}}))


@pytest.mark.parametrize("everywhere", [False, True], ids=["in the namespace", "in the cluster"])
async def test_who_has_the_right_names_it(
    cast: Cast, tenant: ApiClient, owner: Key, namespace: str, *, everywhere: bool
) -> None:
    await may_use(cast, owner, LAX, "" if everywhere else namespace)
    await denied_by(POLICY, tenant.create(VERTICAL_MODELS, model(namespace, "laxer")))
    await tenant.create(VERTICAL_MODELS, model(namespace, LAX))


async def test_a_model_that_names_one_is_changed_in_all_else_by_its_owner(
    cast: Cast, tenant: ApiClient, namespace: str
) -> None:
    created = await cast.admin.create(VERTICAL_MODELS, model(namespace, LAX))
    await tenant.patch_merge(VERTICAL_MODELS, key_of(created), {"spec": {"replicas": 3}})
    back = {"spec": {"standard": {"name": names.DEFAULT_STANDARD}}}
    await tenant.patch_merge(VERTICAL_MODELS, key_of(created), back)
    await denied_by(POLICY, tenant.patch_merge(VERTICAL_MODELS, key_of(created), {"spec": {"standard": {"name": LAX}}}))
