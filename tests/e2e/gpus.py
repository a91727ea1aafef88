"""Pods that want a GPU, and what a cluster, its nodes and the fake GPU driver say about them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e.installed import Cluster, until
from fakegpu import installation
from fakegpu.driver import profile
from fakegpu.driver.feature_labels import LABELS
from testcluster import Cluster as LocalCluster
from testcluster import machines, processes, records, workers
from testcluster.locks import locked

LOG = logging.getLogger("fake-gpu")
SYSTEM = installation.NAMESPACE
GUARD = "device.driver == 'gpu.nvidia.com' && '{0}' in device.{1}['gpu.nvidia.com'] && "
ENOUGH_MEMORY = GUARD.format("memory", "capacity") + (
    "device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('24G')) >= 0"
)
MIXED_PRECISION = GUARD.format("cudaComputeCapability", "attributes") + (
    "device.attributes['gpu.nvidia.com'].cudaComputeCapability.compareTo(semver('7.0.0')) >= 0"
)
L4 = "device.attributes['gpu.nvidia.com'].productName == 'NVIDIA L4'"
SHOW = (
    "import os, signal; print(os.environ['NVIDIA_VISIBLE_DEVICES'], os.environ['VERTICALMODEL_SIMULATED'], flush=True)"
)
CONFINED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@contextmanager
def fake_gpus(cluster: Cluster) -> Iterator[None]:
    """The nodes with fake GPUs, and without them again after the block."""
    started = time.monotonic()
    installation.install(cluster.kubeconfig, cluster.references)
    # A kubelet tells of its device plugin's devices with its next report, up to 10 s after the plugin is ready.
    until("node3 offers its device", lambda: allocatable(cluster, "node3") == "1")
    LOG.info("measured: install until every node offers its devices: %.1f s", time.monotonic() - started)
    try:
        yield
    finally:
        installation.uninstall(cluster.kubeconfig)
    until("node3 offers none", lambda: allocatable(cluster, "node3") == "0")
    assert cluster.get("resourceslices")["items"] == []
    labels = {label for node in cluster.get("nodes")["items"] for label in node["metadata"]["labels"]}
    assert labels.isdisjoint(LABELS)


def template(cluster: Cluster, space: str, *selectors: str, count: int = 1) -> None:
    """A ResourceClaimTemplate `gpu`."""
    exactly = {
        "deviceClassName": "gpu.nvidia.com",
        "allocationMode": "ExactCount",
        "count": count,
        "selectors": [{"cel": {"expression": selector}} for selector in selectors],
    }
    devices = {"requests": [{"name": "gpu", "exactly": exactly}]}
    metadata = {"name": "gpu", "namespace": space}
    cluster.apply(
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaimTemplate",
            "metadata": metadata,
            "spec": {"spec": {"devices": devices}},
        }
    )


def spec(cluster: Cluster, *, claim: bool) -> dict[str, Any]:
    """A pod that prints which GPUs it sees; by a claim from the template `gpu`, or by the extended resource."""
    container: dict[str, Any] = {
        "name": "main",
        "image": cluster.references["fake-gpu"],
        "command": ["python", "-c", f"{SHOW}; signal.pause()"],
        "securityContext": CONFINED,
        "resources": {"claims": [{"name": "gpu"}]} if claim else {"limits": {"nvidia.com/gpu": 1}},
    }
    claims = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]} if claim else {}
    return {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": [container],
    } | claims


def run(cluster: Cluster, space: str, name: str, *, claim: bool = True) -> None:
    metadata = {"name": name, "namespace": space}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec(cluster, claim=claim)})


def await_ready(cluster: Cluster, space: str, name: str) -> dict[str, Any]:
    """Wait until a pod is Ready, touching it after each failure to prepare its claim.

    One failure is ordinary: a kubelet can be faster than the authorizer that lets it read the claim. It then tries
    again at its next resync only, after 60 to 90 s (kubernetes/kubernetes#139836), or at any change of the pod.
    """
    failures = f"--field-selector=involvedObject.name={name},reason=FailedPrepareDynamicResources"
    touched = 0

    def look() -> dict[str, Any] | None:
        nonlocal touched
        found: dict[str, Any] = cluster.get("pod", name, "-n", space)
        if any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"].get("conditions", ())):
            return found
        failed = sum(event.get("count", 1) for event in cluster.get("events", "-n", space, failures)["items"])
        if failed > touched:
            touched = failed
            LOG.info("measured: %s: preparing the claim failed, failure %d; touched", name, failed)
            cluster.kubectl("annotate", "pod", name, "-n", space, f"touched={failed}", "--overwrite")
        return None

    return dict(until(f"pod {name} is Ready", look))


def await_unschedulable(cluster: Cluster, space: str, name: str) -> str:
    """What the scheduler says of a pod that it cannot place."""
    reason = "jsonpath={.status.conditions[?(@.type=='PodScheduled')].reason}=Unschedulable"
    cluster.kubectl("wait", f"pod/{name}", "-n", space, f"--for={reason}", "--timeout=30s")
    conditions = cluster.get("pod", name, "-n", space)["status"]["conditions"]
    return str(next(condition["message"] for condition in conditions if condition["type"] == "PodScheduled"))


def nodes_of_pods(cluster: Cluster, space: str) -> dict[str, str]:
    """The node of each pod, "" where there is none; nothing before the scheduler has looked at all of them."""
    pods = cluster.get("pods", "-n", space)["items"]
    looked = all(pod["status"].get("conditions") for pod in pods)
    return {pod["metadata"]["name"]: pod["spec"].get("nodeName", "") for pod in pods} if looked else {}


def seen(cluster: Cluster, space: str, name: str) -> str:
    return cluster.kubectl("logs", name, "-n", space).strip()


def slices(cluster: Cluster) -> dict[str, dict[str, Any]]:
    found = cluster.get("resourceslices", "--field-selector=spec.driver=gpu.nvidia.com")["items"]
    return {slice_["spec"]["nodeName"]: slice_ for slice_ in found}


def taints(cluster: Cluster, node: str) -> list[tuple[str, str, str]]:
    """Device, key and value of each taint."""
    devices = slices(cluster)[node]["spec"]["devices"]
    return [(device["name"], t["key"], t.get("value", "")) for device in devices for t in device.get("taints", [])]


def allocatable(cluster: Cluster, node: str) -> str:
    return str(cluster.get("node", node)["status"]["allocatable"].get("nvidia.com/gpu", "0"))


def driver(cluster: Cluster, node: str) -> str:
    """The name of the driver's pod on a node."""
    (found,) = cluster.get("pods", "-n", SYSTEM, f"--field-selector=spec.nodeName={node}")["items"]
    return str(found["metadata"]["name"])


def on_node(cluster: Cluster, node: str, *command: str) -> str:
    """Output of a command in the driver's pod, which sees the node's CDI folder."""
    return cluster.kubectl("exec", driver(cluster, node), "-n", SYSTEM, "--", *command)


def device(cluster: Cluster, node: str, index: int) -> dict[str, Any]:
    """What a device reports, in the file on its node."""
    found = json.loads(on_node(cluster, node, "cat", "/run/verticalmodel-fake-gpu/devices.json"))
    reported: dict[str, Any] = found["devices"][index]
    return reported


def cdi_files(cluster: Cluster, node: str) -> list[str]:
    return on_node(cluster, node, "ls", "-A", "/run/cdi").split()


@contextmanager
def registered_again(cluster: Cluster, *nodes: str) -> Iterator[None]:
    """Wait until the drivers of the nodes have registered at their kubelets once more than before the block.

    A pod that is bound to a node in between is refused for good by the device plugin's way.
    """

    def count(node: str) -> int:
        # A kubelet that is just starting serves no logs: none are counted then.
        said = cluster.kubectl("logs", driver(cluster, node), "-n", SYSTEM, check=False)
        return said.count("registered at the kubelet")

    before = {node: count(node) for node in nodes}
    yield
    for node in nodes:
        until(f"the driver of {node} is registered again", lambda at=node: count(at) > before[at])


def uuid(cluster: Cluster, node: str, index: int) -> str:
    data = cluster.get("configmap", installation.PROFILE, "-n", SYSTEM)["data"]
    return profile.parse(data, node).devices[index].uuid


def health(cluster: Cluster, space: str, name: str) -> list[str]:
    """What the kubelet says of the devices of a pod's container."""
    (status,) = cluster.get("pod", name, "-n", space)["status"]["containerStatuses"]
    found = [resource for entry in status.get("allocatedResourcesStatus", ()) for resource in entry["resources"]]
    return [resource["health"] for resource in found]


def restart_kubelet(cluster: LocalCluster, node: str) -> None:
    """Kill it and start it again; its pods run on."""
    machine = cluster.layout.node(node)
    running = machines.find(machine)
    assert running
    processes.end([machines.components(machine)["kubelet"]])
    with locked(records.lock_path(cluster.name), timeout=60, remove=True) as hold:
        workers.start_kubelet(cluster.layout, running, hold=hold)
