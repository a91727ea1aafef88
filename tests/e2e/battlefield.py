"""Two models on one node and a pod that nothing keeps, with things around them that answer: where attacks are tried."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e.installed import KUBECTL, Cluster
from e2e.outcomes import Outcome
from e2e.surroundings import METADATA, listeners
from testcluster import cluster as clusters
from verticalmodel.plan import MODEL_MOUNT
from verticalmodel.render.pod_template import UNREACHABLE_MESSAGE

Words = tuple[str, ...]
_KERNEL_ATTACKS, _INSIDE = (
    Path(__file__).with_name(name).read_text() for name in ("kernel_attacks.py", "attacks_inside.py")
)
INSIDE = f"""import sys, types
sys.modules["e2e.kernel_attacks"] = kernel = types.ModuleType("e2e.kernel_attacks")
exec({_KERNEL_ATTACKS!r}, vars(kernel))
exec({_INSIDE!r}, {{"__name__": "__main__"}})
"""
"""attacks_inside.py with what it imports, in one piece."""
MODEL = "breast-screening"
LOAD = Path(__file__).with_name("load_inside.py").read_text()


def finished(process: subprocess.Popen[str], timeout: float) -> list[Outcome]:
    """How the attempts of a process ended. Raises AssertionError where the process itself failed: nothing was tried."""
    with process:
        try:
            said, complaint = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 0, complaint
    return [Outcome(**one) for one in json.loads(said)]


@dataclass(frozen=True)
class Container:
    """A container in which commands run with its own credentials, cgroup, capabilities and seccomp filter."""

    cluster: Cluster
    namespace: str
    pod: str
    name: str

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """Run a script of ours there, by the image's Python."""
        command = [KUBECTL, "--kubeconfig", self.cluster.kubeconfig, "exec", "-i", self.pod, "-n", self.namespace]
        return _started([*command, "-c", self.name, "--", "python", "-", *arguments], script)

    def attempts(self, attacks: Sequence[Words], timeout: float = 60) -> list[Outcome]:
        """Try attacks there, all at once."""
        return finished(self.start(INSIDE, json.dumps(attacks)), timeout)

    def attempt(self, *attack: str, timeout: float = 60) -> Outcome:
        """Try one attack there."""
        [outcome] = self.attempts([attack], timeout)
        return outcome


@dataclass(frozen=True)
class Served:
    """A served model and its only pod."""

    cluster: Cluster
    namespace: str

    @property
    def pod(self) -> dict[str, Any]:
        """The live pod, as the API server shows it; the newest where one is on its way out."""
        labels = f"verticalmodel.io/model={MODEL}"
        found = self.cluster.get("pods", "-n", self.namespace, "-l", labels)["items"]
        live = [
            one for one in found if "deletionTimestamp" not in one["metadata"] and one["status"]["phase"] == "Running"
        ]
        newest: dict[str, Any] = max(live, key=lambda one: one["metadata"]["creationTimestamp"])
        return newest

    @property
    def server(self) -> Container:
        return Container(self.cluster, self.namespace, self.pod["metadata"]["name"], "server")

    @property
    def address(self) -> str:
        address: str = self.pod["status"]["podIP"]
        return address

    def restarts(self) -> dict[str, int]:
        """Restarts of each container that serves."""
        status = self.pod["status"]
        listed = [*status["containerStatuses"], *status["initContainerStatuses"]]
        return {one["name"]: one["restartCount"] for one in listed if one["name"] in ("server", "guard")}

    def ready(self, timeout: float = 180) -> None:
        self.cluster.await_condition(self.namespace, MODEL, "Ready", "True", timeout=timeout)


@dataclass(frozen=True)
class Battlefield:
    """Everything on one node."""

    cluster: Cluster
    node: str
    target: Served
    neighbour: Served
    free: Container
    """Privileged, root, in the node's process namespace and under no policy: the control of every attempt."""
    addresses: dict[str, str]
    """What attacks are aimed at, by name."""

    def attempt_on_node(self, *attack: str, timeout: float = 60) -> Outcome:
        """Try an attack on the node itself, beside its pods."""
        local = clusters.Cluster.find(self.cluster.name)
        command = local.enter(self.node, [sys.executable, "-I", "-", json.dumps([attack])], mounts=False)
        [outcome] = finished(_started(command, INSIDE), timeout)
        return outcome

    def load(self, seconds: float) -> subprocess.Popen[str]:
        """Requests to the neighbour, one at a time with a new connection each; prints how they fared."""
        return self.free.start(LOAD, self.neighbour.address, MODEL, str(seconds))


