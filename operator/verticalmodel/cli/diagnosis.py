"""What `vmodel doctor` concludes of an installation, from objects as the API server shows them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from cryptography import x509

from verticalmodel.api import names
from verticalmodel.standard import manifest

__all__ = ["KINDS", "POLICIES", "Finding", "Installation", "diagnosed"]

Verdict = Literal["ok", "broken", "unknown"]
Wire = Mapping[str, Any]

KINDS = ("verticalmodels", "modelruntimes", "operatingstandards", "evidences")
POLICIES = tuple(
    f"verticalmodel-{name}"
    for name in (
        "evidence-writers",
        "field-manager",
        "model-namespaces",
        "model-pods",
        "model-workloads",
        "operator-children",
        "operator-pods",
        "operator-secrets",
        "operator-workloads",
        "standard-choice",
        "status-writer",
    )
)
"""Admission policies of manifests/policies: without one of them a guarantee is gone."""
_WORKLOADS = {
    names.ACCOUNT_OPERATOR: "nothing is reconciled and every verdict lapses",
    names.ACCOUNT_PROBER: "nothing is measured any more",
}
_SOON = timedelta(days=30)
_NOT_ALLOWED = "you may not read it"


@dataclass(frozen=True)
class Finding:
    """What was found of one part of the installation; `says` ends with the way out where it is broken."""

    subject: str
    verdict: Verdict
    says: str


@dataclass(frozen=True)
class Installation:
    """What was read; None where the reader may not, an empty sequence or mapping where there is nothing."""

    crds: Sequence[Wire] | None
    deployments: Sequence[Wire] | None
    """Those of the operator's namespace."""
    strangers: Wire | None
    """The DaemonSet of those who try to get at models without a grant."""
    lease: Wire | None
    policies: Sequence[Wire] | None
    bindings: Sequence[Wire] | None
    standards: Sequence[Wire] | None
    runtimes: Sequence[Wire] | None
    trust: Wire | None
    """The ConfigMap with the trust bundle."""


def diagnosed(found: Installation, now: datetime) -> tuple[Finding, ...]:
    """One finding for each part, in the order in which one hangs on the other."""
    workloads = (_workload(found.deployments, name, hurts) for name, hurts in _WORKLOADS.items())
    return (
        _kinds(found.crds),
        _policies(found.policies, found.bindings),
        *workloads,
        _strangers(found.strangers),
        _leader(found.lease, now),
        _standards(found.standards),
        _catalogue("runtimes", found.runtimes, "manifests/runtimes"),
        _trust(found.trust, now),
    )


def _kinds(crds: Sequence[Wire] | None) -> Finding:
    if crds is None:
        return Finding("kinds", "unknown", _NOT_ALLOWED)
    there = {crd["metadata"]["name"] for crd in crds if _is_true(crd, "Established")}
    missing = [kind for kind in KINDS if f"{kind}.{names.GROUP}" not in there]
    return _complete("kinds", len(KINDS), missing, "`kubectl apply --server-side -f crds`")


def _policies(policies: Sequence[Wire] | None, bindings: Sequence[Wire] | None) -> Finding:
    if policies is None or bindings is None:
        return Finding("policies", "unknown", _NOT_ALLOWED)
    there = {one["metadata"]["name"] for one in policies}
    deny = {
        one["spec"]["policyName"]
        for one in bindings
        if "Deny" in one["spec"].get("validationActions", ()) and not one["spec"].get("matchResources")
    }
    missing = [name for name in POLICIES if name not in there & deny]
    return _complete("policies", len(POLICIES), missing, "`kubectl apply --server-side -f manifests/policies`")


def _complete(subject: str, total: int, missing: Sequence[str], way_out: str) -> Finding:
    if missing:
        return Finding(subject, "broken", f"not in force: {', '.join(missing)}; {way_out}")
    return Finding(subject, "ok", f"all {total} in force")


def _workload(deployments: Sequence[Wire] | None, name: str, hurts: str) -> Finding:
    if deployments is None:
        return Finding(name, "unknown", _NOT_ALLOWED)
    one = next((one for one in deployments if one["metadata"]["name"] == name), None)
    if one is None:
        return Finding(name, "broken", f"there is no Deployment of this name, so {hurts}; install it")
    wanted, available = one["spec"].get("replicas", 1), (one.get("status") or {}).get("availableReplicas") or 0
    if available >= wanted > 0:
        return Finding(name, "ok", f"{available} of {wanted} available")
    hurt = f", so {hurts}" if not available else ""
    look = f"`kubectl describe pods -n verticalmodel-system -l {names.LABEL_NAME}={name}`"
    return Finding(name, "broken", f"{available} of {wanted} available{hurt}; {look}")


