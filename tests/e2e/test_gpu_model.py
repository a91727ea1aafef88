"""A model with GPUs end to end: placed by the real scheduler, fed by a remote source, answering over TLS.

node1 has an L4 (24 GB) and a T4 (16 GB), node2 an A100 (80 GB), both by claim; node3 an A10 (24 GB) by device plugin.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from e2e.gpus import LOG, allocatable, device, uuid
from e2e.hospital import ASTRAY, SLOW, Hospital, opened
from e2e.installed import Cluster, until
from fakegpu import installation as fake_gpu
from recording import BadInput

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LARGE = "large"
SCHEDULED, SANDBOX = "PodScheduled", "PodReadyToStartContainers"


@pytest.fixture(scope="module")
def hospital(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    if cluster.name == "given":
        pytest.skip("the servers run on the control plane's machine, which only clusters of hack/cluster have")
    with opened(cluster, tmp_path_factory.mktemp("hospital")) as found:
        yield found


@pytest.fixture(scope="module")
def large(hospital: Hospital) -> Hospital:
    """The hospital with a model on its only GPU of 80 GB, sealed in a bucket."""
    hospital.serve(LARGE, gpu={"memory": "80G"}, source=hospital.from_bucket())
    hospital.cluster.await_condition(hospital.namespace, LARGE, "Ready", "True", timeout=180)
    return hospital


def test_a_sealed_model_from_a_bucket_serves_on_the_node_that_has_its_gpu(large: Hospital) -> None:
    large.answers(LARGE)
    pod = large.pod(LARGE)
    assert pod["spec"]["nodeName"] == "node2"
    [status] = pod["status"]["resourceClaimStatuses"]
    claim = large.cluster.get("resourceclaim", status["resourceClaimName"], "-n", large.namespace)
    devices = [(one["pool"], one["device"]) for one in claim["status"]["allocation"]["devices"]["results"]]
    users = [(one["resource"], one["uid"]) for one in claim["status"]["reservedFor"]]
    assert (devices, users) == ([("node2", "gpu-0")], [("pods", pod["metadata"]["uid"])])
    assert large.sees(LARGE) == uuid(large.cluster, "node2", 0)


def test_the_gpus_memory_is_measured_and_fake_gpus_hold_only_under_an_edition_for_simulations(large: Hospital) -> None:
    """Clauses 1 and 2, by the claim's allocation and the driver's slice; naming another standard restarts no pod."""
    cluster, space, pod = large.cluster, large.namespace, large.pod(LARGE)["metadata"]["name"]
    for kind in ("GPUMemorySufficient", "MixedPrecisionSupported"):
        said = large.await_reason(LARGE, kind, "Simulated")
        assert said["status"] == "Unknown"
        assert f"pod/{pod}: measured on simulated hardware" in said["message"]
    [found] = [one for one in cluster.get("evidence", "-n", space)["items"] if one["spec"]["subject"]["name"] == LARGE]
    memory = next(one for one in found["spec"]["entries"] if one["measure"] == "gpu-memory-sufficient")
    assert (memory["value"], memory["unit"], memory["simulated"]) == (85.8993, "GB", True)
    edition = cluster.get("operatingstandard", "vlm-2026")["spec"] | {"simulation": True}
    cluster.apply(
        {
            "apiVersion": "verticalmodel.io/v1alpha1",
            "kind": "OperatingStandard",
            "metadata": {"name": "vlm-simulated"},
            "spec": edition,
        }
    )
    try:
        cluster.change_model(space, LARGE, {"standard": {"name": "vlm-simulated"}})
        said = cluster.await_condition(space, LARGE, "GPUMemorySufficient", "True")
        assert (said["reason"], said["message"]) == (
            "Simulated",
            f"pod/{pod}: 85.9 GB, limit at least 24: gpu.nvidia.com/node2/gpu-0 (NVIDIA A100-SXM4-80GB)",
        )
        said = cluster.condition(space, LARGE, "MixedPrecisionSupported")
        assert (said["status"], said["reason"]) == ("Unknown", "NotMeasured")
    finally:
        cluster.change_model(space, LARGE, {"standard": None})
        cluster.kubectl("delete", "operatingstandard", "vlm-simulated")
    assert large.pod(LARGE)["metadata"]["name"] == pod


def conditions(pod: dict[str, Any]) -> dict[str, str]:
    """Status by type."""
    return {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}


def test_a_rollout_takes_the_last_gpu_over_instead_of_waiting_for_another(large: Hospital) -> None:
    before = large.pod(LARGE)["metadata"]["uid"]
    large.serve(
        LARGE, gpu={"memory": "80G"}, source=large.from_bucket(), pod={"env": [{"name": "ROUND", "value": "2"}]}
    )

    def replaced() -> dict[str, Any] | None:
        pods = [pod for pod in large.pods(LARGE) if pod["metadata"]["uid"] != before]
        ready = [pod for pod in pods if conditions(pod).get("Ready") == "True"]
        return ready[0] if ready else None

    after = until("a new pod is Ready", replaced, timeout=180)
    assert after["spec"]["nodeName"] == "node2"
    large.answers(LARGE)


def test_a_model_from_a_private_website_serves_on_the_device_plugins_node(hospital: Hospital) -> None:
    until("node3 offers its device", lambda: allocatable(hospital.cluster, "node3") == "1")
    hospital.serve("plugin", gpu={"allocation": "DevicePlugin"}, source=hospital.from_website())
    hospital.answers("plugin")
    pod = hospital.pod("plugin")
    assert pod["spec"]["nodeName"] == "node3"
    assert "resourceClaims" not in pod["spec"]
    assert hospital.sees("plugin") == uuid(hospital.cluster, "node3", 0)
    hospital.drop("plugin")


def test_a_model_that_no_node_fits_says_what_each_node_lacks(hospital: Hospital, bad_input: BadInput) -> None:
    hospital.serve("huge", gpu={"memory": "100G"}, source=hospital.from_bucket())
    said = hospital.await_reason("huge", "Progressing", "Unschedulable")
    assert said["message"].partition("GPUs by node: ")[2] == (
        "node1: largest GPU NVIDIA L4 has 24.15 GB of 99.00 GB; "
        "node2: largest GPU NVIDIA A100-SXM4-80GB has 85.90 GB of 99.00 GB; "
        "node3: its GPUs are offered by the device plugin only"
    )
    hospital.serve("huge", source=hospital.from_bucket())
    ended = hospital.cluster.await_condition(hospital.namespace, "huge", "Ready", "True", timeout=180)
    given = "spec.resources.gpu.memory: 100G"
    bad_input.tried("no-gpu", given, produced=said, way_back="no GPU", ended=ended)
    hospital.drop("huge")


def test_a_model_whose_gpu_is_taken_says_that_a_node_would_have_it(large: Hospital) -> None:
    large.serve("second", gpu={"memory": "80G"}, source=large.from_bucket())
    message = large.await_reason("second", "Progressing", "Unschedulable")["message"]
    assert "node2: has what is needed, so it is full" in message
    large.drop("second")


def test_a_source_is_reached_only_where_its_egress_says(hospital: Hospital, bad_input: BadInput) -> None:
    """The control: the same model with the right port serves."""
    condition = hospital.await_reason(ASTRAY, "Ready", "SourceUnreachable")
    assert condition["status"] == "False"
    hospital.serve(ASTRAY, source=hospital.from_bucket())
    hospital.answers(ASTRAY)
    ended = hospital.cluster.condition(hospital.namespace, ASTRAY, "Ready")
    given = "spec.source.egress that misses the source"
    bad_input.tried("unreachable-source", given, produced=condition, way_back="its port", ended=ended)


def test_a_source_that_takes_too_long_is_a_start_over_its_budget(hospital: Hospital, bad_input: BadInput) -> None:
    """It answers, so it is not unreachable; what the pod waits for is told beside."""
    said = hospital.await_reason(SLOW, "Progressing", "StartOverBudget")
    assert "not ready within 20 s" in said["message"]
    waiting = hospital.cluster.condition(hospital.namespace, SLOW, "Ready")
    assert "container unseal delivers the parameters" in waiting["message"]
    hospital.serve(SLOW, source=hospital.from_website())
    hospital.answers(SLOW)
    ended = hospital.cluster.condition(hospital.namespace, SLOW, "Ready")
    given = "a website that sends a byte every two seconds, spec.startup.budgetSeconds: 20"
    bad_input.tried("slow-source", given, produced=[said, waiting], way_back="a website that does not", ended=ended)
    hospital.drop(SLOW)


@pytest.fixture
def refusing(hospital: Hospital) -> Iterator[None]:
    """The L4's driver refuses every claim, until it is told otherwise."""
    fake_gpu.change_state(hospital.cluster.kubeconfig, "node1", 0, {"claims": "Refused"})
    until("the driver refuses", lambda: device(hospital.cluster, "node1", 0)["claims"] == "Refused")
    yield
    fake_gpu.change_state(hospital.cluster.kubeconfig, "node1", 0, {"claims": "Prepared"})


