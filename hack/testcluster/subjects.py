"""The pods that a new cluster is proven with, and ways to look at them from where they are."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from testcluster.api import Api, Object, collection
from testcluster.cgroups import Hierarchies
from testcluster.errors import ClusterError, TimedOutError
from testcluster.layout import Machine
from testcluster.processes import run

NAMESPACE: Final = "verticalmodel-test-checks"
ACCOUNT: Final = "checks"
METRICS_ROLE: Final = "verticalmodel-test:checks"
PORT: Final = 8080
SERVICE_PORT: Final = 80
MEMORY_LIMIT: Final = 64 * 1024 * 1024
CPU_LIMIT_MILLI: Final = 500
MEMORY_MOUNT: Final = "/memory"
ACCOUNT_MOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
PODS_SECONDS: Final = 120.0
CONNECT_SECONDS: Final = 10.0
_CONNECT: Final = """
import socket, sys
with socket.socket() as client:
    client.settimeout(1)
    print(client.connect_ex((sys.argv[1], int(sys.argv[2]))))
"""

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """A running pod: its address, and a process of it as this machine sees it."""

    name: str
    node: str
    address: str
    pid: int
    cgroup: str
    """The pod's cgroup, relative to a hierarchy's mount point."""

    def run(self, *argv: str, timeout: float = 5.0) -> str:
        """Run a busybox applet in the pod's network and with the pod's files. Raises CommandError, TimedOutError."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--net", "--", "/bin/busybox"]
        return run([*enter, *argv], timeout=timeout)

    def connect(self, address: str, port: int) -> str:
        """How a TCP connection from the pod's network fares: `taken`, `refused`, or `no answer` within a second."""
        return connect(["nsenter", "--target", str(self.pid), "--net", "--"], address, port)


def connect(enter: list[str], address: str, port: int) -> str:
    """How a TCP connection fares from where the command prefix leads: `taken`, `refused` or `no answer`.

    `refused` is an answer: by a host without a listener, or by a firewall that rejects.
    """
    outcome = run([*enter, sys.executable, "-I", "-S", "-c", _CONNECT, address, str(port)], timeout=CONNECT_SECONDS)
    return {0: "taken", errno.ECONNREFUSED: "refused"}.get(int(outcome), "no answer")


def manifests(nodes: tuple[Machine, ...]) -> list[Manifest]:
    """A server on each node, a client that is let in and one that is not, and what they need."""
    servers = [_pod(f"server-{node.name}", {"role": "server"}, node=node.name) for node in nodes]
    rules = [{"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]}]
    rbac = "rbac.authorization.k8s.io"
    account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": METRICS_ROLE}
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        },
        # An account of our own: `default` appears a moment after the namespace, and pods made before are refused.
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": NAMESPACE}},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": METRICS_ROLE}, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": METRICS_ROLE},
            "roleRef": role,
            "subjects": [account],
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "server", "namespace": NAMESPACE},
            "spec": {"selector": {"role": "server"}, "ports": [{"port": SERVICE_PORT, "targetPort": PORT}]},
        },
        *servers,
        _pod("allowed", {"role": "client", "access": "allowed"}),
        _pod("stranger", {"role": "client", "access": "none"}, host_users=False),
    ]


def policy() -> Manifest:
    """Servers take connections from the allowed client only."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "allowed-only", "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {"role": "server"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"access": "allowed"}}}]}],
        },
    }


def await_absence(api: Api) -> None:
    """Wait until the namespace of an earlier proof is gone: nothing new can be made in it. Raises TimedOutError."""

    def look(namespaces: list[Object]) -> bool | None:
        return None if any(n["metadata"]["name"] == NAMESPACE for n in namespaces) else True

    api.wait(collection("Namespace"), look, timeout=PODS_SECONDS, what=f"namespace {NAMESPACE} of the last proof gone")


def await_subjects(api: Api, machines: tuple[Machine, ...], count: int) -> dict[str, Subject]:
    """Wait until that many pods run; returns them by name. Raises TimedOutError."""
    groups = Hierarchies.here()
    by_name = {machine.name: machine for machine in machines}

    def look(pods: list[Object]) -> dict[str, Subject] | None:
        if sum(_runs(pod) for pod in pods) < count:
            return None
        return {pod["metadata"]["name"]: _subject(pod, by_name[pod["spec"]["nodeName"]], groups) for pod in pods}

    try:
        return api.wait(collection("Pod", NAMESPACE), look, timeout=PODS_SECONDS, what=f"{count} check pods running")
    except TimedOutError as late:
        warnings = api.get(f"/api/v1/namespaces/{NAMESPACE}/events", fieldSelector="type=Warning")["items"]
        said = {event["involvedObject"]["name"]: event.get("message", "") for event in warnings}
        raise TimedOutError("; ".join([str(late), *(f"{name}: {words}" for name, words in said.items())])) from late


def remove(api: Api) -> None:
    """Delete the namespace and the cluster-wide objects; the namespace is gone some seconds later."""
    api.delete(f"{collection('Namespace')}/{NAMESPACE}")
    api.delete(f"{collection('ClusterRoleBinding')}/{METRICS_ROLE}")
    api.delete(f"{collection('ClusterRole')}/{METRICS_ROLE}")


def _runs(pod: Object) -> bool:
    status = pod.get("status", {})
    containers = status.get("containerStatuses", [])
    return bool(status.get("podIP")) and bool(containers) and all("running" in c["state"] for c in containers)


def _subject(pod: Object, machine: Machine, groups: Hierarchies) -> Subject:
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    folder = next(_container_folders(groups.tracking, machine, pod["metadata"]["uid"], container), None)
    if folder is None:
        raise ClusterError(f"pod {pod['metadata']['name']}: its cgroup is not below {machine.cgroup}/kubepods")
    pid = int((folder / "cgroup.procs").read_text(encoding="ascii").split()[0])
    group = str(folder.parent.relative_to(groups.tracking))
    return Subject(pod["metadata"]["name"], machine.name, pod["status"]["podIP"], pid, group)


def _container_folders(mount: Path, machine: Machine, uid: str, container: str) -> Iterator[Path]:
    pods = mount / machine.cgroup.lstrip("/") / "kubepods"
    for pattern in (f"pod{uid}/{container}", f"*/pod{uid}/{container}"):
        yield from pods.glob(pattern)


def _pod(name: str, labels: dict[str, str], *, node: str = "", host_users: bool = True) -> Manifest:
    spec = {
        "serviceAccountName": ACCOUNT,
        "terminationGracePeriodSeconds": 0,
        "enableServiceLinks": False,
        "hostUsers": host_users,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "main",
                "image": "verticalmodel-test/busybox:1",
                "imagePullPolicy": "Never",
                "command": ["/bin/sh", "-c", f"echo {name} started; exec httpd -f -p {PORT} -h /tmp"],
                "resources": {"limits": {"memory": str(MEMORY_LIMIT), "cpu": f"{CPU_LIMIT_MILLI}m"}},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "memory", "mountPath": MEMORY_MOUNT}],
            },
        ],
        "volumes": [{"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
    }
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": spec,
    }
