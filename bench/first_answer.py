"""P9: pod creation -> first good answer of a model, small and large, plain and sealed, on a one-node test cluster.

The beginning is the moment in which a watch shows the pod, the end the first good answer that a client pod gets through
the Service: both on the machine's one monotonic clock, as are the moments in which the watch shows the phases between.
The images are on the node and the parameters in its page cache: these are warm starts.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from controlplane import PREFIX, remove_orphans
from figure import progress, report
from installation import KUBECTL, ROOT, built_images, install, kubectl, with_images
from large_model import WIDTH, write
from testcluster import Cluster, Shape
from verticalmodel.seal.progress import Progress
from verticalmodel.seal.sealing import files_of, seal
from verticalmodel.seal.wrapping import LocalKey

NAMESPACE = "bench"
KEY = bytes(range(32))
SMALL, LARGE = "breast-screening", "large"
WIDTHS = {SMALL: ("features", 30), LARGE: ("x", WIDTH)}
"""Name and length of each model's input."""
USER = 65532
_ASK = """
import http.client, json, os, ssl, sys, time
host, path, body = os.environ["HOST"], os.environ["URL"], sys.stdin.read()
context = ssl.create_default_context(cafile="/ca/ca.crt")
while True:
    try:
        connection = http.client.HTTPSConnection(host, context=context, timeout=10)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        if connection.getresponse().status == 200:
            break
    except OSError:
        time.sleep(0.02)
print(time.monotonic())
"""


@dataclass
class Timeline:
    """When a watch first showed what of the model's first pod; seconds on this machine's monotonic clock."""

    seen: dict[str, float] = field(default_factory=dict)

    def note(self, pod: Mapping[str, Any]) -> None:
        status = pod.get("status", {})
        conditions = {one["type"] for one in status.get("conditions", ()) if one["status"] == "True"}
        containers = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
        states = {one["name"]: one.get("state", {}) for one in containers}
        reached = {
            "created": True,
            "scheduled": "PodScheduled" in conditions,
            "parameters": "terminated" in states.get("unseal", {}),
            "serverRuns": "running" in states.get("server", {}),
            "ready": "Ready" in conditions,
        }
        now = time.monotonic()
        self.seen |= {phase: now for phase, true in reached.items() if true and phase not in self.seen}


@contextmanager
def watched(kubeconfig: Path, model: str) -> Iterator[Timeline]:
    """The timeline of a model's pods, written while the block runs."""
    timeline = Timeline()
    words = ("get", "pods", "-n", NAMESPACE, "-l", f"verticalmodel.io/model={model}", "--watch", "-o", "json")
    command = [str(KUBECTL), "--kubeconfig", str(kubeconfig), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None  # noqa: S101 (a pipe was asked for)
        reader = threading.Thread(target=_read, args=(process.stdout, timeline.note))
        reader.start()
        try:
            yield timeline
        finally:
            process.terminate()
            reader.join()


def _read(lines: Iterator[str], note: Callable[[Mapping[str, Any]], None]) -> None:
    """Objects of `kubectl get --watch -o json`: each ends with a brace in the first column."""
    text = ""
    for line in lines:
        text += line
        if line.rstrip() == "}":
            note(json.loads(text))
            text = ""


@dataclass(frozen=True)
class Bench:
    """A cluster with the operator, and a claim with all parameters in it."""

    kubeconfig: Path

    def apply(self, *objects: dict[str, Any]) -> None:
        kubectl(self.kubeconfig, "apply", "-n", NAMESPACE, "-f", "-", stdin=yaml.safe_dump_all(objects))

    def start(self, model: str, source: dict[str, Any], memory: str) -> dict[str, float]:
        """Seconds from the pod's creation to each phase and to the first good answer, of one start."""
        name, length = WIDTHS[model]
        tensor = {"name": name, "datatype": "FP32", "shape": [1, length], "data": [0.5] * length}
        spec = {"runtime": {"name": "oip-onnx"}, "source": source, "resources": {"cpu": "1", "memory": memory}}
        body = {"apiVersion": "verticalmodel.io/v1alpha1", "kind": "VerticalModel", "metadata": {"name": model}}
        with watched(self.kubeconfig, model) as timeline, self._client(model, json.dumps({"inputs": [tensor]})) as said:
            self.apply({**body, "spec": spec})
            answered = float(said())
            # The watch may show it a little later than the client has used it.
            self._wait("pod", "-l", f"verticalmodel.io/model={model}", "--for=condition=Ready", "--timeout=60s")
        kubectl(self.kubeconfig, "delete", "vmodel", model, "-n", NAMESPACE)
        self._wait("pod", "-l", f"verticalmodel.io/model={model}", "--for=delete", "--timeout=90s")
        created = timeline.seen.pop("created")
        phases = {phase: moment - created for phase, moment in timeline.seen.items()}
        return {**phases, "answer": answered - created}

    @contextmanager
    def _client(self, model: str, body: str) -> Iterator[Callable[[], str]]:
        where = (f"HOST={model}.{NAMESPACE}.svc", f"URL=/v2/models/{model}/infer")
        words = ("exec", "-i", "client", "-n", NAMESPACE, "--", "env", *where, "python", "-c", _ASK)
        command = [str(KUBECTL), "--kubeconfig", str(self.kubeconfig), *words]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield lambda: process.communicate(body, timeout=240)[0]
            finally:
                process.kill()

    def _wait(self, *words: str) -> None:
        kubectl(self.kubeconfig, "wait", "-n", NAMESPACE, *words)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="starts per figure (default: 3)")
    parser.add_argument("--mebibytes", type=int, default=512, help="size of the large model (default: 512)")
    arguments = parser.parse_args()
    with _bench(arguments.mebibytes) as bench:
        # ONNX Runtime holds the parameters twice while it loads them, and the volume with them is charged too.
        for model, file, memory in ((SMALL, "small", "512Mi"), (LARGE, "large", f"{4 * arguments.mebibytes}Mi")):
            for form, source in (
                ("plain", {"uri": f"pvc://models/{file}/model.onnx"}),
                ("sealed", {"uri": f"pvc://models/{file}-sealed", "key": {"name": "model-key"}}),
            ):
                figures(bench, f"P9-{file}-{form}", (model, source, memory), arguments.runs)
    return 0


