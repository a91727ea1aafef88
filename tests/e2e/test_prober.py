"""The prober in a real cluster: real guards, real kubelets, real cgroups, and pods that are not what they seem."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from e2e.installed import Cluster, until
from installation import ROOT
from verticalmodel import evidence
from verticalmodel.api import names
from verticalmodel.api.evidence import Entry, Evidence, Subject

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MODEL = "breast-screening"
BUSYBOX = "verticalmodel-test/busybox:1"
SYSTEM = names.SYSTEM_NAMESPACE
OF_A_POD = (
    "canary-answer",
    "operating-system-supported",
    "framework-supported",
    "tenants-isolated",
    "loading-api-standard",
)
Entries = dict[str, Entry]


@pytest.fixture
def unfenced(cluster: Cluster) -> Iterator[None]:
    """A cluster whose administrator has removed the policy that keeps strangers out: the measurement must still see."""
    policy = (ROOT / "manifests/policies/model-pods.yaml").read_text()
    cluster.kubectl("delete", "validatingadmissionpolicybinding", "verticalmodel-model-pods")
    yield
    cluster.apply(policy, "--server-side")


def make(cluster: Cluster, namespace: str, pod: dict[str, Any]) -> None:
    """Create a rogue pod; the API server takes a moment to forget a policy."""

    def made() -> bool:
        said = cluster.kubectl("create", "-f", "-", "-n", namespace, stdin=json.dumps(pod), check=False)
        return "created" in said

    until("a rogue pod made", made, timeout=30)


@pytest.fixture
def served(cluster: Cluster, claim: str) -> str:
    """A namespace in which the sample model serves."""
    cluster.apply(cluster.sample("breast-screening.yaml"), "-n", claim)
    cluster.await_condition(claim, MODEL, "Ready", "True", timeout=180)
    return claim


def recorded(cluster: Cluster, namespace: str) -> Entries:
    """What the prober recorded of what lives, by place; empty before its first word. The chain is verified."""
    uid = cluster.get("vmodel", MODEL, "-n", namespace)["metadata"]["uid"]
    name = names.evidence_name(MODEL, uid, names.MANAGER_PROBER)
    listed = cluster.get("evd", "-n", namespace)["items"]
    found = [Evidence.model_validate(one) for one in listed if one["metadata"]["name"] == name]
    for one in found:
        assert evidence.verify(one, Subject(kind="VerticalModel", name=MODEL, uid=uid)) == ""
    return {place(entry): entry for one in found for entry in one.spec.entries if entry.scope == "State"}


def place(entry: Entry) -> str:
    """The instance, and before it the measure where several speak of a pod as a whole."""
    return f"{entry.measure} {entry.instance}" if entry.measure in OF_A_POD else entry.instance


def once(
    cluster: Cluster, namespace: str, what: str, holds: Callable[[Entries], object], timeout: float = 90
) -> Entries:
    """The entries as soon as `holds` is true of them."""

    def look() -> Entries | None:
        entries = recorded(cluster, namespace)
        return entries if holds(entries) else None

    found: Entries = until(what, look, timeout=timeout)
    return found


def measured(cluster: Cluster, namespace: str, instances: set[str]) -> Entries:
    """The entries once there is a conclusive one of each place."""

    def whole(found: Entries) -> bool:
        return found.keys() == instances and {one.outcome for one in found.values()} == {"Measured"}

    return once(cluster, namespace, "every instance measured", whole)


def seen(entry: Entry) -> dict[str, str]:
    return {one.name: one.value for one in entry.observations}


def pods(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """The model's own pods by name."""
    listed = cluster.get("pods", "-n", namespace, "-l", f"{names.LABEL_MODEL}={MODEL},{names.LABEL_COMPONENT}=server")
    return {one["metadata"]["name"]: one for one in listed["items"] if "deletionTimestamp" not in one["metadata"]}


def instances_of(pod: str) -> set[str]:
    looks = {f"pod/{pod}:8443", f"pod/{pod}/guard", f"pod/{pod}/server", f"pod/{pod}/near", f"pod/{pod}/far"}
    return looks | {f"{measure} pod/{pod}" for measure in OF_A_POD}


