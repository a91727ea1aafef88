"""Claims about a test cluster (hack/cluster, provider `local`) that is up: what it proves, and what happens in it.

The cluster here is this file's own, named after our pid, so a second run beside this one does not disturb it. Times
are logged and never asserted: `pytest --log-cli-level=INFO tests/e2e/test_cluster.py` shows them.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from e2e.own_clusters import ROOT, name, processes_of, remove_orphans
from testcluster import Cluster, Shape, TimedOutError, UsageError, machines, processes, proofs
from testcluster import cluster as clusters
from testcluster.api import Api, ApiError, Object, collection
from testcluster.archive import Image, write_archive

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LOG = logging.getLogger("test-clusters")
NODES = 2
BUSYBOX = "verticalmodel-test/busybox:1"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    remove_orphans()
    started = time.monotonic()
    try:
        up = Cluster.up(name(), Shape(nodes=NODES), report=LOG.info)
        LOG.info("measured: warm up of %d nodes, proofs included: %.1f s", NODES, time.monotonic() - started)
        yield up
    finally:
        clusters.down(name())


@pytest.fixture
def api(cluster: Cluster) -> Api:
    return Api.from_kubeconfig(cluster.kubeconfig)


@pytest.fixture
def namespace(api: Api, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, with its default service account there."""
    own = f"t{abs(hash(request.node.nodeid)) % 10**8}-{time.monotonic_ns() % 10**6}"
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": own}})
    accounts = collection("ServiceAccount", own)
    api.wait(accounts, lambda found: found or None, timeout=60, what="the default service account")
    yield own
    api.delete(f"{collection('Namespace')}/{own}")


def pod(namespace: str, name: str, command: str, **spec: Any) -> Object:
    container = {"name": "main", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", command]}
    container |= spec.pop("container", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def await_pod(api: Api, namespace: str, name: str, look: Callable[[Object], bool], what: str) -> Object:
    def found(pods: list[Object]) -> Object | None:
        return next((p for p in pods if p["metadata"]["name"] == name and look(p)), None)

    return api.wait(collection("Pod", namespace), found, timeout=180, what=f"pod {name} {what}")


def ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def node(api: Api, name: str) -> Object:
    return api.get(f"{collection('Node')}/{name}")


def test_up_means_every_node_is_ready_and_every_claim_proven(cluster: Cluster, api: Api) -> None:
    nodes = {n["metadata"]["name"]: n for n in api.get(collection("Node"))["items"]}
    assert set(nodes) == set(cluster.node_names) == {f"node{i}" for i in range(1, NODES + 1)}
    assert {n["status"]["nodeInfo"]["kubeletVersion"] for n in nodes.values()} == {"v1.37.2"}
    assert len({n["status"]["nodeInfo"]["bootID"] for n in nodes.values()}) == NODES
    findings = proofs.prove(cluster.layout, api)
    assert [f for f in findings if f.failure] == []
    assert len(findings) == 8


def test_a_pod_is_ready_soon_after_it_was_applied(api: Api, namespace: str) -> None:
    started = time.monotonic()
    api.apply(pod(namespace, "quick", "exec sleep 1000"))
    await_pod(api, namespace, "quick", ready, "Ready")
    LOG.info("measured: pod applied -> Ready: %.2f s", time.monotonic() - started)


def test_a_claim_without_a_class_is_bound_and_written_to(api: Api, namespace: str) -> None:
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": namespace},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
        },
    )
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    command = "echo kept > /data/file && cat /data/file"
    api.apply(pod(namespace, "writer", command, volumes=volumes, restartPolicy="Never", container=mounts))
    done = await_pod(api, namespace, "writer", lambda p: p["status"]["phase"] in {"Succeeded", "Failed"}, "ends")
    assert done["status"]["phase"] == "Succeeded"
    assert api.request("GET", f"{collection('Pod', namespace)}/writer/log") == b"kept\n"