def _started(command: Sequence[str | Path], script: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(script)
    process.stdin.close()
    process.stdin = None
    return process


@contextmanager
def battlefield(cluster: Cluster) -> Iterator[Battlefield]:
    """Two served models and the free pod, all on one node."""
    node = cluster.get("nodes")["items"][0]["metadata"]["name"]
    spaces = {role: f"sandbox-{os.getpid()}-{role}" for role in ("target", "neighbour", "free")}
    try:
        for role, name in spaces.items():
            labels = {} if role == "free" else {"pod-security.kubernetes.io/enforce": "restricted"}
            cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        cluster.apply(_free_pod(cluster, spaces["free"], node))
        for role in ("target", "neighbour"):
            _deliver(cluster, spaces[role], node)
        for role in ("target", "neighbour"):
            _serve(cluster, spaces[role], node, open_to_all=role == "neighbour")
        target, neighbour = Served(cluster, spaces["target"]), Served(cluster, spaces["neighbour"])
        for each in (target, neighbour):
            each.ready()
        cluster.kubectl("wait", "pod/free", "-n", spaces["free"], "--for=condition=Ready", "--timeout=60s")
        free = Container(cluster, spaces["free"], "free", "free")
        with listeners(cluster, node) as outside:
            yield Battlefield(cluster, node, target, neighbour, free, _addresses(cluster, node, neighbour) | outside)
    finally:
        cluster.kubectl("delete", "namespace", *spaces.values(), "--wait=false", "--ignore-not-found")


def _addresses(cluster: Cluster, node: str, neighbour: Served) -> dict[str, str]:
    local = clusters.Cluster.find(cluster.name).addresses
    service = cluster.get("service", MODEL, "-n", neighbour.namespace)["spec"]["clusterIP"]
    return {
        "api": cluster.get("service", "kubernetes", "-n", "default")["spec"]["clusterIP"],
        "control-plane": local["control-plane"],
        "node": local[node],
        "other-node": next(address for name, address in local.items() if name not in (node, "control-plane")),
        "dns": cluster.get("service", "-n", "kube-system", "-l", "k8s-app=kube-dns")["items"][0]["spec"]["clusterIP"],
        "neighbour": neighbour.address,
        "neighbour-service": service,
        "metadata": METADATA,
    }


def _deliver(cluster: Cluster, namespace: str, node: str) -> None:
    """The sample's file into a claim on the node."""
    for document in yaml.safe_load_all(cluster.sample("breast-screening-claim.yaml")):
        if document["kind"] == "Job":
            document["spec"]["template"]["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
        cluster.apply(json.dumps(document), "-n", namespace)
    cluster.kubectl("wait", f"job/{MODEL}-model", "-n", namespace, "--for=condition=Complete", "--timeout=120s")


def _serve(cluster: Cluster, namespace: str, node: str, *, open_to_all: bool) -> None:
    model = yaml.safe_load(cluster.sample("breast-screening.yaml"))
    model["spec"]["pod"] = {"nodeSelector": {"kubernetes.io/hostname": node}}
    if open_to_all:
        # Only the intruder's own policy stands between it and this model.
        model["spec"]["access"] = {"namespaceSelector": {}}
    cluster.apply(json.dumps(model), "-n", namespace)


def _free_pod(cluster: Cluster, namespace: str, node: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "free", "namespace": namespace},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "hostPID": True,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "free",
                    "image": cluster.references["serving"],
                    "command": ["python", "-c", "import signal; signal.pause()"],
                    "securityContext": {"privileged": True, "runAsUser": 0},
                    # A share of a busy CPU: without one it gets next to nothing, and would control nothing.
                    "resources": {"requests": {"cpu": "100m"}},
                    "terminationMessagePath": UNREACHABLE_MESSAGE,
                    "volumeMounts": [{"name": "models", "mountPath": MODEL_MOUNT}],
                }
            ],
            "volumes": [{"name": "models", "emptyDir": {}}],
        },
    }
