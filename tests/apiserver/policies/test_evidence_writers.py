"""Evidence is written by its measurer alone, whatever RBAC says, and a namespace can still go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from apiserver import objects
from apiserver.objects import Wire, changed
from apiserver.policies.conftest import OPERATOR, PROBER, Cast, denied_by, eventually, username
from verticalmodel.api import names
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import CONFIG_MAPS, EVIDENCES, NAMESPACES, Key, key_of

pytestmark = pytest.mark.apiserver

POLICY = "evidence-writers"
Intruder = Callable[[Cast, str], Awaitable[tuple[ApiClient, str]]]


async def masters(cast: Cast, _namespace: str) -> tuple[ApiClient, str]:
    return cast.admin, "kubernetes-admin"


async def cluster_administrator(cast: Cast, namespace: str) -> tuple[ApiClient, str]:
    account = await cast.account(namespace, "cluster-administrator")
    await cast.bind(account, "cluster-admin")
    return await cast.act_as(account, names.MANAGER_PROBER), username(account)


async def namespace_administrator(cast: Cast, namespace: str) -> tuple[ApiClient, str]:
    account = await cast.account(namespace, "namespace-administrator")
    await cast.bind(account, "admin", namespace)
    await cast.grant(account, namespace, names.GROUP, "evidences")
    return await cast.act_as(account, names.MANAGER_PROBER), username(account)


async def the_operator(cast: Cast, namespace: str) -> tuple[ApiClient, str]:
    await cast.grant(OPERATOR, namespace, names.GROUP, "evidences")
    return await cast.act_as(OPERATOR, names.MANAGER_PROBER), username(OPERATOR)


async def a_namesake_elsewhere(cast: Cast, namespace: str) -> tuple[ApiClient, str]:
    """The prober's name in another namespace is another account."""
    account = await cast.account(namespace, names.ACCOUNT_PROBER)
    await cast.grant(account, namespace, names.GROUP, "evidences")
    return await cast.act_as(account, names.MANAGER_PROBER), username(account)


INTRUDERS: list[Intruder] = [
    masters,
    cluster_administrator,
    namespace_administrator,
    the_operator,
    a_namesake_elsewhere,
]


@pytest.fixture
async def evidence(prober: ApiClient, namespace: str) -> Wire:
    """Evidence as the prober wrote it."""
    return await prober.apply(EVIDENCES, objects.evidence_of(namespace))


async def test_the_prober_writes_extends_and_removes_its_own(prober: ApiClient, namespace: str) -> None:
    first = objects.evidence_of(namespace)
    await prober.apply(EVIDENCES, first)
    longer = objects.evidence_of(namespace, drafts=[objects.draft("pod/a"), objects.draft("pod/b")])
    stored = await prober.apply(EVIDENCES, longer)
    assert stored["spec"] == longer["spec"]
    assert await prober.delete(EVIDENCES, key_of(stored))
    assert await prober.find(EVIDENCES, key_of(stored)) is None


@pytest.mark.parametrize("intruder", INTRUDERS, ids=lambda intruder: intruder.__name__)
async def test_nobody_else_writes_evidence(cast: Cast, namespace: str, evidence: Wire, intruder: Intruder) -> None:
    """Neither by create, apply, update, patch nor delete; the refusal says who may and who asked."""
    api, who = await intruder(cast, namespace)
    key = key_of(evidence)
    forged = changed(evidence, ("spec", "entries", 0, "value"), 9.9)
    applied = {part: forged[part] for part in ("apiVersion", "kind", "spec")}
    applied["metadata"] = {"name": key.name, "namespace": namespace}
    attempts = [
        lambda: api.create(EVIDENCES, objects.evidence_of(namespace, "forged")),
        lambda: api.apply(EVIDENCES, applied),
        lambda: api.apply(EVIDENCES, changed(applied, ("metadata", "name"), "forged")),
        lambda: api.replace(EVIDENCES, forged),
        lambda: api.patch_merge(EVIDENCES, key, {"metadata": {"labels": {"a": "b"}}}),
        lambda: api.patch_json(EVIDENCES, key, [{"op": "remove", "path": "/spec/entries/0"}]),
        lambda: api.delete(EVIDENCES, key),
    ]
    for attempt in attempts:
        words = await denied_by(POLICY, attempt())
        assert f"only a measurer's own account may write Evidence, and {who} is none" in words
        assert username(PROBER) in words
    assert [item["spec"] for item in (await cast.admin.list(EVIDENCES, namespace)).items] == [evidence["spec"]]


