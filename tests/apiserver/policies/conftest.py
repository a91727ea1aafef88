"""An API server of its own with RBAC and policies in force, and real identities: tokens, never impersonation.

Not the tier's shared one: there, other tests write status and Evidence as the administrator, which the policies forbid.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from apiserver import certmanager, objects
from apiserver.kubectl import apply, apply_crds
from apiserver.objects import Wire
from testcluster import Cluster, Shape
from testcluster import cluster as clusters
from verticalmodel.api import names
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.errors import Forbidden
from verticalmodel.kube.kubeconfig import from_kubeconfig
from verticalmodel.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVIDENCES,
    NAMESPACES,
    OPERATING_STANDARDS,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    VERTICAL_MODELS,
    Key,
    Resource,
    key_of,
)

PREFIX = "policies-"
OPERATOR = Key(names.SYSTEM_NAMESPACE, names.ACCOUNT_OPERATOR)
PROBER = Key(names.SYSTEM_NAMESPACE, names.ACCOUNT_PROBER)
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", namespaced=False, kind="ClusterRole")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", namespaced=True, kind="Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", namespaced=True, kind="RoleBinding")
CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", namespaced=False, kind="ClusterRoleBinding"
)
LATER = 30.0
"""Seconds for what the API server and its controllers do in their own time."""


def username(account: Key) -> str:
    return f"system:serviceaccount:{account.namespace}:{account.name}"


async def eventually(look: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask until the answer is yes; AssertionError naming `what` after LATER seconds."""
    try:
        async with asyncio.timeout(LATER):
            while not await look():  # noqa: ASYNC110 - the event is in another process
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"after {LATER} s still not so: {what}") from None


async def denied_by(policy: str, attempt: Awaitable[Any]) -> str:
    """Await a write that the policy must refuse; the refusal's words. A refusal by RBAC is another one."""
    with pytest.raises(Forbidden) as refusal:
        await attempt
    assert f"ValidatingAdmissionPolicy 'verticalmodel-{policy}'" in str(refusal.value)
    return str(refusal.value)


@dataclass(frozen=True)
class Cast:
    """Everybody who acts in these tests; each acts under a token or certificate of its own."""

    kubeconfig: Path
    admin: ApiClient
    """Of the group system:masters, which RBAC never refuses."""
    connection: Connection
    _stack: AsyncExitStack

    async def act_as(self, account: Key, manager: str = "test") -> ApiClient:
        """A client with a fresh token of the ServiceAccount."""
        return ApiClient(await self.connect_as(account), manager=manager)

    async def connect_as(self, account: Key) -> Connection:
        """A connection with a fresh token of the ServiceAccount."""
        token = await self.token(account)
        access = replace(from_kubeconfig(self.kubeconfig), token=token, certificate_pem=None, key_pem=None)
        return await self._stack.enter_async_context(Connection.to(access, limit=4))

    async def kubeconfig_of(self, account: Key, folder: Path) -> Path:
        """A kubeconfig for commands that the ServiceAccount runs."""
        document = yaml.safe_load(self.kubeconfig.read_text(encoding="utf-8"))
        document["users"] = [
            {"name": one["name"], "user": {"token": await self.token(account)}} for one in document["users"]
        ]
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    async def token(self, account: Key) -> str:
        """A fresh token of the ServiceAccount (TokenRequest)."""
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {"name": account.name, "namespace": account.namespace},
            "spec": {"expirationSeconds": 600},
        }
        answer = await self.admin.create(SERVICE_ACCOUNTS, request, subresource="token")
        token: str = answer["status"]["token"]
        return token

    async def account(self, namespace: str, name: str) -> Key:
        """A new ServiceAccount without any right."""
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
        return key_of(await self.admin.create(SERVICE_ACCOUNTS, body))

    async def bind(self, account: Key, role: str, namespace: str = "", *, kind: str = "ClusterRole") -> None:
        """Give the account a role, in one namespace or in the whole cluster."""
        resource = ROLE_BINDINGS if namespace else CLUSTER_ROLE_BINDINGS
        where = {"namespace": namespace} if namespace else {}
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": f"{role}-{uuid4().hex[:8]}", **where},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}],
        }
        await self.admin.create(resource, body)

    async def grant(self, account: Key, namespace: str, group: str, *resources: str) -> None:
        """Every verb on the resources in one namespace, as a careless administrator would."""
        role = {
            "apiVersion": ROLES.api_version,
            "kind": "Role",
            "metadata": {"name": f"careless-{uuid4().hex[:8]}", "namespace": namespace},
            "rules": [{"apiGroups": [group], "resources": list(resources), "verbs": ["*"]}],
        }
        await self.admin.create(ROLES, role)
        await self.bind(account, role["metadata"]["name"], namespace, kind="Role")


def child(resource: Resource, namespace: str, name: str = "child", *, labelled: bool = True, **fields: Any) -> Wire:
    """A child as the operator renders it, as far as policies look."""
    labels = {"labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY}} if labelled else {}
    body: Wire = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "namespace": namespace, **labels},
    }
    defaults: dict[str, Wire] = {
        "Deployment": {
            "spec": {
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod_spec()},
            }
        },
        "ControllerRevision": {"revision": 1, "data": {}},
        "Service": {"spec": {"ports": [{"port": 443}]}},
        "Secret": {"type": "Opaque"},
        "NetworkPolicy": {"spec": {"podSelector": {}}},
        "PodDisruptionBudget": {"spec": {"maxUnavailable": 1}},
        "Ingress": {"spec": {"defaultBackend": {"service": {"name": "child", "port": {"number": 443}}}}},
        "IngressRouteTCP": {"spec": {"routes": []}},
        "Certificate": {"spec": {"secretName": "child", "issuerRef": {"name": "a"}}},
    }
    return body | defaults.get(resource.kind, {}) | fields


