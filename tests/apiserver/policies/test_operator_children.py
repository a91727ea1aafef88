"""What the operator's account can do with the rights that its children need, and what it cannot."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from apiserver.objects import Wire, changed
from apiserver.policies.conftest import OPERATOR, Cast, child, container, denied_by, pod_spec
from verticalmodel.api import names
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import ApiError, Forbidden
from verticalmodel.kube.resources import (
    CERTIFICATES,
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    INGRESS_ROUTE_TCPS,
    INGRESSES,
    NETWORK_POLICIES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Key,
    Resource,
    key_of,
)

pytestmark = pytest.mark.apiserver

CHILDREN, WORKLOADS, SECRET_TYPES = "operator-children", "operator-workloads", "operator-secrets"
KINDS = (
    DEPLOYMENTS,
    CONTROLLER_REVISIONS,
    SERVICES,
    CONFIG_MAPS,
    SECRETS,
    SERVICE_ACCOUNTS,
    NETWORK_POLICIES,
    POD_DISRUPTION_BUDGETS,
    INGRESSES,
    INGRESS_ROUTE_TCPS,
    CERTIFICATES,
)
APPLIED = tuple(kind for kind in KINDS if kind is not SECRETS)
LABEL = f"the label {names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
PASSWORD = "correct horse battery staple?"

every_kind = pytest.mark.parametrize("resource", KINDS, ids=lambda resource: resource.plural)


@every_kind
async def test_the_operator_makes_and_removes_its_own_children(
    operator: ApiClient, namespace: str, resource: Resource
) -> None:
    body = child(resource, namespace)
    if resource in APPLIED:
        await operator.apply(resource, body)
        await operator.apply(resource, changed(body, ("metadata", "annotations"), {"a": "b"}))
    else:
        await operator.create(resource, body)
        await operator.replace(resource, changed(body, ("metadata", "annotations"), {"a": "b"}))
    assert await operator.delete(resource, key_of(body))


@every_kind
async def test_what_the_operator_makes_is_labelled(operator: ApiClient, namespace: str, resource: Resource) -> None:
    words = await denied_by(CHILDREN, operator.create(resource, child(resource, namespace, labelled=False)))
    assert f"what the operator writes carries {LABEL}; {resource.plural} {namespace}/child does not" in words


@every_kind
async def test_the_operator_never_takes_over_what_somebody_else_made(
    cast: Cast, operator: ApiClient, namespace: str, resource: Resource
) -> None:
    """Not even with our label in the new object, and it cannot remove it either."""
    foreign = await cast.admin.create(resource, child(resource, namespace, labelled=False))
    attempts = [lambda: operator.delete(resource, key_of(foreign))]
    if resource in APPLIED:
        attempts += [
            lambda: operator.apply(resource, child(resource, namespace)),
            lambda: operator.patch_merge(resource, key_of(foreign), {}),
        ]
    else:
        attempts += [lambda: operator.replace(resource, child(resource, namespace))]
    for attempt in attempts:
        words = await denied_by(CHILDREN, attempt())
        assert f"{resource.plural} {namespace}/child lacks {LABEL}; rename or remove it" in words
    left = await cast.admin.get(resource, key_of(foreign))
    assert by_people(left) == by_people(foreign)


def by_people(obj: Wire) -> Wire:
    """An object without what controllers write into it."""
    metadata = {key: obj["metadata"].get(key) for key in ("uid", "labels", "generation", "deletionTimestamp")}
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")} | metadata


async def test_the_operator_keeps_the_label_on_its_children(operator: ApiClient, namespace: str) -> None:
    """Else it could make anything and leave it as nobody's."""
    body = await operator.apply(CONFIG_MAPS, child(CONFIG_MAPS, namespace))
    change = {"metadata": {"labels": {names.LABEL_MANAGED_BY: None}}}
    await denied_by(CHILDREN, operator.patch_merge(CONFIG_MAPS, key_of(body), change))


async def test_the_policies_bind_the_operator_alone(cast: Cast, namespace: str) -> None:
    """Everybody else keeps every right that RBAC gives: unlabelled objects, other Secrets, pods with a token."""
    for resource in KINDS:
        await cast.admin.create(resource, child(resource, namespace, labelled=False), dry_run=True)
    await cast.admin.create(SECRETS, child(SECRETS, namespace, type="bootstrap.kubernetes.io/token"), dry_run=True)
    deployment = child(DEPLOYMENTS, namespace)
    deployment["spec"]["template"]["spec"] = pod_spec(automountServiceAccountToken=True, hostPID=True)
    await cast.admin.create(DEPLOYMENTS, deployment, dry_run=True)