async def test_nobody_else_removes_all_evidence_at_once(cast: Cast, namespace: str, evidence: Wire) -> None:
    path = cast.connection.server + EVIDENCES.path(namespace)
    async with cast.connection.session.delete(path) as answer:
        refusal = await answer.json()
    assert (answer.status, "verticalmodel-evidence-writers" in refusal["message"]) == (403, True)
    assert await cast.admin.find(EVIDENCES, key_of(evidence)) is not None


async def test_a_measurer_writes_under_its_own_name_only(prober: ApiClient, namespace: str) -> None:
    words = await denied_by(POLICY, prober.apply(EVIDENCES, objects.evidence_of(namespace, measurer="somebody-else")))
    assert "writes only Evidence with spec.measurer verticalmodel-prober, not somebody-else" in words


async def test_a_measurer_leaves_the_evidence_of_others_alone(cast: Cast, prober: ApiClient) -> None:
    """`before` holds somebody else's, from before the policies."""
    (foreign,) = (await cast.admin.list(EVIDENCES, "before")).items
    foreign |= {"apiVersion": EVIDENCES.api_version, "kind": EVIDENCES.kind}
    stolen = changed(foreign, ("spec", "measurer"), names.MANAGER_PROBER)
    belongs = "this object belongs to somebody-else"
    assert belongs in await denied_by(POLICY, prober.delete(EVIDENCES, key_of(foreign)))
    await denied_by(POLICY, prober.patch_merge(EVIDENCES, key_of(foreign), {"metadata": {"labels": {"a": "b"}}}))
    merge = {"spec": {"subject": {"name": stolen["spec"]["subject"]["name"]}}}
    await denied_by(POLICY, prober.patch_merge(EVIDENCES, key_of(foreign), merge))
    (left,) = (await cast.admin.list(EVIDENCES, "before")).items
    assert left["metadata"]["resourceVersion"] == foreign["metadata"]["resourceVersion"]


@pytest.mark.parametrize("manager", ["kubectl", "verticalmodel", "verticalmodel-prober-2"])
async def test_a_measurer_writes_under_its_own_field_manager(cast: Cast, namespace: str, manager: str) -> None:
    """ManagedFields then name the measurer, and no second manager can keep entries alive in its object."""
    api = await cast.act_as(PROBER, manager)
    words = await denied_by(POLICY, api.apply(EVIDENCES, objects.evidence_of(namespace)))
    assert f'set fieldManager=verticalmodel-prober, not "{manager}"' in words


async def test_a_write_without_a_field_manager_is_refused(cast: Cast, namespace: str) -> None:
    connection = await cast.connect_as(PROBER)
    body = objects.evidence_of(namespace)
    async with connection.session.post(connection.server + EVIDENCES.path(namespace), json=body) as answer:
        refusal = await answer.json()
    assert answer.status == 403
    assert 'set fieldManager=verticalmodel-prober, not ""' in refusal["message"]


async def test_a_namespace_with_evidence_in_it_can_go(cast: Cast, prober: ApiClient) -> None:
    name = "leaving"
    await cast.admin.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await prober.apply(EVIDENCES, objects.evidence_of(name))
    await cast.admin.delete(NAMESPACES, Key("", name))

    async def gone() -> bool:
        return await cast.admin.find(NAMESPACES, Key("", name)) is None

    await eventually(gone, "the namespace is gone")


async def test_the_garbage_collector_may_do_its_work(cast: Cast, prober: ApiClient, namespace: str) -> None:
    """Our Evidence has no owner; should a measurer give it one, nothing must hang."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": namespace}}
    owner = await cast.admin.create(CONFIG_MAPS, body)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    owned = changed(objects.evidence_of(namespace), ("metadata", "ownerReferences"), [reference])
    key = key_of(await prober.apply(EVIDENCES, owned))
    await cast.admin.delete(CONFIG_MAPS, key_of(owner))

    async def gone() -> bool:
        return await cast.admin.find(EVIDENCES, key) is None

    await eventually(gone, "the evidence is gone")
