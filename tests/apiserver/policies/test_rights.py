"""What RBAC grants each account, as the API server's own authoriser sees it, and that the policies compile."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apiserver import objects
from apiserver.kubectl import ROOT
from apiserver.policies.conftest import OPERATOR, PROBER, Cast, eventually
from verticalmodel.api import names
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import Forbidden
from verticalmodel.kube.resources import CONFIG_MAPS, EVIDENCES, LEASES, SECRETS, VERTICAL_MODELS, Key, Resource
from verticalmodel.shell.prober_identity import ensure_prober_identity

pytestmark = pytest.mark.apiserver

SELF_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", namespaced=False, kind="SelfSubjectAccessReview"
)
POLICIES = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    namespaced=False,
    kind="ValidatingAdmissionPolicy",
)
SYSTEM = names.SYSTEM_NAMESPACE
OURS, APPS, CORE, LEASE, NET = names.GROUP, "apps", "", "coordination.k8s.io", "networking.k8s.io"
RESOURCE = "resource.k8s.io"

# What each account may do: verb, group, resource[/subresource], namespace ("" for all), name ("" for any).
Right = tuple[str, str, str, str, str]
OPERATOR_MAY: list[Right] = [
    ("list", OURS, "verticalmodels", "", ""),
    ("watch", OURS, "evidences", "", ""),
    ("patch", OURS, "verticalmodels/status", "n", "m"),
    ("patch", OURS, "operatingstandards/status", "", "s"),
    ("create", APPS, "deployments", "n", ""),
    ("patch", APPS, "controllerrevisions", "n", "c"),
    ("delete", CORE, "services", "n", "s"),
    ("create", NET, "networkpolicies", "n", ""),
    ("list", CORE, "nodes", "", ""),
    ("get", CORE, "persistentvolumeclaims", "n", "c"),
    ("get", CORE, "persistentvolumes", "", "v"),
    ("watch", RESOURCE, "resourceslices", "", ""),
    ("list", RESOURCE, "deviceclasses", "", ""),
    ("patch", RESOURCE, "resourceclaimtemplates", "n", "t"),
    ("delete", "policy", "poddisruptionbudgets", "n", "b"),
    ("create", CORE, "secrets", "n", ""),
    ("update", CORE, "secrets", "n", "s"),
    ("get", CORE, "secrets", SYSTEM, names.CA_NAME),
    ("get", CORE, "secrets", SYSTEM, names.PROBER_CLIENT),
    ("update", LEASE, "leases", SYSTEM, names.ACCOUNT_OPERATOR),
    ("patch", CORE, "pods", "n", "p"),
]
OPERATOR_MAY_NOT: list[Right] = [
    *[(verb, OURS, "evidences", "n", "e") for verb in ("create", "update", "patch", "delete", "deletecollection")],
    *[(verb, CORE, "secrets", "n", "s") for verb in ("get", "list", "watch", "patch", "deletecollection")],
    ("list", CORE, "secrets", SYSTEM, ""),
    ("get", CORE, "secrets", SYSTEM, "another"),
    ("update", OURS, "verticalmodels", "n", "m"),
    ("patch", OURS, "modelruntimes", "", "r"),
    ("patch", OURS, "operatingstandards", "", "s"),
    *[(verb, CORE, "pods", "n", "p") for verb in ("create", "update", "delete")],
    *[("patch", CORE, f"pods/{part}", "n", "p") for part in ("status", "ephemeralcontainers", "resize")],
    ("create", CORE, "pods/eviction", "n", "p"),
    ("create", CORE, "pods/exec", "n", "p"),
    ("create", CORE, "serviceaccounts/token", SYSTEM, names.ACCOUNT_PROBER),
    ("impersonate", CORE, "serviceaccounts", SYSTEM, names.ACCOUNT_PROBER),
    *[(verb, CORE, "nodes", "", "node") for verb in ("update", "patch", "delete")],
    *[(verb, CORE, "persistentvolumeclaims", "n", "c") for verb in ("list", "patch", "delete")],
    *[(verb, CORE, "persistentvolumes", "", "v") for verb in ("list", "patch", "delete")],
    ("get", CORE, "nodes/metrics", "", "node"),
    ("get", CORE, "nodes/proxy", "", "node"),
    ("patch", RESOURCE, "resourceslices", "", "s"),
    ("create", RESOURCE, "deviceclasses", "", ""),
    ("create", RESOURCE, "resourceclaims", "n", ""),
    ("update", LEASE, "leases", SYSTEM, names.ACCOUNT_PROBER),
    ("delete", "admissionregistration.k8s.io", "validatingadmissionpolicies", "", "p"),
    ("create", "rbac.authorization.k8s.io", "rolebindings", "n", ""),
]
PROBER_MAY: list[Right] = [
    ("list", OURS, "verticalmodels", "", ""),
    ("get", OURS, "operatingstandards", "", "s"),
    ("watch", OURS, "modelruntimes", "", ""),
    *[(verb, OURS, "evidences", "n", "e") for verb in ("get", "list", "watch", "create", "patch", "delete")],
    ("watch", CORE, "pods", "", ""),
    ("list", CORE, "nodes", "", ""),
    ("get", CORE, "nodes/metrics", "", "node"),
    ("get", CORE, "configmaps", SYSTEM, names.CA_NAME),
    ("watch", CORE, "configmaps", SYSTEM, names.CA_NAME),
    ("patch", LEASE, "leases", SYSTEM, names.ACCOUNT_PROBER),
]
PROBER_MAY_NOT: list[Right] = [
    ("patch", OURS, "verticalmodels/status", "n", "m"),
    ("patch", OURS, "verticalmodels", "n", "m"),
    *[
        (verb, CORE, "secrets", SYSTEM, name)
        for verb in ("get", "list", "create", "update")
        for name in (names.CA_NAME, names.PROBER_CLIENT)
    ],
    ("patch", APPS, "deployments", "n", "d"),
    ("delete", CORE, "pods", "n", "p"),
    ("get", CORE, "configmaps", "n", "c"),
    ("get", CORE, "nodes/proxy", "", "node"),
    ("create", CORE, "nodes/proxy", "", "node"),
    ("update", LEASE, "leases", SYSTEM, names.ACCOUNT_OPERATOR),
]


AUDITOR_MAY: list[Right] = [
    *[
        (verb, OURS, kind, "", "")
        for verb in ("get", "list", "watch")
        for kind in ("verticalmodels", "evidences", "modelruntimes", "operatingstandards")
    ],
    ("list", CORE, "pods", "", ""),
    ("list", CORE, "events", "", ""),
    ("list", CORE, "nodes", "", ""),
    ("list", APPS, "controllerrevisions", "", ""),
    ("list", NET, "networkpolicies", "", ""),
    ("list", RESOURCE, "resourceclaims", "", ""),
    ("list", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", "", ""),
    ("list", "rbac.authorization.k8s.io", "rolebindings", "", ""),
    ("get", LEASE, "leases", SYSTEM, names.ACCOUNT_OPERATOR),
    ("get", CORE, "configmaps", SYSTEM, names.CA_NAME),
]
_WRITES = ("create", "update", "patch", "delete", "deletecollection")
AUDITOR_MAY_NOT: list[Right] = [
    *[
        (verb, OURS, kind, "n", "m")
        for verb in _WRITES
        for kind in ("verticalmodels", "evidences", "operatingstandards")
    ],
    *[("patch", OURS, f"{kind}/status", "n", "m") for kind in ("verticalmodels", "operatingstandards")],
    *[(verb, CORE, "secrets", "n", "s") for verb in ("get", "list", "watch")],
    ("get", CORE, "configmaps", "n", "c"),
    ("get", CORE, "pods/log", "n", "p"),
    ("create", CORE, "pods/exec", "n", "p"),
    ("get", CORE, "nodes/proxy", "", "node"),
    *[(verb, "rbac.authorization.k8s.io", "clusterrolebindings", "", "b") for verb in _WRITES],
]


async def may(api: ApiClient, right: Right) -> bool:
    verb, group, resource, namespace, name = right
    resource, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
    attributes |= {"namespace": namespace, "name": name}
    body = {
        "apiVersion": SELF_REVIEWS.api_version,
        "kind": SELF_REVIEWS.kind,
        "metadata": {},
        "spec": {"resourceAttributes": attributes},
    }
    answer = await api.create(SELF_REVIEWS, body)
    return bool(answer["status"]["allowed"])


@pytest.mark.parametrize(
    ("account", "granted", "withheld"),
    [(OPERATOR, OPERATOR_MAY, OPERATOR_MAY_NOT), (PROBER, PROBER_MAY, PROBER_MAY_NOT)],
    ids=["operator", "prober"],
)
async def test_an_account_may_do_its_work_and_no_more(
    cast: Cast, account: Key, granted: list[Right], withheld: list[Right]
) -> None:
    api = await cast.act_as(account)
    assert {right: await may(api, right) for right in granted} == dict.fromkeys(granted, True)
    assert {right: await may(api, right) for right in withheld} == dict.fromkeys(withheld, False)


async def test_an_auditor_sees_what_verdicts_rest_on_and_changes_nothing(
    cast: Cast, namespace: str, tmp_path: Path
) -> None:
    account = await cast.account(namespace, "auditor")
    await cast.bind(account, "verticalmodel-auditor")
    api = await cast.act_as(account)
    await eventually(lambda: may(api, AUDITOR_MAY[0]), "the role is bound")
    assert {right: await may(api, right) for right in AUDITOR_MAY} == dict.fromkeys(AUDITOR_MAY, True)
    assert {right: await may(api, right) for right in AUDITOR_MAY_NOT} == dict.fromkeys(AUDITOR_MAY_NOT, False)
    environment = {**os.environ, "KUBECONFIG": str(await cast.kubeconfig_of(account, tmp_path))}
    command = [sys.executable, "-m", "verticalmodel.cli", "doctor", "--json"]
    told = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=30, env=environment
    )
    assert "unknown" not in {one["verdict"] for one in json.loads(told.stdout)}, "every part may be read"


async def test_the_operator_makes_and_renews_the_probers_certificate_with_its_own_rights(
    cast: Cast, operator: ApiClient
) -> None:
    start = datetime.now(UTC)
    try:
        told = await ensure_prober_identity(operator, SYSTEM, start)
        assert await ensure_prober_identity(operator, SYSTEM, start + timedelta(days=61)) == told
    finally:
        await cast.admin.delete(SECRETS, Key(SYSTEM, names.PROBER_CLIENT))


async def test_each_process_holds_its_own_lease(cast: Cast) -> None:
    for account in (OPERATOR, PROBER):
        api = await cast.act_as(account)
        lease = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": account.name, "namespace": SYSTEM},
            "spec": {"holderIdentity": "me"},
        }
        created = await api.create(LEASES, lease)
        await api.replace(LEASES, created | {"spec": {"holderIdentity": ""}})
        await cast.admin.delete(LEASES, Key(SYSTEM, account.name))


async def test_the_prober_follows_the_one_config_map_by_its_name(cast: Cast, prober: ApiClient) -> None:
    """As its informer does: list with a field selector; without one it is refused."""
    await prober.list(CONFIG_MAPS, SYSTEM, fields={"metadata.name": names.CA_NAME})
    with pytest.raises(Forbidden):
        await prober.list(CONFIG_MAPS, SYSTEM)


@pytest.mark.parametrize("role", ["view", "edit", "admin"])
async def test_users_see_evidence_and_never_write_it(cast: Cast, namespace: str, role: str) -> None:
    account = await cast.account(namespace, role)
    await cast.bind(account, role, namespace)
    user = await cast.act_as(account)
    writes = role != "view"

    async def aggregated() -> bool:
        return await may(user, ("list", OURS, "verticalmodels", namespace, "")) and (
            not writes or await may(user, ("create", OURS, "verticalmodels", namespace, ""))
        )

    await eventually(aggregated, f"our rights are part of {role}")
    verbs = ("create", "update", "patch", "delete", "deletecollection")
    expected: dict[Right, bool] = {
        **{("get", OURS, resource, namespace, "m"): True for resource in ("verticalmodels", "evidences")},
        **{(verb, OURS, "verticalmodels", namespace, "m"): writes for verb in verbs},
        ("patch", OURS, "verticalmodels/scale", namespace, "m"): writes,
        ("patch", OURS, "verticalmodels/status", namespace, "m"): False,
        **{(verb, OURS, "evidences", namespace, "e"): False for verb in verbs},
    }
    assert {right: await may(user, right) for right in expected} == expected
    if writes:
        await user.create(VERTICAL_MODELS, objects.model(namespace), dry_run=True)
    with pytest.raises(Forbidden, match=r'cannot create resource "evidences"'):
        await user.create(EVIDENCES, objects.evidence_of(namespace), dry_run=True)


async def test_every_policy_compiles_without_a_warning(cast: Cast) -> None:
    """The controller manager type-checks each expression against the kinds that its policy matches."""
    files = {path.stem for path in (ROOT / "manifests/policies").glob("*.yaml")}

    async def checked() -> bool:
        policies = (await cast.admin.list(POLICIES)).items
        return all(_generation(policy) == policy["metadata"]["generation"] for policy in policies)

    await eventually(checked, "all policies are type-checked")
    policies = (await cast.admin.list(POLICIES)).items
    warnings = {policy["metadata"]["name"]: policy["status"].get("typeChecking") for policy in policies}
    assert warnings == {f"verticalmodel-{name}": {} for name in files}


def _generation(policy: dict[str, Any]) -> int | None:
    generation: int | None = policy.get("status", {}).get("observedGeneration")
    return generation
