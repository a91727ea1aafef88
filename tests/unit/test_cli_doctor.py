"""`vmodel doctor`: what is broken in an installation, and what could not be seen."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from verticalmodel.api import names
from verticalmodel.cli.diagnosis import KINDS, POLICIES, Finding, Installation, diagnosed
from verticalmodel.shell.issuer import new_authority
from verticalmodel.standard import manifest

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def crd(kind: str, established: str = "True") -> dict[str, Any]:
    status = {"conditions": [{"type": "Established", "status": established}]}
    return {"metadata": {"name": f"{kind}.{names.GROUP}"}, "status": status}


def deployment(name: str, available: int, replicas: int = 1) -> dict[str, Any]:
    status = {"availableReplicas": available} if available else {}
    return {"metadata": {"name": name}, "spec": {"replicas": replicas}, "status": status}


def named(*all_names: str) -> list[dict[str, Any]]:
    return [{"metadata": {"name": name}} for name in all_names]


def binding(policy: str, *actions: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": policy}, "spec": {"policyName": policy, "validationActions": list(actions), **spec}}


def laxer() -> dict[str, Any]:
    """Another edition of the default one's name."""
    made = manifest(names.DEFAULT_STANDARD)
    clauses = [{**one, "limit": 99.0} if one["id"] == 31 else one for one in made["spec"]["clauses"]]
    return {**made, "spec": {**made["spec"], "clauses": clauses}}


def bundle(made: datetime) -> dict[str, Any]:
    return {"data": {"ca.crt": new_authority(made).certificate_pem.decode()}}


def lease(heard: datetime, holder: str = "operator-a") -> dict[str, Any]:
    return {"spec": {"holderIdentity": holder, "renewTime": heard.isoformat(), "leaseDurationSeconds": 15}}


def strangers(available: int, wanted: int) -> dict[str, Any]:
    return {"status": {"desiredNumberScheduled": wanted, **({"numberAvailable": available} if available else {})}}


GOOD = Installation(
    crds=[crd(kind) for kind in KINDS],
    deployments=[deployment(names.ACCOUNT_OPERATOR, 2, 2), deployment(names.ACCOUNT_PROBER, 1)],
    strangers=strangers(3, 3),
    lease=lease(NOW - timedelta(seconds=3)),
    policies=named(*POLICIES),
    bindings=[binding(name, "Deny", "Audit") for name in POLICIES],
    standards=[manifest(names.DEFAULT_STANDARD)],
    runtimes=named("oip-onnx", "vllm"),
    trust=bundle(NOW),
)


def broken(**changes: Any) -> list[Finding]:
    return [one for one in diagnosed(replace(GOOD, **changes), NOW) if one.verdict != "ok"]


def test_a_whole_installation_is_ok_in_every_part() -> None:
    assert broken() == []
    assert [one.subject for one in diagnosed(GOOD, NOW)] == [
        "kinds",
        "policies",
        names.ACCOUNT_OPERATOR,
        names.ACCOUNT_PROBER,
        names.STRANGER_NAMESPACE,
        "leader",
        "standards",
        "runtimes",
        "trust bundle",
    ]


@pytest.mark.parametrize(
    ("changes", "subject", "mentions"),
    [
        ({"crds": [crd(kind) for kind in KINDS[1:]]}, "kinds", KINDS[0]),
        ({"crds": [crd(kind, "False") for kind in KINDS]}, "kinds", "-f crds"),
        ({"policies": named(*POLICIES[1:])}, "policies", POLICIES[0]),
        ({"bindings": [binding(name, "Deny") for name in POLICIES[1:]]}, "policies", POLICIES[0]),
        ({"bindings": [binding(name, "Audit") for name in POLICIES]}, "policies", POLICIES[0]),
        (
            {"bindings": [binding(name, "Deny", matchResources={"namespaceSelector": {}}) for name in POLICIES]},
            "policies",
            POLICIES[0],
        ),
        (
            {"deployments": [deployment(names.ACCOUNT_OPERATOR, 1)]},
            names.ACCOUNT_PROBER,
            "nothing is measured any more",
        ),
        (
            {"deployments": [deployment(names.ACCOUNT_OPERATOR, 0, 2), deployment(names.ACCOUNT_PROBER, 1)]},
            names.ACCOUNT_OPERATOR,
            "0 of 2 available, so nothing is reconciled",
        ),
        (
            {"deployments": [deployment(names.ACCOUNT_OPERATOR, 0, 0), deployment(names.ACCOUNT_PROBER, 1)]},
            names.ACCOUNT_OPERATOR,
            "0 of 0 available",
        ),
        ({"strangers": {}}, names.STRANGER_NAMESPACE, "clause 34 stays Unknown; install it"),
        ({"strangers": strangers(2, 3)}, names.STRANGER_NAMESPACE, "on 2 of 3 nodes"),
        ({"strangers": strangers(0, 0)}, names.STRANGER_NAMESPACE, "on 0 of 0 nodes"),
        ({"lease": {}}, "leader", "no operator leads"),
        ({"lease": lease(NOW - timedelta(minutes=2))}, "leader", "heard of 120 s ago"),
        ({"standards": []}, "standards", "manifests/standards"),
        ({"standards": [laxer()]}, "standards", "vlm-2026 is not the edition of this version"),
        ({"runtimes": []}, "runtimes", "manifests/runtimes"),
        ({"trust": {}}, "trust bundle", "holds none"),
        ({"trust": {"data": {"ca.crt": "no certificate"}}}, "trust bundle", "holds none"),
        ({"trust": bundle(NOW - timedelta(days=3640))}, "trust bundle", names.ANNOTATION_CA_ROTATE),
    ],
)
def test_a_part_that_is_broken_is_named_with_the_way_out(changes: dict[str, Any], subject: str, mentions: str) -> None:
    [found] = broken(**changes)
    assert (found.subject, found.verdict) == (subject, "broken")
    assert mentions in found.says


def test_what_the_reader_may_not_see_is_neither_good_nor_broken() -> None:
    nothing = Installation(**dict.fromkeys(field.name for field in fields(Installation)))
    assert {one.verdict for one in diagnosed(nothing, NOW)} == {"unknown"}


def test_a_cluster_of_one_node_is_told_what_it_cannot_show() -> None:
    found = {one.subject: one for one in diagnosed(replace(GOOD, strangers=strangers(1, 1)), NOW)}
    assert found[names.STRANGER_NAMESPACE].verdict == "ok"
    assert "clause 34 stays Unknown" in found[names.STRANGER_NAMESPACE].says


def test_every_policy_of_the_manifests_is_looked_for() -> None:
    files = (ROOT / "manifests/policies").glob("*.yaml")
    documents = [one for file in files for one in yaml.safe_load_all(file.read_text())]
    assert sorted(POLICIES) == sorted(
        one["metadata"]["name"] for one in documents if one["kind"] == "ValidatingAdmissionPolicy"
    )
