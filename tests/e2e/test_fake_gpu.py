"""Claims about the fake GPUs: the real scheduler and the real kubelets place pods on them, and one can be broken.

node1 has an L4 and a T4, node2 an A100 (both by DRA), node3 an A10 by device plugin: hack/fakegpu/manifests/.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest

from e2e.gpus import (
    ENOUGH_MEMORY,
    L4,
    LOG,
    MIXED_PRECISION,
    SYSTEM,
    allocatable,
    await_ready,
    await_unschedulable,
    cdi_files,
    device,
    driver,
    fake_gpus,
    health,
    nodes_of_pods,
    on_node,
    registered_again,
    restart_kubelet,
    run,
    seen,
    slices,
    spec,
    taints,
    template,
    uuid,
)
from e2e.installed import Cluster, until
from fakegpu import installation
from installation import ROOT
from testcluster import Cluster as LocalCluster

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cluster(bare_cluster: Cluster) -> Iterator[Cluster]:
    """The three nodes with fake GPUs, and without them again afterwards."""
    with fake_gpus(bare_cluster):
        yield bare_cluster


@pytest.fixture(scope="module")
def restricted(cluster: Cluster) -> Iterator[str]:
    """A namespace under Pod Security restricted."""
    name = f"gpu-{uuid4().hex[:8]}"
    cluster.restricted_namespace(name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait", "--timeout=60s")


@pytest.fixture
def space(cluster: Cluster, restricted: str) -> Iterator[str]:
    """The namespace, empty again afterwards: no pod, claim or CDI file of one test is left to the next.

    The last file goes after its pod and claim: a kubelet does not hold a pod without grace period back for it.
    """
    yield restricted
    kinds = "deployments,replicasets,pods,resourceclaimtemplates,resourceclaims,events"
    cluster.kubectl("delete", kinds, "--all", "-n", restricted, "--wait", "--timeout=60s")
    for node in ("node1", "node2"):
        until(f"no CDI file is left on {node}", lambda at=node: not cdi_files(cluster, at), timeout=100)


@pytest.fixture
def mended(cluster: Cluster) -> Iterator[None]:
    """Whatever a test breaks works again afterwards."""
    yield
    for node, index in (("node1", 0), ("node3", 0)):
        installation.change_state(cluster.kubeconfig, node, index, {"health": "Healthy", "xid": 0})
    until("no taint is left", lambda: not taints(cluster, "node1"))
    until("node3 offers its device", lambda: allocatable(cluster, "node3") == "1")


def test_every_node_offers_its_devices_in_one_way_and_marked_as_simulated(cluster: Cluster) -> None:
    found = slices(cluster)
    names = {
        node: [device["attributes"]["productName"]["string"] for device in slice_["spec"]["devices"]]
        for node, slice_ in found.items()
    }
    assert names == {"node1": ["NVIDIA L4", "Tesla T4"], "node2": ["NVIDIA A100-SXM4-80GB"]}
    marks = [
        device["attributes"]["verticalmodel.io/simulated"] for s in found.values() for device in s["spec"]["devices"]
    ]
    assert marks == [{"bool": True}] * 3
    nodes = {node["metadata"]["name"]: node for node in cluster.get("nodes")["items"]}
    labelled = {name: node["metadata"]["labels"].get("verticalmodel.io/simulated") for name, node in nodes.items()}
    assert labelled == {"node1": None, "node2": None, "node3": "true"}
    assert nodes["node3"]["metadata"]["labels"]["nvidia.com/gpu.memory"] == "22731"
    until("node3 offers one extended resource", lambda: allocatable(cluster, "node3") == "1")
    assert [allocatable(cluster, node) for node in ("node1", "node2")] == ["0", "0"]


def test_a_restricted_pod_gets_a_gpu_that_is_large_enough_and_sees_it(cluster: Cluster, space: str) -> None:
    """The T4 beside the L4 is too small; the file that brings the variable goes with the pod."""
    template(cluster, space, ENOUGH_MEMORY, MIXED_PRECISION)
    started = time.monotonic()
    run(cluster, space, "one")
    node = await_ready(cluster, space, "one")["spec"]["nodeName"]
    LOG.info("measured: pod with a claim applied -> Ready: %.2f s", time.monotonic() - started)
    assert node in {"node1", "node2"}
    assert seen(cluster, space, "one") == f"{uuid(cluster, node, 0)} true"
    assert len(cdi_files(cluster, node)) == 1
    cluster.kubectl("delete", "pod", "one", "-n", space, "--wait")
    until("the CDI file is gone", lambda: not cdi_files(cluster, node))


def test_of_three_replicas_two_run_and_the_third_waits(cluster: Cluster, space: str) -> None:
    """There are two devices with 24 GB, one on each DRA node."""
    template(cluster, space, ENOUGH_MEMORY, MIXED_PRECISION)
    cluster.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "three", "namespace": space},
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": {"app": "three"}},
                "template": {"metadata": {"labels": {"app": "three"}}, "spec": spec(cluster, claim=True)},
            },
        }
    )
    placed = until("two are placed", lambda: len(found := nodes_of_pods(cluster, space)) == 3 and found)
    (waiting,) = [name for name, node in placed.items() if not node]
    assert sorted(placed.values()) == ["", "node1", "node2"]
    assert "cannot allocate all claims" in await_unschedulable(cluster, space, waiting)
    running = [name for name in placed if name != waiting]
    for name in running:
        await_ready(cluster, space, name)
    cluster.kubectl("scale", "deploy/three", "-n", space, "--replicas=2")
    cluster.kubectl("wait", "--for=delete", f"pod/{waiting}", "-n", space, "--timeout=30s")
    assert set(nodes_of_pods(cluster, space)) == set(running)


def test_a_claim_for_more_than_a_node_has_waits_and_a_claim_for_two_names_both(cluster: Cluster, space: str) -> None:
    template(cluster, space, MIXED_PRECISION, count=2)
    run(cluster, space, "two")
    assert await_ready(cluster, space, "two")["spec"]["nodeName"] == "node1"
    gpus, mark = seen(cluster, space, "two").split()
    assert set(gpus.split(",")) == {uuid(cluster, "node1", 0), uuid(cluster, "node1", 1)}
    assert mark == "true"
    run(cluster, space, "two-more")
    await_unschedulable(cluster, space, "two-more")


def test_the_device_plugin_hands_out_its_one_device_once(cluster: Cluster, space: str) -> None:
    run(cluster, space, "plugin", claim=False)
    assert await_ready(cluster, space, "plugin")["spec"]["nodeName"] == "node3"
    assert seen(cluster, space, "plugin") == f"{uuid(cluster, 'node3', 0)} true"
    run(cluster, space, "second", claim=False)
    assert "Insufficient nvidia.com/gpu" in await_unschedulable(cluster, space, "second")


def fake_gpu(cluster: Cluster, *arguments: str) -> None:
    """The command that people type."""
    subprocess.run([ROOT / "hack/fake-gpu", "--kubeconfig", cluster.kubeconfig, *arguments], check=True)


def test_a_broken_device_is_not_given_out_again_until_it_is_mended(cluster: Cluster, space: str, mended: None) -> None:
    """Who has it keeps it, as with NVIDIA's driver, and the pod's status says that it is unhealthy."""
    template(cluster, space, L4)
    run(cluster, space, "holder")
    await_ready(cluster, space, "holder")
    started = time.monotonic()
    fake_gpu(cluster, "break", "node1", "0", "--xid", "48")
    until("the device is tainted", lambda: taints(cluster, "node1") == [("gpu-0", "gpu.nvidia.com/xid", "48")])
    LOG.info("measured: break typed -> taint seen: %.2f s", time.monotonic() - started)
    until("the pod's status says so", lambda: health(cluster, space, "holder") == ["Unhealthy"], timeout=30)
    cluster.kubectl("delete", "pod", "holder", "-n", space, "--wait")
    run(cluster, space, "next")
    await_unschedulable(cluster, space, "next")
    fake_gpu(cluster, "mend", "node1", "0")
    await_ready(cluster, space, "next")


def test_a_broken_extended_resource_is_not_given_out_either(cluster: Cluster, space: str, mended: None) -> None:
    fake_gpu(cluster, "break", "node3", "0")
    until("node3 offers none", lambda: allocatable(cluster, "node3") == "0")
    run(cluster, space, "plugin", claim=False)
    await_unschedulable(cluster, space, "plugin")
    fake_gpu(cluster, "mend", "node3", "0")
    await_ready(cluster, space, "plugin")


def test_what_a_device_reports_is_in_a_file_on_its_node(cluster: Cluster) -> None:
    fake_gpu(cluster, "set", "node2", "0", "temperatureCelsius=91", "utilizationPercent=100")
    until("the reading is 91 degrees", lambda: device(cluster, "node2", 0)["temperatureCelsius"] == 91)
    reading = device(cluster, "node2", 0)
    assert (reading["utilizationPercent"], reading["uuid"]) == (100, uuid(cluster, "node2", 0))


def test_a_killed_driver_works_again_and_forgets_no_claim(cluster: Cluster, space: str) -> None:
    """The claim that the old pod prepared is taken back by the new one, and the next is prepared."""
    template(cluster, space, L4)
    run(cluster, space, "before")
    await_ready(cluster, space, "before")
    old = driver(cluster, "node1")
    cluster.kubectl("delete", "pod", old, "-n", SYSTEM, "--force", "--grace-period=0", "--wait")
    run(cluster, space, "after")
    cluster.kubectl("rollout", "status", "daemonset/fake-gpu", "-n", SYSTEM, "--timeout=60s")
    cluster.kubectl("delete", "pod", "before", "-n", space, "--wait")
    await_ready(cluster, space, "after")
    assert driver(cluster, "node1") != old
    until("one CDI file is left", lambda: len(cdi_files(cluster, "node1")) == 1)


def test_a_slice_that_was_deleted_or_edited_by_hand_is_published_again(cluster: Cluster) -> None:
    before = slices(cluster)["node1"]
    cluster.kubectl("delete", "resourceslice", before["metadata"]["name"])
    until("the slice is there again", lambda: slices(cluster).get("node1", {}).get("spec") == before["spec"])
    cluster.kubectl(
        "patch", "resourceslice", before["metadata"]["name"], "--type=merge", "-p", '{"spec":{"devices":[]}}'
    )
    until("the slice has its devices again", lambda: slices(cluster)["node1"]["spec"] == before["spec"])


def test_a_lost_socket_is_made_again(cluster: Cluster, space: str) -> None:
    """What a kubelet's own cleaning, or a person's, takes away."""
    with registered_again(cluster, "node1", "node3"):
        on_node(cluster, "node1", "rm", "/var/lib/kubelet/plugins_registry/gpu.nvidia.com-reg.sock")
        on_node(cluster, "node3", "rm", "/var/lib/kubelet/device-plugins/nvidia-gpu.sock")
    template(cluster, space, L4)
    run(cluster, space, "dra")
    run(cluster, space, "plugin", claim=False)
    for name in ("dra", "plugin"):
        await_ready(cluster, space, name)


def test_a_restarted_kubelet_finds_both_plugins_again(cluster: Cluster, space: str) -> None:
    """It empties the device plugins' folder and deletes the slices of its node when it starts."""
    if cluster.name == "given":
        pytest.skip("the kubelets of a given cluster are its owner's")
    before = slices(cluster)["node1"]
    with registered_again(cluster, "node1", "node3"):
        for node in ("node1", "node3"):
            restart_kubelet(LocalCluster.find(cluster.name), node)
    until("the slice is there", lambda: slices(cluster).get("node1", {}).get("spec") == before["spec"])
    until("node3 offers its device", lambda: allocatable(cluster, "node3") == "1")
    template(cluster, space, L4)
    run(cluster, space, "dra")
    run(cluster, space, "plugin", claim=False)
    for name in ("dra", "plugin"):
        await_ready(cluster, space, name)


@pytest.mark.parametrize(("own", "allowed"), [("node1", True), ("node2", False)])
def test_the_driver_of_one_node_cannot_speak_for_another(cluster: Cluster, own: str, allowed: bool) -> None:  # noqa: FBT001
    """The slice of node1 from the account's token on node1 and on node2; the first is the control."""
    name = slices(cluster)["node1"]["metadata"]["name"]
    said = cluster.kubectl(
        *("patch", "resourceslice", name, "--type=merge", "-p", '{"metadata":{"labels":{"touched":"yes"}}}'),
        *("--dry-run=server", f"--as=system:serviceaccount:{SYSTEM}:fake-gpu"),
        *("--as-group=system:authenticated", f"--as-user-extra=authentication.kubernetes.io/node-name={own}"),
        check=False,
    )
    assert ("patched" in said, "of its own node only" in said) == (allowed, not allowed), said