def _strangers(daemon_set: Wire | None) -> Finding:
    subject = names.STRANGER_NAMESPACE
    if daemon_set is None:
        return Finding(subject, "unknown", _NOT_ALLOWED)
    if not daemon_set:
        hurt = "nobody tries to get at a model without a grant, and clause 34 stays Unknown"
        return Finding(subject, "broken", f"there is no DaemonSet of this name, so {hurt}; install it")
    status = daemon_set.get("status") or {}
    wanted, available = status.get("desiredNumberScheduled") or 0, status.get("numberAvailable") or 0
    if available < wanted or not wanted:
        look = f"`kubectl get pods -n {names.STRANGER_NAMESPACE} -o wide`"
        hurt = "clause 34 stays Unknown for pods on the other nodes"
        return Finding(subject, "broken", f"on {available} of {wanted} nodes, so {hurt}; {look}")
    if wanted == 1:
        return Finding(subject, "ok", "on the only node: without a second one clause 34 stays Unknown")
    return Finding(subject, "ok", f"on all {wanted} nodes")


def _leader(lease: Wire | None, now: datetime) -> Finding:
    if lease is None:
        return Finding("leader", "unknown", _NOT_ALLOWED)
    spec = lease.get("spec") or {}
    if not spec.get("holderIdentity") or not spec.get("renewTime"):
        return Finding("leader", "broken", "no operator leads: see the operator's own line, and its log")
    age = now - datetime.fromisoformat(spec["renewTime"])
    if age > timedelta(seconds=2 * spec.get("leaseDurationSeconds", 15)):
        return Finding(
            "leader", "broken", f"the last leader was heard of {int(age.total_seconds())} s ago; see its log"
        )
    return Finding("leader", "ok", str(spec["holderIdentity"]))


def _catalogue(subject: str, objects: Sequence[Wire] | None, folder: str) -> Finding:
    if objects is None:
        return Finding(subject, "unknown", _NOT_ALLOWED)
    if not objects:
        return Finding(
            subject, "broken", f"there are none to name in a model; `kubectl apply --server-side -f {folder}`"
        )
    return Finding(subject, "ok", ", ".join(sorted(one["metadata"]["name"] for one in objects)))


def _standards(standards: Sequence[Wire] | None) -> Finding:
    """Editions are immutable, but one may be deleted and another of its name created."""
    default = next((one for one in standards or () if one["metadata"]["name"] == names.DEFAULT_STANDARD), None)
    if default is not None and default.get("spec") != manifest(names.DEFAULT_STANDARD)["spec"]:
        return Finding(
            "standards",
            "broken",
            f"{names.DEFAULT_STANDARD} is not the edition of this version: compare `kubectl get opstd "
            f"{names.DEFAULT_STANDARD} -o yaml` with manifests/standards, and the audit log says who made it",
        )
    return _catalogue("standards", standards, "manifests/standards")


def _trust(bundle: Wire | None, now: datetime) -> Finding:
    if bundle is None:
        return Finding("trust bundle", "unknown", _NOT_ALLOWED)
    try:
        authorities = x509.load_pem_x509_certificates((bundle.get("data") or {}).get("ca.crt", "").encode())
    except ValueError:
        return Finding("trust bundle", "broken", f"ConfigMap {names.CA_NAME} holds none; is the operator running?")
    ends = max(one.not_valid_after_utc for one in authorities)
    if ends <= now + _SOON:
        rotate = f"`kubectl annotate secret {names.CA_NAME} -n verticalmodel-system {names.ANNOTATION_CA_ROTATE}=now`"
        return Finding("trust bundle", "broken", f"the last authority ends {ends.astimezone(UTC):%Y-%m-%d}; {rotate}")
    count = len(authorities)
    return Finding("trust bundle", "ok", f"{count} {'authority' if count == 1 else 'authorities'}, to {ends:%Y-%m-%d}")


def _is_true(obj: Wire, kind: str) -> bool:
    conditions: Iterable[Wire] = (obj.get("status") or {}).get("conditions") or ()
    return any((one["type"], one["status"]) == (kind, "True") for one in conditions)