def figures(bench: Bench, figure: str, start: tuple[str, dict[str, Any], str], runs: int) -> None:
    """One figure, and a line for each of its phases."""
    timelines = []
    for number in range(runs):
        progress(f"{figure}, start {number + 1} of {runs}")
        timelines.append(bench.start(*start))
    report(figure, "s, pod created -> first good answer", [one["answer"] for one in timelines])
    for phase in ("scheduled", "parameters", "serverRuns", "ready"):
        report(f"{figure}-{phase}", "s, pod created -> seen", [one[phase] for one in timelines])


@contextmanager
def _bench(mebibytes: int) -> Iterator[Bench]:
    remove_orphans()
    images = built_images()
    references = {name: image["reference"] for name, image in images.items()}
    cluster = Cluster.up(f"{PREFIX}{os.getpid()}", Shape(nodes=1), report=progress)
    try:
        cluster.load_image(*(Path(image["archive"]) for image in images.values()))
        with contextlib.redirect_stdout(sys.stderr):
            install(cluster.kubeconfig, references)
        bench = Bench(cluster.kubeconfig)
        restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
        kubectl(cluster.kubeconfig, "create", "namespace", NAMESPACE)
        kubectl(cluster.kubeconfig, "label", "namespace", NAMESPACE, *(f"{k}={v}" for k, v in restricted.items()))
        _client_pod(bench, references)
        _parameters(bench, cluster, references, mebibytes)
        yield bench
    finally:
        cluster.down()


def _client_pod(bench: Bench, references: Mapping[str, str]) -> None:
    """The sample's client as a pod that waits for what to ask."""
    trust = json.loads(
        kubectl(bench.kubeconfig, "get", "configmap", "verticalmodel-ca", "-n", "verticalmodel-system", "-o", "json")
    )
    [job] = yaml.safe_load_all(with_images((ROOT / "manifests/samples/client.yaml").read_text(), references))
    spec = job["spec"]["template"]["spec"] | {"terminationGracePeriodSeconds": 0}
    spec["containers"][0] |= {"command": ["python", "-c", "import signal; signal.pause()"], "args": []}
    bench.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "verticalmodel-ca"}, "data": trust["data"]},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": spec},
        {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "model-key"},
            "data": {"key": base64.b64encode(KEY).decode()},
        },
    )  # fmt: skip
    kubectl(bench.kubeconfig, "wait", "pod/client", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=60s")


def _parameters(bench: Bench, cluster: Cluster, references: Mapping[str, str], mebibytes: int) -> None:
    """The claim, filled by the sample's Job with the small model and then, on the node's disk, with the others."""
    claim = with_images((ROOT / "manifests/samples/breast-screening-claim.yaml").read_text(), references)
    kubectl(bench.kubeconfig, "apply", "-n", NAMESPACE, "-f", "-", stdin=claim)
    kubectl(bench.kubeconfig, "wait", f"job/{SMALL}-model", "-n", NAMESPACE, "--for=condition=Complete", "--timeout=2m")
    [volume] = json.loads(kubectl(bench.kubeconfig, "get", "pv", "-o", "json"))["items"]
    place = volume["spec"].get("hostPath") or volume["spec"]["local"]
    [node] = cluster.layout.nodes
    disk = node.var_lib / Path(place["path"]).relative_to("/var/lib")
    (disk / SMALL).rename(disk / "small")
    (disk / "large").mkdir()
    write(disk / "large/model.onnx", mebibytes)
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("small", "large"):
            seal(files_of(disk / name / "model.onnx"), Path(scratch) / name, LocalKey(KEY), Progress(), processors=2)
            shutil.move(Path(scratch) / name, disk / f"{name}-sealed")
    for path in disk.rglob("*"):
        os.chown(path, USER, USER)


if __name__ == "__main__":
    sys.exit(main())