def pod_spec(**fields: Any) -> Wire:
    """A pod spec that every policy lets pass, changed by field."""
    return {"automountServiceAccountToken": False, "containers": [container()]} | fields


def container(**fields: Any) -> Wire:
    """A container that every policy lets pass, changed by field of its security context."""
    confined = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {"name": "server", "image": "serving:1", "securityContext": confined | fields}


def model_pod(namespace: str, name: str = "rogue", **labels: str) -> Wire:
    """A pod that claims to be one of a model's."""
    claimed = {names.LABEL_MODEL: "m", names.LABEL_COMPONENT: "server", **labels}
    metadata = {"name": name, "namespace": namespace, "labels": claimed}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec()}


async def _until_active(cast: Cast) -> None:
    """Policies and RBAC take a moment: wait until each policy refuses a dry run of its kind of mischief."""
    operator = await cast.act_as(OPERATOR)
    owner = await cast.account("default", "owner")
    await cast.grant(owner, "default", names.GROUP, "verticalmodels")
    tenant, swapped = await cast.act_as(owner), objects.model("default")
    swapped["spec"]["standard"] = {"name": "laxer"}
    secret = child(SECRETS, "default", type="bootstrap.kubernetes.io/token")
    deployment = child(DEPLOYMENTS, "default")
    deployment["spec"]["template"]["spec"] = pod_spec(hostPID=True)
    edition = objects.edition(f"probe-{uuid4().hex[:8]}")
    await cast.admin.create(OPERATING_STANDARDS, edition)
    mischief: dict[str, Callable[[], Awaitable[Any]]] = {
        "evidence-writers": lambda: cast.admin.create(EVIDENCES, objects.evidence_of("default"), dry_run=True),
        "status-writer": lambda: cast.admin.patch_merge(
            OPERATING_STANDARDS, key_of(edition), {"status": {}}, subresource="status", dry_run=True
        ),
        "model-namespaces": lambda: cast.admin.create(
            VERTICAL_MODELS, objects.model(names.SYSTEM_NAMESPACE), dry_run=True
        ),
        "standard-choice": lambda: tenant.create(VERTICAL_MODELS, swapped, dry_run=True),
        "operator-children": lambda: operator.create(
            CONFIG_MAPS, child(CONFIG_MAPS, "default", labelled=False), dry_run=True
        ),
        "operator-secrets": lambda: operator.create(SECRETS, secret, dry_run=True),
        "operator-workloads": lambda: operator.create(DEPLOYMENTS, deployment, dry_run=True),
        "model-pods": lambda: cast.admin.create(PODS, model_pod("default"), dry_run=True),
        "field-manager": lambda: cast.admin.apply(
            CONFIG_MAPS, child(CONFIG_MAPS, "default"), manager=names.MANAGER_CHILDREN, dry_run=True
        ),
    }
    for policy, attempt in mischief.items():

        async def refused(attempt: Callable[[], Awaitable[Any]] = attempt, policy: str = policy) -> bool:
            try:
                await attempt()
            except Forbidden as error:
                return f"'verticalmodel-{policy}'" in str(error)
            return False

        await eventually(refused, f"{policy} is in force")
    await cast.admin.delete(OPERATING_STANDARDS, key_of(edition))


@pytest.fixture(scope="session")
def guarded() -> Iterator[Path]:
    """Kubeconfig of an administrator of an API server with our CRDs, RBAC and policies, all in force.

    Before the policies came, somebody else's Evidence was written to the namespace `before`.
    """
    for name in clusters.names():
        pid = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            clusters.down(name)
    cluster = Cluster.up(f"{PREFIX}{os.getpid()}", Shape(nodes=0))
    try:
        apply_crds(cluster.kubeconfig)
        asyncio.run(_prepare(cluster.kubeconfig))
        yield cluster.kubeconfig
    finally:
        cluster.down()


async def _prepare(kubeconfig: Path) -> None:
    async with _cast(kubeconfig) as cast:
        await cast.admin.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "before"}})
        await cast.admin.create(EVIDENCES, objects.evidence_of("before", measurer="somebody-else"))
        routes = "tests/e2e/data/traefik_ingressroutetcp_crd.yaml"
        certificates = str(await asyncio.to_thread(certmanager.path))
        await asyncio.to_thread(apply, kubeconfig, "manifests/rbac", "manifests/policies", routes, certificates)
        await _until_active(cast)


class _cast:  # noqa: N801 - a context manager in the form of a function
    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Cast:
        connection = await self._stack.enter_async_context(Connection.open(self._kubeconfig))
        return Cast(self._kubeconfig, ApiClient(connection, manager="test"), connection, self._stack)

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


@pytest.fixture
async def cast(guarded: Path) -> AsyncIterator[Cast]:
    """Who acts."""
    async with _cast(guarded) as cast:
        yield cast


@pytest.fixture
async def namespace(cast: Cast) -> AsyncIterator[str]:
    """An empty namespace of the test's own, deleted afterwards."""
    name = f"test-{uuid4().hex[:10]}"
    await cast.admin.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await cast.admin.delete(NAMESPACES, Key("", name))


@pytest.fixture
async def operator(cast: Cast) -> ApiClient:
    """The operator's own account."""
    return await cast.act_as(OPERATOR, names.MANAGER_CHILDREN)


@pytest.fixture
async def prober(cast: Cast) -> ApiClient:
    """The prober's own account and field manager."""
    return await cast.act_as(PROBER, names.MANAGER_PROBER)