def rogue(name: str, container: dict[str, Any]) -> dict[str, Any]:
    """A pod that wears the model's label without being part of its Service."""
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    labels = {names.LABEL_MODEL: MODEL, names.LABEL_MANAGED_BY: names.MANAGED_BY}
    pod = {"image": BUSYBOX, "imagePullPolicy": "Never", "securityContext": restricted, **container}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False, "containers": [pod]},
    }


def test_every_endpoint_and_every_live_cgroup_of_a_served_model_is_measured(cluster: Cluster, served: str) -> None:
    [name] = pods(cluster, served)
    expected = instances_of(name) | {f"service/{MODEL}:443"}

    entries = measured(cluster, served, expected)

    for endpoint in (f"pod/{name}:8443", f"service/{MODEL}:443"):
        facts = seen(entries[endpoint])
        assert entries[endpoint].value == 1.3
        assert {facts[offer] for offer in ("tls1.2", "tls1.1", "tls1.0")} == {"refused alert protocol_version"}
        assert (facts["plain"], facts["certificate.verified"]) == ("refused closed", "true")
        assert facts["tls1.3"].startswith("accepted TLS_")
    limits = {
        one["name"]: one["resources"]["limits"]["memory"]
        for kind in ("containers", "initContainers")
        for one in pods(cluster, served)[name]["spec"].get(kind, [])
        if one["name"] in ("guard", "server")
    }
    units = {"Mi": 2**20, "Gi": 2**30}
    for container, limit in limits.items():
        facts = seen(entries[f"pod/{name}/{container}"])
        assert entries[f"pod/{name}/{container}"].value == 0
        assert int(facts["memoryLimitBytes"]) == int(limit[:-2]) * units[limit[-2:]]
        assert int(facts["pidsMax"]) > 0
    answer, system, framework, tenants, loading = (entries[f"{measure} pod/{name}"] for measure in OF_A_POD)
    assert seen(answer)["answer"] == "good"
    assert (loading.value, seen(loading)["infer"]) == (0, "done")
    node = cluster.get("node", pods(cluster, served)[name]["spec"]["nodeName"])
    assert seen(system) == {
        "node": node["metadata"]["name"],
        "operatingSystem": "linux",
        "osImage": node["status"]["nodeInfo"]["osImage"],
        "kernel": node["status"]["nodeInfo"]["kernelVersion"],
    }
    assert (seen(framework)["platform"], seen(framework)["producer"]) == ("onnxruntime_onnx", "skl2onnx")
    assert int(seen(framework)["opset"]) >= 9
    for kind in ("TransportEncrypted", "SandboxEnforced", "OperatingSystemSupported"):
        cluster.await_condition(served, MODEL, kind, "True")
    assert "a file by skl2onnx" in cluster.condition(served, MODEL, "FrameworkSupported")["message"]
    # Nothing that we render asks for a token.
    assert (tenants.value, {seen(tenants)[way] for way in ("noToken", "wrongToken", "expiredToken")}) == (
        3,
        {"answered"},
    )
    broken = cluster.await_condition(served, MODEL, "TenantsIsolated", "False")
    assert "without a token" in broken["message"]


def test_a_start_is_timed_and_shown_phase_by_phase(cluster: Cluster, served: str) -> None:
    [name] = pods(cluster, served)

    def timed() -> dict[str, Any] | None:
        found: dict[str, Any] | None = cluster.get("vmodel", MODEL, "-n", served)["status"].get("lastStart")
        return found

    shown = until("the start of the model's pod", timed)

    ends = {phase["name"]: phase["seconds"] for phase in shown["phases"]}
    assert (shown["pod"], shown["kind"]) == (name, "Unknown")
    assert list(ends) == ["scheduled", "image", "unsealed", "started", "loaded", "firstAnswer"]
    assert ends["firstAnswer"] == shown["seconds"]
    # Stamps have whole seconds, and the creation is one of them.
    assert 0 <= ends["scheduled"] <= ends["image"] <= ends["unsealed"] <= ends["started"] <= ends["loaded"]
    assert ends["loaded"] <= shown["seconds"] + 1
    clause = cluster.condition(served, MODEL, "ColdStartWithinBudget")
    assert (clause["status"], clause["reason"]) == ("Unknown", "NotMeasured")
    assert "1 of 1 starts were timed" in clause["message"]