async def test_the_operator_deletes_no_pod_of_others(cast: Cast, operator: ApiClient, namespace: str) -> None:
    """Its account has no right to delete pods today; the policy stands for the day that it gets one."""
    await cast.grant(OPERATOR, namespace, "", "pods")
    await cast.account(namespace, "runner")
    for name, labelled in (("ours", True), ("theirs", False)):
        spec = pod_spec(serviceAccountName="runner")
        await cast.admin.create(PODS, child(PODS, namespace, name, labelled=labelled, spec=spec))
    assert await operator.delete(PODS, Key(namespace, "ours"), grace_seconds=0)
    await denied_by(CHILDREN, operator.delete(PODS, Key(namespace, "theirs"), grace_seconds=0))


@pytest.fixture
async def foreign_secret(cast: Cast, namespace: str) -> Wire:
    """A Secret of somebody else; its content, base64, is no valid label."""
    return await cast.admin.create(
        SECRETS,
        child(SECRETS, namespace, labelled=False, data={"password": base64.b64encode(PASSWORD.encode()).decode()}),
    )


async def test_the_operator_cannot_read_secrets(operator: ApiClient, foreign_secret: Wire) -> None:
    key = key_of(foreign_secret)
    reads = [
        lambda: operator.get(SECRETS, key),
        lambda: operator.list(SECRETS, key.namespace),
        lambda: operator.list(SECRETS),
    ]
    for read in reads:
        with pytest.raises(Forbidden, match=r"cannot (get|list) resource \"secrets\""):
            await read()


async def test_the_operator_cannot_read_a_foreign_secret_by_any_write(
    operator: ApiClient, foreign_secret: Wire
) -> None:
    """Neither in the response nor in an error: a JSON patch that copies the content into a label would be quoted."""
    key = key_of(foreign_secret)
    label = {names.LABEL_MANAGED_BY: names.MANAGED_BY}
    copied = [
        {"op": "add", "path": "/metadata/labels", "value": label},
        {"op": "copy", "from": "/data/password", "path": "/metadata/labels/leak"},
    ]
    guessed = [{"op": "test", "path": "/data/password", "value": foreign_secret["data"]["password"]}]
    stolen = child(SECRETS, key.namespace)
    attempts = [
        lambda: operator.patch_merge(SECRETS, key, {}),
        lambda: operator.patch_merge(SECRETS, key, {}, dry_run=True),
        lambda: operator.patch_json(SECRETS, key, copied),
        lambda: operator.patch_json(SECRETS, key, guessed),
        lambda: operator.apply(SECRETS, stolen),
        lambda: operator.replace(SECRETS, stolen),
        lambda: operator.replace(SECRETS, changed(stolen, ("type",), "kubernetes.io/tls"), dry_run=True),
        lambda: operator.delete(SECRETS, key),
    ]
    for attempt in attempts:
        with pytest.raises(ApiError) as refused:
            await attempt()
        assert foreign_secret["data"]["password"] not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (
            "kubernetes.io/service-account-token",
            {"metadata": {"annotations": {"kubernetes.io/service-account.name": names.ACCOUNT_PROBER}}},
        ),
        ("bootstrap.kubernetes.io/token", {}),
        ("kubernetes.io/dockerconfigjson", {"data": {".dockerconfigjson": "e30="}}),
    ],
)
async def test_the_operator_mints_no_credentials(
    operator: ApiClient, namespace: str, kind: str, more: dict[str, Any]
) -> None:
    body = child(SECRETS, namespace, type=kind)
    body["metadata"] |= more.get("metadata", {})
    body |= {key: value for key, value in more.items() if key != "metadata"}
    words = await denied_by(SECRET_TYPES, operator.create(SECRETS, body))
    assert f"of type Opaque and kubernetes.io/tls only; {namespace}/child is of type {kind}" in words


PRIVILEGED = [{"name": "server", "image": "serving:1", "securityContext": {"privileged": True}}]
TOKEN = {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"automountServiceAccountToken": True}, "hold no service-account token"),
        ({"automountServiceAccountToken": None}, "hold no service-account token"),
        ({"volumes": [TOKEN]}, "hold no service-account token"),
        ({"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}, "mount no hostPath"),
        ({"hostPID": True}, "share no process, IPC or network namespace with their node"),
        ({"hostIPC": True}, "share no process, IPC or network namespace with their node"),
        ({"hostNetwork": True}, "share no process, IPC or network namespace with their node"),
        ({"containers": PRIVILEGED}, "have no privileged container"),
        ({"initContainers": [PRIVILEGED[0] | {"name": "first"}]}, "have no privileged container"),
        ({"nodeName": "node1"}, "are placed by the scheduler"),
        (
            {"containers": [container() | {"ports": [{"containerPort": 1, "hostPort": 1}]}]},
            "take no port of their node",
        ),
    ],
)
async def test_a_pod_of_the_operator_cannot_become_somebody_else(
    operator: ApiClient, namespace: str, fields: dict[str, Any], reason: str
) -> None:
    body = child(DEPLOYMENTS, namespace)
    await operator.apply(DEPLOYMENTS, body)
    body["spec"]["template"]["spec"] = {key: value for key, value in pod_spec(**fields).items() if value is not None}
    words = await denied_by(WORKLOADS, operator.create(DEPLOYMENTS, changed(body, ("metadata", "name"), "other")))
    assert f"pods that the operator deploys {reason}" in words
    await denied_by(WORKLOADS, operator.apply(DEPLOYMENTS, body))