def test_a_service_without_endpoints_refuses_at_once_and_leaves_no_trace(
    cluster: Cluster, api: Api, namespace: str
) -> None:
    """A tracked connection that nobody translated would swallow later ones from its port, once there are endpoints."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": namespace}}
    made = api.apply({**service, "spec": {"selector": {"app": "nobody"}, "ports": [{"port": 80}]}})
    address = made["spec"]["clusterIP"]
    api.apply(pod(namespace, "asks", f"nc -w 30 {address} 80", restartPolicy="Never"))
    asked = await_pod(api, namespace, "asks", lambda p: p["status"]["phase"] == "Failed", "was refused")
    assert "No route to host" in api.request("GET", f"{collection('Pod', namespace)}/asks/log").decode()
    tracked = cluster.enter(asked["spec"]["nodeName"], ["conntrack", "-L", "--dst", address], mounts=False)
    found = subprocess.run(tracked, capture_output=True, text=True, check=True, timeout=30)
    assert found.stdout == ""


def test_pod_security_and_admission_policies_are_in_force(api: Api, namespace: str) -> None:
    restricted = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    api.patch(f"{collection('Namespace')}/{namespace}", restricted)
    with pytest.raises(ApiError, match="violates PodSecurity") as refused:
        api.apply(pod(namespace, "root", "true", container={"securityContext": {"privileged": True}}))
    assert refused.value.status == http.client.FORBIDDEN
    policies = api.get("/apis/admissionregistration.k8s.io/v1")["resources"]
    assert "validatingadmissionpolicies" in {resource["name"] for resource in policies}


def test_a_node_may_touch_itself_and_no_other_node(cluster: Cluster, api: Api) -> None:
    """Node authorization and NodeRestriction: one node's credentials are no key to the others."""
    kubelet = Api.from_kubeconfig(cluster.layout.node("node1").var_lib / "kubelet" / "kubeconfig")
    change = {"metadata": {"annotations": {"example.org/touched": "yes"}}}
    kubelet.patch(f"{collection('Node')}/node1", change)
    assert node(api, "node1")["metadata"]["annotations"]["example.org/touched"] == "yes"
    for action in (
        lambda: kubelet.patch(f"{collection('Node')}/node2", change),
        lambda: kubelet.get("/api/v1/secrets"),
    ):
        with pytest.raises(ApiError) as refused:
            action()
        assert refused.value.status == http.client.FORBIDDEN


def test_nothing_outside_the_cluster_can_be_reached(cluster: Cluster) -> None:
    """192.0.2.1 is set aside for documentation. The control, from the same place: the API server takes connections."""

    def connect(machine: str, address: str, port: str) -> subprocess.CompletedProcess[str]:
        argv = cluster.enter(machine, ["busybox", "nc", "-w", "2", address, port], mounts=False)
        return subprocess.run(argv, input="", capture_output=True, text=True, check=False, timeout=30)

    for machine in cluster.addresses:
        assert connect(machine, cluster.addresses["control-plane"], "6443").returncode == 0
        assert "No route to host" in connect(machine, "192.0.2.1", "80").stderr


@dataclass
class Watch:
    """Seconds since a moment, by what happened then."""

    started: float = field(default_factory=time.monotonic)
    laps: dict[str, float] = field(default_factory=dict)

    def lap(self, what: str) -> None:
        self.laps[what] = round(time.monotonic() - self.started, 2)


def test_a_pulled_plug_kills_all_at_once_and_a_node_comes_back(cluster: Cluster, api: Api, namespace: str) -> None:
    api.apply(pod(namespace, "victim", "exec sleep 1000", nodeSelector={"kubernetes.io/hostname": "node2"}))
    before = await_pod(api, namespace, "victim", ready, "Ready")
    boot = node(api, "node2")["status"]["nodeInfo"]["bootID"]
    machine = cluster.layout.node("node2")
    living = processes_of(cluster.name, "node2")
    assert len(living) > 5
    watch = Watch()
    cluster.power_off("node2")
    watch.lap("off")
    assert processes_of(cluster.name, "node2") == []
    assert machines.find(machine) is None
    assert not machine.containerd_socket.exists() or machines.components(machine) == {}
    with pytest.raises(OSError, match=r"No route to host|timed out"):
        Api(str(machine.address), 10250, api.tls)._connect(timeout=5).connect()  # noqa: SLF001  # a plain connection
    watch.lap("certain")
    cluster.power_on("node2")
    watch.lap("on and Ready")
    now = node(api, "node2")
    assert now["status"]["nodeInfo"]["bootID"] != boot
    assert ready(now)
    after = await_pod(api, namespace, "victim", lambda p: ready(p) and _restarts(p) == 1, "runs again")
    watch.lap("pod runs again")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    LOG.info("measured: power off, then on: %s", watch.laps)