def test_a_way_back_is_timed_and_shows_nothing_but_that_it_was_short_enough(cluster: Cluster, served: str) -> None:
    once(cluster, served, "the canary answered", lambda found: any("canary-answer" in name for name in found))
    [name] = pods(cluster, served)
    cluster.kubectl("exec", name, "-n", served, "-c", "server", "--", "python", "-c", "import os; os.kill(1, 15)")

    def told() -> dict[str, Any] | None:
        said = cluster.condition(served, MODEL, "RestartWithinBudget")
        return said if "by pod: 1; the longest took" in said.get("message", "") else None

    said: dict[str, Any] = until("the way back timed", told, timeout=120)
    assert (said["status"], said["reason"]) == ("Unknown", "NotMeasured")


def ask(cluster: Cluster, namespace: str, *clauses: str) -> tuple[int, dict[str, Any]]:
    """Exit status and answer of `vmodel measure`."""
    command = [sys.executable, "-m", "verticalmodel.cli", "measure", MODEL, "-n", namespace, "-o", "json"]
    chosen = [word for clause in clauses for word in ("--clause", clause)]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    said = subprocess.run([*command, *chosen], capture_output=True, text=True, check=False, env=environment)
    return said.returncode, json.loads(said.stdout)


def test_a_stranger_gets_at_nothing_of_a_model_until_it_lets_everybody_in(cluster: Cluster, served: str) -> None:
    held = cluster.await_condition(served, MODEL, "ScenariosIsolated", "True")
    assert held["reason"] == "Measured"
    near = next(entry for name, entry in recorded(cluster, served).items() if name.endswith("/near"))
    assert seen(near)["from"] == next(iter(pods(cluster, served).values()))["spec"]["nodeName"]
    assert {name: seen(near)[name] for name in ("control.identity", "api.secrets", "target.after")} == {
        "control.identity": "answered 201",
        "api.secrets": "refused 403",
        "target.after": "connected",
    }

    cluster.change_model(served, MODEL, {"access": {"namespaceSelector": {}}})
    status, told = ask(cluster, served, "34")
    assert (status, told["clauses"][0]["verdict"], told["clauses"][0]["value"]) == (3, "False", 2.0), told["clauses"]
    assert "got at net.8443, net.service" in told["clauses"][0]["message"]

    # Nobody has to ask: where somebody got through, the prober looks again and again.
    cluster.change_model(served, MODEL, {"access": None})
    cluster.await_condition(served, MODEL, "ScenariosIsolated", "True")


def test_who_asks_has_it_measured_and_judged_now(cluster: Cluster, served: str) -> None:
    for kind in ("TransportEncrypted", "SandboxEnforced"):
        cluster.await_condition(served, MODEL, kind, "True")
    before = datetime.now(UTC)
    status, told = ask(cluster, served, "13", "SandboxEnforced")
    assert (status, [one["verdict"] for one in told["clauses"]]) == (0, ["True", "True"]), [
        one["message"] for one in told["clauses"]
    ]
    # A whole lifetime from now on, though half of the last one was not over.
    for one in told["clauses"]:
        assert datetime.fromisoformat(one["validUntil"]) >= before + timedelta(seconds=599)
    status, told = ask(cluster, served, "31")
    assert (status, [one["verdict"] for one in told["clauses"]]) == (3, ["False"])


