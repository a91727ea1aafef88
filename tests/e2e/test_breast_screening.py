"""The user's journey: a real model from a claim answers over TLS 1.3, and its clauses are judged from measurements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import client
from e2e.installed import Cluster, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MODEL = "breast-screening"
HELD_OUT = json.loads((Path(__file__).parent / "data/breast_screening_heldout.json").read_text())


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Iterator[str]:
    """A namespace in which the sample is Ready, with a client pod in it and a stranger outside."""
    name = "journey"
    cluster.kubectl("delete", "namespace", name, f"{name}-stranger", "--ignore-not-found", "--wait")
    for each in (name, f"{name}-stranger"):
        cluster.restricted_namespace(each)
        client.start(cluster, each)
    cluster.apply(cluster.sample("breast-screening-claim.yaml"), "-n", name)
    cluster.apply(cluster.sample("breast-screening.yaml"), "-n", name)
    cluster.await_condition(name, MODEL, "Ready", "True", timeout=300)
    for each in (name, f"{name}-stranger"):
        client.await_ready(cluster, each)
    yield name
    cluster.kubectl("delete", "namespace", name, f"{name}-stranger", "--wait=false")


def test_the_endpoint_reaches_the_accuracy_of_the_trained_model_over_tls_1_3(cluster: Cluster, served: str) -> None:
    rows = HELD_OUT["rows"]
    numbers = [number for row in rows for number in row]
    features = {"name": "features", "datatype": "FP32", "shape": [len(rows), len(rows[0])], "data": numbers}
    answer = client.infer(cluster, served, MODEL, features)
    assert (answer["version"], answer["status"]) == ("TLSv1.3", 200)
    [labels] = [output["data"] for output in answer["body"]["outputs"] if output["name"] == "label"]
    right = sum(said == true for said, true in zip(labels, HELD_OUT["labels"], strict=True))
    assert right / len(labels) == pytest.approx(HELD_OUT["baselineAccuracy"], abs=1e-6)


def test_a_pod_of_another_namespace_does_not_get_through_while_one_of_our_own_does(
    cluster: Cluster, served: str
) -> None:
    look = f"import socket; socket.create_connection(('{MODEL}.{served}.svc', 443), timeout=3); print('through')"
    ours = cluster.kubectl("exec", "client", "-n", served, "--", "python", "-c", look, check=False)
    stranger = cluster.kubectl("exec", "client", "-n", f"{served}-stranger", "--", "python", "-c", look, check=False)
    assert "through" in ours
    assert "through" not in stranger


def test_clauses_are_judged_by_measurement_and_all_others_say_what_would_measure_them(
    cluster: Cluster, served: str
) -> None:
    for kind in (
        "TransportEncrypted",
        "SandboxEnforced",
        "OperatingSystemSupported",
        "LoadingAPIStandard",
        "ScenariosIsolated",
    ):
        assert cluster.await_condition(served, MODEL, kind, "True")["reason"] == "Measured"
    # Whoever may connect is answered: there are no tenants yet.
    assert cluster.await_condition(served, MODEL, "TenantsIsolated", "False")["reason"] == "ThresholdExceeded"
    status = cluster.get("vmodel", MODEL, "-n", served)["status"]
    clauses = {clause["id"]: clause for clause in status["clauses"]}
    assert (clauses[13]["value"], clauses[13]["limit"], clauses[13]["unit"]) == (1.3, 1.3, "TLS")
    assert (clauses[30]["value"], clauses[30]["limit"]) == (0, 0)
    assert [clauses[number]["value"] for number in (5, 31, 33, 34)] == [1, 3, 0, 0]
    # The sample's file is plain.
    assert (clauses[14]["verdict"], clauses[14]["value"]) == ("False", 0)
    others = [clause for number, clause in clauses.items() if number not in (5, 13, 14, 30, 31, 33, 34)]
    assert {(clause["verdict"], clause["reason"]) for clause in others} == {("Unknown", "NotMeasured")}
    assert (len(clauses), status["met"]) == (34, "5/34")
    messages = {condition["type"]: condition["message"] for condition in status["conditions"]}
    assert all(messages[clause["condition"]] for clause in others)
    # What is of the platform stands with the standard, and a model says the same.
    platform = {one["id"]: one for one in cluster.get("opstd", "vlm-2026")["status"]["clauses"]}
    assert {number: clauses[number] for number in platform} == platform
    [evidence] = cluster.get("evidence", "-n", served)["items"]
    measured = {(entry["measure"], entry["instance"].split("/")[0]) for entry in evidence["spec"]["entries"]}
    assert {("transport-encrypted", "pod"), ("transport-encrypted", "service"), ("sandbox-enforced", "pod")} <= measured


def test_the_limits_in_the_evidence_are_those_of_the_live_pod(cluster: Cluster, served: str) -> None:
    cluster.await_condition(served, MODEL, "SandboxEnforced", "True")
    [evidence] = cluster.get("evidence", "-n", served)["items"]
    limits = {}
    for entry in evidence["spec"]["entries"]:
        if entry["measure"] == "sandbox-enforced":
            seen = {observation["name"]: observation["value"] for observation in entry["observations"]}
            limits[entry["instance"].rsplit("/", 1)[1]] = int(float(seen["memoryLimitBytes"]))
    assert limits == {"server": 512 * 2**20, "guard": 128 * 2**20}


def test_a_sidecar_added_by_hand_is_taken_out_again(cluster: Cluster, served: str) -> None:
    [deployment] = cluster.get("deployment", "-n", served)["items"]
    name = deployment["metadata"]["name"]
    spy = [{"op": "add", "path": "/spec/template/spec/hostNetwork", "value": True}]
    cluster.kubectl("patch", "deployment", name, "-n", served, "--type=json", f"--patch={json.dumps(spy)}")
    until(
        "the host network is taken out of the template",
        lambda: "hostNetwork" not in cluster.get("deployment", name, "-n", served)["spec"]["template"]["spec"],
    )
    cluster.kubectl("rollout", "status", f"deployment/{name}", "-n", served, "--timeout=120s")


def test_a_wrong_runtime_is_a_condition_and_the_running_pod_stays(cluster: Cluster, served: str) -> None:
    patch = '{"spec":{"runtime":{"name":"%s"}}}'
    cluster.kubectl("patch", "vmodel", MODEL, "-n", served, "--type=merge", f"--patch={patch % 'nowhere'}")
    assert cluster.await_condition(served, MODEL, "Accepted", "False")["reason"] == "RuntimeNotFound"
    assert cluster.condition(served, MODEL, "Ready")["status"] == "True"
    cluster.kubectl("patch", "vmodel", MODEL, "-n", served, "--type=merge", f"--patch={patch % 'oip-onnx'}")
    cluster.await_condition(served, MODEL, "Accepted", "True")
    cluster.await_condition(served, MODEL, "Ready", "True")