@pytest.mark.parametrize(
    "fields",
    [
        {"allowPrivilegeEscalation": True},
        {"capabilities": {}},
        {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}},
        {"runAsUser": 0},
        {"seccompProfile": {"type": "Unconfined"}},
    ],
)
async def test_a_container_of_the_operator_is_confined(
    operator: ApiClient, namespace: str, fields: dict[str, Any]
) -> None:
    body = child(DEPLOYMENTS, namespace)
    body["spec"]["template"]["spec"] = pod_spec(containers=[container(**fields)])
    words = await denied_by(WORKLOADS, operator.create(DEPLOYMENTS, body))
    assert "containers that the operator deploys are confined" in words


async def test_the_operator_deploys_nothing_beside_the_cluster_itself(operator: ApiClient) -> None:
    await denied_by(WORKLOADS, operator.create(DEPLOYMENTS, child(DEPLOYMENTS, "kube-system"), dry_run=True))


@pytest.mark.parametrize(
    ("resource", "name"), [(SECRETS, names.CA_NAME), (SECRETS, names.PROBER_CLIENT), (CONFIG_MAPS, names.CA_NAME)]
)
async def test_in_its_own_namespace_the_operator_writes_the_authority_and_the_probers_certificate(
    cast: Cast, operator: ApiClient, resource: Resource, name: str
) -> None:
    authority = child(resource, names.SYSTEM_NAMESPACE, name)
    await operator.create(resource, authority)
    try:
        assert (await operator.get(resource, key_of(authority)))["metadata"]["name"] == name
        if resource is CONFIG_MAPS:
            await operator.apply(resource, authority | {"data": {"ca.crt": "x"}})
    finally:
        await cast.admin.delete(resource, key_of(authority))


@every_kind
async def test_in_its_own_namespace_the_operator_writes_nothing_else(operator: ApiClient, resource: Resource) -> None:
    """A Deployment there could run under the prober's account: the actor would be its own measurer."""
    body = child(resource, names.SYSTEM_NAMESPACE, "second-prober")
    words = await denied_by(CHILDREN, operator.create(resource, body))
    assert "the operator writes only verticalmodel-ca (Secret and ConfigMap) and the Secret" in words


async def test_the_probers_certificate_is_a_secret_and_nothing_else(operator: ApiClient) -> None:
    body = child(CONFIG_MAPS, names.SYSTEM_NAMESPACE, names.PROBER_CLIENT)
    await denied_by(CHILDREN, operator.create(CONFIG_MAPS, body))


async def test_the_operator_cannot_remove_its_measurer(cast: Cast, operator: ApiClient) -> None:
    """Not even where the label on the measurer's Deployment is ours."""
    measurer = await cast.admin.create(DEPLOYMENTS, child(DEPLOYMENTS, names.SYSTEM_NAMESPACE, "measurer"))
    try:
        await denied_by(CHILDREN, operator.delete(DEPLOYMENTS, key_of(measurer)))
        account = Key(names.SYSTEM_NAMESPACE, names.ACCOUNT_PROBER)
        await denied_by(CHILDREN, operator.delete(SERVICE_ACCOUNTS, account))
    finally:
        await cast.admin.delete(DEPLOYMENTS, key_of(measurer))


@pytest.mark.parametrize("name", [names.CA_NAME, names.PROBER_CLIENT])
async def test_what_the_operator_reads_may_hold_no_token_of_the_measurer(operator: ApiClient, name: str) -> None:
    """The Secrets that the operator reads, as the one type that the API server fills with a token."""
    body = child(SECRETS, names.SYSTEM_NAMESPACE, name, type="kubernetes.io/service-account-token")
    body["metadata"]["annotations"] = {"kubernetes.io/service-account.name": names.ACCOUNT_PROBER}
    await denied_by(SECRET_TYPES, operator.create(SECRETS, body))