def test_a_pod_whose_claim_was_not_prepared_starts_long_before_its_kubelet_would_try_again(
    hospital: Hospital, refusing: None
) -> None:
    """Kubelets try again by themselves after 60 to 90 s only; the operator touches the pod."""
    here = {"kubernetes.io/hostname": "node1"}
    hospital.serve("touched", gpu={}, source=hospital.from_bucket(), pod={"nodeSelector": here})

    def failures() -> int:
        failed = "--field-selector=reason=FailedPrepareDynamicResources"
        events = hospital.cluster.get("events", "-n", hospital.namespace, failed)["items"]
        names = [pod["metadata"]["name"] for pod in hospital.pods("touched")]
        return sum(event.get("count", 1) for event in events if event["involvedObject"]["name"] in names)

    until("preparing the claim fails, and again once the pod was touched", lambda: failures() >= 2)
    fake_gpu.change_state(hospital.cluster.kubeconfig, "node1", 0, {"claims": "Prepared"})
    hospital.answers("touched")
    pod = hospital.pod("touched")
    since = {one["type"]: datetime.fromisoformat(one["lastTransitionTime"]) for one in pod["status"]["conditions"]}
    LOG.info("measured: node -> sandbox after refused claims: %s", since[SANDBOX] - since[SCHEDULED])
    assert since[SANDBOX] - since[SCHEDULED] < timedelta(seconds=55)
    assert int(pod["metadata"]["annotations"]["verticalmodel.io/claim-retry"]) >= 2
    hospital.drop("touched")
