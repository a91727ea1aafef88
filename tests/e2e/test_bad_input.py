"""Servers that never come up, or answer and do not infer: a reason of Ready each, and the way back serves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from e2e.installed import Cluster
from installation import ROOT, with_images
from recording import BadInput

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

GOOD = "pvc://models/breast-screening/model.onnx"
# Health and metadata as the real one has them; what is asked of it is refused.
_POLITE = """
import http.server, json, os
metadata = {"name": os.environ["MODEL_NAME"], "inputs": [{"name": "x", "datatype": "FP32", "shape": [1]}]}
class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.answer(200, metadata)
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer(500, {"error": "no"})
    def answer(self, status, said):
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["SERVER_PORT"])), Server).serve_forever()
"""


@dataclass(frozen=True)
class Case:
    """What is tried, and the reason of Ready=False that it must produce."""

    given: str
    reason: str
    """Of Ready, or of the condition that is named."""
    runtime: dict[str, Any] | None = None
    """Fields of the ModelRuntime that are bad."""
    spec: dict[str, Any] | None = None
    """Fields of the VerticalModel that are bad."""
    names: tuple[str, ...] = ()
    """What the message must say."""
    condition: tuple[str, str] = ("Ready", "False")


CASES = {
    "image": Case(
        "a ModelRuntime whose spec.image is localhost/verticalmodel/nowhere:1",
        "ImageNotPulled",
        runtime={"image": "localhost/verticalmodel/nowhere:1"},
        names=("localhost/verticalmodel/nowhere:1", "spec.image"),
    ),
    "server-exits": Case(
        "a server that exits with 3",
        "ContainerExited",
        runtime={"command": ["python", "-c", "raise SystemExit(3)"], "args": []},
        names=("container server", "exit code 3"),
    ),
    "server-hangs": Case(
        "a server that never listens, spec.startup.budgetSeconds: 15",
        "StartOverBudget",
        runtime={"command": ["python", "-c", "import time; time.sleep(3600)"], "args": []},
        spec={"startup": {"budgetSeconds": 15}},
        names=("15 s",),
        condition=("Progressing", "False"),
    ),
    "no-inference": Case(
        "a server that is healthy and answers 500 to inference",
        "CanaryFailed",
        runtime={"command": ["python", "-c", _POLITE], "args": []},
        names=("canary answer", "bad: 500"),
    ),
    "source-too-large": Case(
        "a file of 400 MiB, spec.resources.memory: 320Mi",
        "TooLarge",
        spec={"source": {"uri": "pvc://models/large.onnx"}},
        names=("spec.resources.memory",),
    ),
}


@dataclass(frozen=True)
class Ward:
    """A namespace in which all cases are tried at once."""

    cluster: Cluster
    namespace: str

    def runtime(self, name: str, **changed: Any) -> None:
        text = with_images((ROOT / "manifests/runtimes/oip-onnx.yaml").read_text(), self.cluster.references)
        runtime = yaml.safe_load(text)
        runtime["metadata"]["name"] = f"{self.namespace}-{name}"
        # All pods share the node of the claim.
        runtime["spec"] |= {"guard": {"cpu": "50m", "memory": "64Mi"}, **changed}
        self.cluster.apply(runtime, "--server-side", "--force-conflicts")

    def serve(self, name: str, runtime: str, **changed: Any) -> None:
        spec = {
            "runtime": {"name": f"{self.namespace}-{runtime}"},
            "source": {"uri": GOOD},
            "resources": {"cpu": "200m", "memory": "320Mi"},
            "rollout": {"surge": False},
        }
        body = {
            "apiVersion": "verticalmodel.io/v1alpha1",
            "kind": "VerticalModel",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {**spec, **changed},
        }
        self.cluster.apply(body)


@pytest.fixture(scope="module")
def ward(cluster: Cluster) -> Iterator[Ward]:
    """Every case begins here, so that they wait beside each other."""
    made = Ward(cluster, f"bad-{os.getpid()}")
    cluster.restricted_namespace(made.namespace)
    cluster.deliver_sample(made.namespace)
    large_file(cluster, made.namespace)
    made.runtime("good")
    for name, case in CASES.items():
        if case.runtime is not None:
            made.runtime(name, **case.runtime)
        made.serve(name, name if case.runtime is not None else "good", **(case.spec or {}))
    yield made
    cluster.kubectl("delete", "namespace", made.namespace, "--wait=false")
    runtimes = [f"{made.namespace}-{name}" for name in ("good", *CASES)]
    cluster.kubectl("delete", "modelruntimes", *runtimes, "--ignore-not-found")


def large_file(cluster: Cluster, namespace: str) -> None:
    """A file with 400 MiB of nothing, which takes no room on the disk."""
    [_, job] = yaml.safe_load_all(cluster.sample("breast-screening-claim.yaml"))
    job["metadata"]["name"] = "large"
    [container] = job["spec"]["template"]["spec"]["containers"]
    container["image"] = cluster.references["operator"]
    container["command"] = ["python", "-c", "open('/claim/large.onnx', 'wb').truncate(400 << 20)"]
    cluster.apply(job, "-n", namespace)
    cluster.kubectl("wait", "job/large", "-n", namespace, "--for=condition=Complete", "--timeout=60s")


@pytest.mark.parametrize("name", CASES)
def test_a_server_that_does_not_serve_is_a_reason_and_the_way_back_serves(
    ward: Ward, name: str, bad_input: BadInput
) -> None:
    case = CASES[name]
    kind, status = case.condition
    said = ward.cluster.await_reason(ward.namespace, name, kind, case.reason)
    assert said["status"] == status
    assert [word for word in case.names if word not in said["message"]] == [], said["message"]
    ward.serve(name, "good")
    ended = ward.cluster.await_condition(ward.namespace, name, "Ready", "True", timeout=180)
    ward.cluster.kubectl("delete", "vmodel", name, "-n", ward.namespace, "--wait=false")
    bad_input.tried(name, case.given, produced=said, way_back="a runtime and a source that are good", ended=ended)