def test_a_new_pod_is_measured_and_an_old_one_leaves_the_evidence(cluster: Cluster, served: str) -> None:
    [old] = pods(cluster, served)
    before = once(cluster, served, "the first pod measured", lambda found: instances_of(old) <= found.keys())
    cluster.kubectl("delete", "pod", old, "-n", served, "--wait=false")

    def replaced(found: Entries) -> bool:
        new = pods(cluster, served).keys() - {old}
        return (
            bool(new) and all(instances_of(one) <= found.keys() for one in new) and not instances_of(old) & found.keys()
        )

    after = once(cluster, served, "the second pod measured in the place of the first", replaced, timeout=180)

    newest = max(entry.sequence for entry in before.values())
    assert all(entry.sequence > newest for name, entry in after.items() if "pod/" in name)


@pytest.mark.usefixtures("unfenced")
def test_a_pod_that_answers_in_plain_text_under_the_models_name_is_found_out(cluster: Cluster, served: str) -> None:
    once(cluster, served, "the Service measured", lambda found: f"service/{MODEL}:443" in found)
    container = {
        "name": "guard",
        "command": ["httpd", "-f", "-p", "8443", "-h", "/etc"],
        "resources": {"limits": {"cpu": "100m", "memory": "32Mi"}},
    }
    make(cluster, served, rogue("plain", container))

    found = once(
        cluster, served, "plain text found",
        lambda found: "pod/plain:8443" in found and found["pod/plain:8443"].value is not None,
    )  # fmt: skip

    assert found["pod/plain:8443"].value == 0.0
    assert seen(found["pod/plain:8443"])["plain"] == "accepted HTTP 404"
    cluster.await_condition(served, MODEL, "TransportEncrypted", "False")
    cluster.kubectl("delete", "pod", "plain", "-n", served)
    once(cluster, served, "the entry gone with the pod", lambda found: "pod/plain:8443" not in found)
    cluster.await_condition(served, MODEL, "TransportEncrypted", "True")


@pytest.mark.usefixtures("unfenced")
def test_a_container_without_limits_is_found_out_in_its_live_cgroup(cluster: Cluster, served: str) -> None:
    once(cluster, served, "the Service measured", lambda found: f"service/{MODEL}:443" in found)
    make(cluster, served, rogue("loose", {"name": "loose", "command": ["/bin/sh", "-c", "sleep 3600"]}))

    found = once(
        cluster, served, "the missing limits found",
        lambda found: "pod/loose/loose" in found and found["pod/loose/loose"].value is not None,
    )  # fmt: skip

    facts = seen(found["pod/loose/loose"])
    assert (found["pod/loose/loose"].value, facts["memoryLimitBytes"]) == (2.0, "0")
    assert "cpuQuotaMicroseconds" not in facts
    broken = cluster.await_condition(served, MODEL, "SandboxEnforced", "False")
    assert broken["message"].startswith("pod/loose/loose: 2 missing limits")


def test_a_stranger_cannot_make_a_pod_of_the_model(cluster: Cluster, served: str) -> None:
    pod = rogue("stranger", {"name": "server", "command": ["/bin/sh", "-c", "sleep 3600"]})
    said = cluster.kubectl("create", "-f", "-", "-n", served, stdin=json.dumps(pod), check=False)
    assert "made by its model's Deployment and by nobody else" in said


@pytest.mark.usefixtures("unfenced")
def test_the_chain_goes_on_when_the_prober_is_replaced(cluster: Cluster, served: str) -> None:
    [name] = pods(cluster, served)
    expected = instances_of(name) | {f"service/{MODEL}:443"}
    before = measured(cluster, served, expected)
    cluster.kubectl("delete", "pod", "-n", SYSTEM, "-l", f"{names.LABEL_NAME}={names.ACCOUNT_PROBER}")
    cluster.kubectl("rollout", "status", f"deployment/{names.ACCOUNT_PROBER}", "-n", SYSTEM, "--timeout=60s")
    make(cluster, served, rogue("later", {"name": "later", "command": ["/bin/sh", "-c", "sleep 3600"]}))

    after = once(cluster, served, "the later pod measured", lambda found: "pod/later/later" in found)

    assert {instance: after[instance] for instance in expected} == before, "what still held was measured anew"
    assert after["pod/later/later"].sequence > max(entry.sequence for entry in before.values())
    assert all(entry.source != after["pod/later/later"].source for entry in before.values())
