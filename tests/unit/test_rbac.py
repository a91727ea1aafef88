"""manifests/rbac and manifests/policies, read as text: least privilege, names from one home, no drift."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
import yaml

from verticalmodel.api import names
from verticalmodel.api.evidence import KIND as EVIDENCE

ROOT = Path(__file__).resolve().parents[2]
Document = dict[str, Any]
READS = {"get", "list", "watch"}


def documents(folder: str) -> list[Document]:
    files = sorted((ROOT / "manifests" / folder).glob("*.yaml"))
    return [document for path in files for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def roles(account: str = "") -> Iterator[tuple[Document, Document]]:
    """Each role with each of its rules; those of one account where it is named."""
    for document in documents("rbac"):
        if document["kind"] in ("Role", "ClusterRole") and account in ("", document["metadata"]["name"]):
            for rule in document["rules"]:
                yield document, rule


def label_of(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


@pytest.mark.parametrize("document", documents("rbac") + documents("policies"), ids=label_of)
def test_the_official_client_knows_every_field(document: Document) -> None:
    getattr(kubernetes.client, f"V1{document['kind']}").model_validate(document)


def test_no_rule_has_a_wildcard() -> None:
    for document, rule in roles():
        values = [*rule["apiGroups"], *rule["resources"], *rule["verbs"], *rule.get("resourceNames", [])]
        assert all("*" not in value for value in values), label_of(document)


def test_no_account_reads_secrets_but_the_operator_its_authority_and_the_probers_certificate() -> None:
    found = [
        (label_of(document), sorted(rule["verbs"]), rule.get("resourceNames"))
        for document, rule in roles()
        if "secrets" in rule["resources"]
    ]
    assert found == [
        ("ClusterRole verticalmodel-operator", ["create", "delete", "update"], None),
        ("Role verticalmodel-operator", ["get"], [names.CA_NAME, names.PROBER_CLIENT]),
    ]


def test_only_the_prober_is_granted_writes_to_evidence() -> None:
    writers = {
        label_of(document)
        for document, rule in roles()
        if EVIDENCE.plural in rule["resources"] and set(rule["verbs"]) - READS
    }
    assert writers == {"ClusterRole verticalmodel-prober"}


def test_the_prober_writes_evidence_and_its_lease_only() -> None:
    written = {
        resource
        for _, rule in roles(names.ACCOUNT_PROBER)
        for resource in rule["resources"]
        if set(rule["verbs"]) - READS
    }
    assert written == {EVIDENCE.plural, "leases"}


def test_nobody_is_granted_a_way_to_more_rights() -> None:
    verbs = {verb for _, rule in roles() for verb in rule["verbs"]}
    resources = {resource for _, rule in roles() for resource in rule["resources"]}
    written = {resource for _, rule in roles() for resource in rule["resources"] if set(rule["verbs"]) - READS}
    assert not verbs & {"bind", "escalate", "impersonate", "approve", "sign"}
    assert not resources & {"pods/exec", "pods/attach", "nodes/proxy", "serviceaccounts/token"}
    assert not written & {"roles", "clusterroles", "rolebindings", "clusterrolebindings"}


def test_the_auditor_only_reads_and_no_secret_no_log_and_no_config_map_but_the_trust_bundle() -> None:
    rules = [rule for _, rule in roles("verticalmodel-auditor")]
    assert {verb for rule in rules for verb in rule["verbs"]} <= READS
    assert not {resource for rule in rules for resource in rule["resources"]} & {"secrets", "pods/log"}
    assert [rule["resourceNames"] for rule in rules if "configmaps" in rule["resources"]] == [[names.CA_NAME]]


def test_every_account_and_namespace_has_the_name_that_the_code_uses() -> None:
    accounts = {
        (document["metadata"]["namespace"], document["metadata"]["name"])
        for document in documents("rbac")
        if document["kind"] == "ServiceAccount"
    }
    ours = {(names.SYSTEM_NAMESPACE, name) for name in (names.ACCOUNT_OPERATOR, names.ACCOUNT_PROBER)}
    assert accounts == {*ours, (names.STRANGER_NAMESPACE, names.STRANGER_NAMESPACE)}
    subjects = {
        (document["roleRef"]["name"], subject["namespace"], subject["name"])
        for document in documents("rbac")
        if document["kind"].endswith("Binding")
        for subject in document["subjects"]
    }
    assert subjects == {(name, namespace, name) for namespace, name in ours}, "the stranger has no right at all"


def test_our_namespaces_enforce_restricted_pods() -> None:
    found = {
        one["metadata"]["name"]: one["metadata"]["labels"] for one in documents("rbac") if one["kind"] == "Namespace"
    }
    assert list(found) == [names.SYSTEM_NAMESPACE, names.STRANGER_NAMESPACE]
    for labels in found.values():
        assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {"restricted"}


def test_the_namespace_is_applied_before_what_lives_in_it() -> None:
    assert documents("rbac")[0]["kind"] == "Namespace"


def test_the_policies_name_the_accounts_managers_and_labels_of_the_code() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "manifests/policies").glob("*.yaml"))
    prefix = f"system:serviceaccount:{names.SYSTEM_NAMESPACE}:"
    measurer = f"{{'{prefix}{names.ACCOUNT_PROBER}': '{names.MANAGER_PROBER}'}}"
    for needed in (
        measurer,
        f"request.userInfo.username == '{prefix}{names.ACCOUNT_OPERATOR}'",
        f"labels[?'{names.LABEL_MANAGED_BY}'].orValue('') != '{names.MANAGED_BY}'",
        f"['secrets/{names.CA_NAME}', 'configmaps/{names.CA_NAME}', 'secrets/{names.PROBER_CLIENT}']",
        f"apiGroups: [{names.GROUP}]",
        f"apiVersions: [{names.VERSION}]",
    ):
        assert needed in text, needed


def test_every_policy_fails_closed_and_is_bound_to_deny() -> None:
    """With matchConstraints that name their resources, and a reason and a message for each rule."""
    by_kind: dict[str, dict[str, Document]] = {"ValidatingAdmissionPolicy": {}, "ValidatingAdmissionPolicyBinding": {}}
    for document in documents("policies"):
        by_kind[document["kind"]][document["metadata"]["name"]] = document["spec"]
    policies, bindings = by_kind.values()
    assert policies.keys() == bindings.keys()
    for name, spec in policies.items():
        assert spec["failurePolicy"] == "Fail"
        rules = spec["matchConstraints"]["resourceRules"]
        assert all("*" not in value for rule in rules for value in [*rule["apiGroups"], *rule["resources"]])
        assert all(rule["message"] and rule["reason"] == "Forbidden" for rule in spec["validations"])
        assert bindings[name] == {"policyName": name, "validationActions": ["Deny", "Audit"]}