def _restarts(pod: Object) -> int:
    return sum(int(status["restartCount"]) for status in pod["status"]["containerStatuses"])


def test_an_image_is_loaded_once_and_runs_on_every_node(
    cluster: Cluster,
    api: Api,
    namespace: str,
    tmp_path: Path,
) -> None:
    archive = tmp_path / "app.tar"
    busybox = Path("/usr/bin/busybox")
    reference = f"docker.io/claims/app:{os.getpid()}-{time.monotonic_ns()}"
    write_archive(Image(reference, {"/bin/busybox": busybox}, ["/bin/busybox", "echo", reference]), archive)
    started = time.monotonic()
    first = cluster.load_image(archive)
    LOG.info("measured: load of %.1f MB: %.2f s", archive.stat().st_size / 1e6, time.monotonic() - started)
    again = cluster.load_image(archive)
    assert first == {f"{node}/app.tar": True for node in cluster.node_names}
    assert again == {f"{node}/app.tar": False for node in cluster.node_names}
    for machine in cluster.node_names:
        container = {"image": reference, "command": None}
        spec = {"nodeSelector": {"kubernetes.io/hostname": machine}, "restartPolicy": "Never"}
        api.apply(pod(namespace, machine, "", container=container, **spec))
        await_pod(api, namespace, machine, lambda p: p["status"]["phase"] == "Succeeded", "succeeds")
        assert api.request("GET", f"{collection('Pod', namespace)}/{machine}/log").decode().strip() == reference


def test_a_policy_engine_that_died_is_found_out(cluster: Cluster, api: Api) -> None:
    """The proof of the deny can fail: it is a measurement, not a formality."""
    router = machines.components(cluster.layout.node("node1"))["kube-router"]
    processes.end([router])
    try:
        findings = {f.claim: f.failure for f in proofs.prove(cluster.layout, api)}
        # Either the stranger gets through on node1, or rules that the dead engine left behind keep even the control
        # out: which one depends on when it died.
        assert findings.pop("a NetworkPolicy denies, its control passes")
        assert set(findings.values()) == {""}
        assert cluster.health().problems == ("node1: not running: kube-router",)
    finally:
        cluster.power_off("node1")
        cluster.power_on("node1")
    assert cluster.health().problems == ()


def test_up_keeps_a_healthy_cluster_and_refuses_to_make_another_of_it(cluster: Cluster, api: Api) -> None:
    boots = [n["status"]["nodeInfo"]["bootID"] for n in api.get(collection("Node"))["items"]]
    said: list[str] = []
    assert Cluster.up(cluster.name, Shape(nodes=NODES), report=said.append) == cluster
    assert said == [f"cluster {cluster.name} is up and healthy"]
    assert [n["status"]["nodeInfo"]["bootID"] for n in api.get(collection("Node"))["items"]] == boots
    with pytest.raises(UsageError, match=f"run `hack/cluster down --name {cluster.name}` first"):
        Cluster.up(cluster.name, Shape(nodes=0))


def test_logs_status_and_exec_answer_on_the_command_line(cluster: Cluster) -> None:
    def hack(*arguments: str) -> str:
        return subprocess.run([ROOT / "hack/cluster", *arguments], capture_output=True, text=True, check=True).stdout

    at = ("--name", cluster.name)
    assert hack("kubeconfig", *at) == f"{cluster.kubeconfig}\n"
    assert hack("logs", *at).split() == cluster.logs()
    assert "Serving securely" in hack("logs", "kube-apiserver", *at)
    assert hack("node", *at, "exec", "node1", "--", "hostname") == "node1\n"
    (found,) = json.loads(hack("status", "-o", "json", *at))
    assert (found["healthy"], [m["name"] for m in found["machines"]]) == (True, ["control-plane", "node1", "node2"])
    with pytest.raises(UsageError, match="on several machines: name one of control-plane/etcd"):
        cluster.log("kubelet")
    with pytest.raises(TimedOutError):
        Api.from_kubeconfig(cluster.kubeconfig).wait(collection("Node"), lambda _: None, timeout=1, what="nothing")
