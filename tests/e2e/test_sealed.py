"""Sealed parameters in a real cluster: served from memory, refused with a reason of their own, on no disk in plain."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.installed import Cluster, until, vmodel
from installation import ROOT
from recording import BadInput
from testcluster import cluster as clusters

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

FILE = "breast-screening/model.onnx"
MARK = b"verticalmodel-e2e-" + os.urandom(16).hex().encode()
UNPACK = "import sys, tarfile; tarfile.open(fileobj=sys.stdin.buffer, mode='r|').extractall('/claim')"


@dataclass(frozen=True)
class Vault:
    """A namespace whose claim `models` holds the sample model, plain and sealed, and a pod that reaches into it."""

    cluster: Cluster
    namespace: str
    folder: Path
    """This side's copies: model.onnx, model.key, other.key, sealed/, older/."""
    digest: str
    older: str

    def put(self, name: str, source: Path) -> None:
        """Copy a file or folder into the claim."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(source, arcname=name)
        command = [ROOT / ".venv/bin/kubectl", "--kubeconfig", self.cluster.kubeconfig, "exec", "-i", "hands"]
        words = ["-n", self.namespace, "--", "python", "-c", UNPACK]
        subprocess.run([*command, *words], input=packed.getvalue(), check=True, capture_output=True)

    def serve(self, name: str, **spec: Any) -> None:
        """Apply the sample of a sealed model without a digest, changed by field; None leaves a field of source out."""
        body = yaml.safe_load(self.cluster.sample("breast-screening-sealed.yaml"))
        source = {**body["spec"]["source"], "digest": None, **spec.pop("source", {})}
        body["metadata"] = {"name": name, "namespace": self.namespace}
        body["spec"] |= {"resources": {"cpu": "100m", "memory": "320Mi"}, **spec}
        body["spec"]["source"] = {key: value for key, value in source.items() if value is not None}
        self.cluster.apply(body)

    def drop(self, name: str) -> None:
        self.cluster.kubectl("delete", "vmodel", name, "-n", self.namespace, "--wait=false")


def hands(cluster: Cluster, namespace: str) -> dict[str, Any]:
    confined = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "hands", "namespace": namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "hands",
                    "image": cluster.references["operator"],
                    "command": ["python", "-c", "import signal; signal.pause()"],
                    "securityContext": confined,
                    "volumeMounts": [{"name": "claim", "mountPath": "/claim"}],
                }
            ],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": "models"}}],
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def vault(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    name, folder = f"sealed-{os.getpid()}", tmp_path_factory.mktemp("vault")
    cluster.restricted_namespace(name)
    cluster.deliver_sample(name)
    cluster.apply(hands(cluster, name))
    cluster.kubectl("wait", "pod/hands", "-n", name, "--for=condition=Ready", "--timeout=60s")
    read = f"import base64; print(base64.b64encode(open('/claim/{FILE}', 'rb').read()).decode())"
    model = base64.b64decode(cluster.kubectl("exec", "hands", "-n", name, "--", "python", "-c", read))
    # One more doc_string (ModelProto, field 6): bytes that are in no image layer and in no other file.
    (folder / "model.onnx").write_bytes(model + b"\x32" + bytes([len(MARK)]) + MARK)
    for key in ("model", "other"):
        vmodel("keygen", folder / f"{key}.key")
    digests = {}
    for artifact in ("older", "sealed"):
        vmodel("seal", folder / "model.onnx", "--key", folder / "model.key", "-o", folder / artifact)
        digests[artifact] = json.loads(vmodel("inspect", folder / artifact, "--json"))["digest"]
    made = Vault(cluster, name, folder, digests["sealed"], digests["older"])
    for artifact in ("older", "sealed"):
        made.put(artifact, folder / artifact)
    for key in ("model", "other"):
        secret = f"{key}-key"
        cluster.kubectl("create", "secret", "generic", secret, "-n", name, f"--from-file=key={folder / f'{key}.key'}")
    yield made
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_a_sealed_model_with_its_key_and_its_digest_serves(vault: Vault) -> None:
    vault.serve("sealed", source={"digest": vault.digest})
    vault.cluster.await_condition(vault.namespace, "sealed", "Ready", "True", timeout=180)
    [pod] = vault.cluster.get("pods", "-n", vault.namespace, "-l", "verticalmodel.io/model=sealed")["items"]
    [said] = [one for one in pod["status"]["initContainerStatuses"] if one["name"] == "unseal"]
    report = json.loads(said["state"]["terminated"]["message"])
    assert (report["reason"], report["sealed"], report["digest"]) == ("Unsealed", True, vault.digest)
    assert report["bytes"] == (vault.folder / "model.onnx").stat().st_size
    clause = vault.cluster.condition(vault.namespace, "sealed", "ParametersEncrypted")
    assert (clause["status"], clause["reason"]) == ("Unknown", "NotMeasured")
    assert clause["message"].startswith("1 of 1 pods were given parameters from a sealed artifact")


def tampered(vault: Vault) -> Path:
    """A copy of the sealed artifact with one bit of its ciphertext flipped."""
    target = vault.folder / "tampered"
    subprocess.run(["cp", "-r", vault.folder / "sealed", target], check=True)
    blob = max((path for path in target.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(blob.read_bytes())
    content[-100] ^= 1
    blob.write_bytes(content)
    return target


def truncated(vault: Vault) -> Path:
    target = vault.folder / "truncated"
    subprocess.run(["cp", "-r", vault.folder / "sealed", target], check=True)
    blob = max((path for path in target.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    blob.write_bytes(blob.read_bytes()[:-1000])
    return target


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no-such-key": ({"key": {"name": "nowhere"}}, "KeyMissing"),
    "another-key": ({"key": {"name": "other-key"}}, "KeyWrong"),
    "sealed-without-key": ({"key": None}, "KeyMissing"),
    "plain-with-key": ({"uri": f"pvc://models/{FILE}"}, "NotSealed"),
    "rolled-back": ({"uri": "pvc://models/older", "digest": "pinned"}, "DigestMismatch"),
    "tampered": ({"uri": "pvc://models/tampered"}, "Corrupted"),
    "truncated": ({"uri": "pvc://models/truncated"}, "Truncated"),
    "not-there": ({"uri": "pvc://models/nowhere"}, "SourceNotFound"),
}


RECORDED = {
    "no-such-key": "missing-secret",
    "another-key": "wrong-key",
    "tampered": "tampered-artifact",
    "truncated": "truncated-artifact",
}
"""Of the refusals, those of the table of bad input."""


@pytest.mark.parametrize("case", REFUSALS)
def test_what_must_not_be_served_is_refused_before_the_server_starts(
    vault: Vault, case: str, bad_input: BadInput
) -> None:
    source, reason = REFUSALS[case]
    if case in ("tampered", "truncated"):
        vault.put(case, {"tampered": tampered, "truncated": truncated}[case](vault))
    vault.serve(case, source={**source, **({"digest": vault.digest} if "digest" in source else {})})

    def refused() -> bool:
        return vault.cluster.condition(vault.namespace, case, "Ready").get("reason") == reason

    until(f"{case}: Ready says {reason}", refused, timeout=120)
    [pod] = vault.cluster.get("pods", "-n", vault.namespace, "-l", f"verticalmodel.io/model={case}")["items"]
    assert all("running" not in one["state"] and one["restartCount"] == 0 for one in pod["status"]["containerStatuses"])
    said = vault.cluster.condition(vault.namespace, case, "Ready")
    assert base64.b64encode((vault.folder / "model.key").read_bytes()).decode() not in said["message"]
    if case in RECORDED:
        vault.serve(case)
        ended = vault.cluster.await_condition(vault.namespace, case, "Ready", "True", timeout=180)
        bad_input.tried(
            RECORDED[case], str(source), produced=said, way_back="the sealed artifact and its key", ended=ended
        )
    vault.drop(case)


def test_neither_the_plaintext_nor_the_key_of_a_sealed_model_is_on_a_nodes_disk(vault: Vault) -> None:
    """Searched for by bytes that only they have; the control: copies of both, planted in the claim, are found."""
    key = (vault.folder / "model.key").read_bytes()
    secrets = (MARK, key, base64.b64encode(key), key.hex().encode())
    vault.serve("secret", source={"digest": vault.digest})
    vault.cluster.await_condition(vault.namespace, "secret", "Ready", "True", timeout=180)
    disks = [node.directory for node in clusters.Cluster.find(vault.cluster.name).layout.nodes]
    assert [path for disk in disks for path in holding(disk, *secrets)] == []
    [pod] = vault.cluster.get("pods", "-n", vault.namespace, "-l", "verticalmodel.io/model=secret")["items"]
    crash(pod["metadata"]["uid"])
    until("the server restarted", lambda: restarts(vault, pod["metadata"]["name"]) > 0, timeout=60)
    assert [path for disk in disks for path in holding(disk, *secrets)] == [], "after a crash"
    vault.put("planted/model.onnx", vault.folder / "model.onnx")
    vault.put("planted/model.key", vault.folder / "model.key")
    found = [path for disk in disks for path in holding(disk, *secrets)]
    assert {path.parts[-2:] for path in found} == {("planted", "model.onnx"), ("planted", "model.key")}, "the control"
    vault.drop("secret")


def crash(pod_uid: str) -> None:
    """Kill the pod's server at once; as a container's first process it ignores every other signal."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            mine = (
                pod_uid in (entry / "cgroup").read_text()
                and b"verticalmodel.serving" in (entry / "cmdline").read_bytes()
            )
        except OSError:
            continue  # gone meanwhile
        if mine:
            os.kill(int(entry.name), signal.SIGKILL)


def restarts(vault: Vault, pod: str) -> int:
    found = vault.cluster.get("pod", pod, "-n", vault.namespace)["status"]["containerStatuses"]
    return sum(int(one["restartCount"]) for one in found)


def holding(folder: Path, *needles: bytes) -> list[Path]:
    """Files on disk below `folder` that hold any of the bytes; memory volumes are other file systems and left out."""
    command = ["find", folder, "-xdev", "-type", "f", "-size", "-64M", "-print0"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout.split(b"\0")
    return [path for path in (Path(os.fsdecode(one)) for one in listed if one) if _holds(path, needles)]


def _holds(path: Path, needles: tuple[bytes, ...]) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False  # gone meanwhile
    return any(needle in content for needle in needles)
