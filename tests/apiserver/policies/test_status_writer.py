"""A status is what the operator observed: nobody else writes it. And no model lives beside its measurers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from apiserver import objects
from apiserver.objects import Wire, changed
from apiserver.policies.conftest import OPERATOR, PROBER, Cast, denied_by, username
from verticalmodel.api import names
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import OPERATING_STANDARDS, VERTICAL_MODELS, Resource, key_of

pytestmark = pytest.mark.apiserver

POLICY = "status-writer"
STATUS = {"conditions": [objects.condition("Compliant", "True")]}


@pytest.fixture
async def model(cast: Cast, namespace: str) -> Wire:
    """A model without a status."""
    return await cast.admin.create(VERTICAL_MODELS, objects.model(namespace))


@pytest.fixture
async def edition(cast: Cast) -> AsyncIterator[Wire]:
    """An edition of the test's own."""
    created = await cast.admin.create(OPERATING_STANDARDS, objects.edition(f"test-{uuid4().hex[:10]}"))
    yield created
    await cast.admin.delete(OPERATING_STANDARDS, key_of(created))


def status_of(obj: Wire) -> Wire:
    metadata = {key: obj["metadata"][key] for key in ("name", "namespace") if key in obj["metadata"]}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata, "status": STATUS}


async def test_the_operator_writes_both_statuses(operator: ApiClient, model: Wire, edition: Wire) -> None:
    for resource, obj in ((VERTICAL_MODELS, model), (OPERATING_STANDARDS, edition)):
        written = await operator.apply(resource, status_of(obj), manager=names.MANAGER_STATUS, subresource="status")
        assert written["status"] == STATUS


@pytest.mark.parametrize("resource", [VERTICAL_MODELS, OPERATING_STANDARDS], ids=lambda resource: resource.plural)
async def test_the_administrator_writes_neither(cast: Cast, model: Wire, edition: Wire, resource: Resource) -> None:
    obj = model if resource is VERTICAL_MODELS else edition
    attempts = [
        lambda: cast.admin.apply(resource, status_of(obj), subresource="status"),
        lambda: cast.admin.replace(resource, obj | {"status": STATUS}, subresource="status"),
        lambda: cast.admin.patch_merge(resource, key_of(obj), {"status": STATUS}, subresource="status"),
    ]
    for attempt in attempts:
        words = await denied_by(POLICY, attempt())
        assert f"only {username(OPERATOR)} may write this status, not kubernetes-admin" in words
    assert "status" not in await cast.admin.get(resource, key_of(obj))


@pytest.mark.parametrize("who", ["a user", "the prober"])
async def test_a_grant_in_the_namespace_changes_nothing(cast: Cast, namespace: str, model: Wire, who: str) -> None:
    account = PROBER if who == "the prober" else await cast.account(namespace, "user")
    await cast.grant(account, namespace, names.GROUP, "verticalmodels", "verticalmodels/status")
    api = await cast.act_as(account)
    await denied_by(POLICY, api.apply(VERTICAL_MODELS, status_of(model), subresource="status"))


async def test_users_still_change_and_scale_their_models(cast: Cast, namespace: str, model: Wire) -> None:
    account = await cast.account(namespace, "user")
    await cast.grant(account, namespace, names.GROUP, "verticalmodels", "verticalmodels/scale")
    user = await cast.act_as(account)
    await user.patch_merge(VERTICAL_MODELS, key_of(model), {"spec": {"suspend": True}})
    await user.patch_merge(VERTICAL_MODELS, key_of(model), {"spec": {"replicas": 3}}, subresource="scale")
    spec = (await cast.admin.get(VERTICAL_MODELS, key_of(model)))["spec"]
    assert (spec["suspend"], spec["replicas"]) == (True, 3)


async def test_no_model_lives_beside_its_measurers(cast: Cast, namespace: str) -> None:
    elsewhere = objects.model(namespace)
    await cast.admin.create(VERTICAL_MODELS, elsewhere, dry_run=True)
    beside = changed(elsewhere, ("metadata", "namespace"), names.SYSTEM_NAMESPACE)
    words = await denied_by("model-namespaces", cast.admin.create(VERTICAL_MODELS, beside, dry_run=True))
    assert "no VerticalModel lives in verticalmodel-system" in words
    assert "create it in another namespace" in words
