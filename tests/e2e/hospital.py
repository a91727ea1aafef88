"""A namespace whose models get their parameters from servers outside the cluster, and GPUs from the fake driver."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from e2e import client, remote_sources
from e2e.gpus import fake_gpus
from e2e.installed import Cluster, until, vmodel
from e2e.remote_sources import RemoteSource
from onnx_bytes import FLOAT, floats, given, model, node, result, tensor
from testcluster import Cluster as LocalCluster

ASTRAY = "astray"
"""A model whose egress misses its source; from the beginning, because it takes half a minute until that is given up."""
SLOW = "slow"
"""A model whose source sends a byte every two seconds; from the beginning too."""
DOUBLE = model(
    node("Mul", ["x", "factor"], ["y"]), floats("factor", [2.0]), given("x", tensor(FLOAT, "n")),
    result("y", tensor(FLOAT, "n")),
)  # fmt: skip


@dataclass(frozen=True)
class Hospital:
    """A namespace whose models get their parameters from servers outside the cluster."""

    cluster: Cluster
    namespace: str
    bucket: RemoteSource
    website: RemoteSource
    sealed_digest: str
    plain_digest: str

    def serve(self, name: str, *, gpu: dict[str, Any] | None = None, source: dict[str, Any], **spec: Any) -> None:
        """Apply a model, changed by field."""
        resources = {"cpu": "500m", "memory": "320Mi", **({} if gpu is None else {"gpu": gpu})}
        self.cluster.apply(
            {
                "apiVersion": "verticalmodel.io/v1alpha1",
                "kind": "VerticalModel",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"runtime": {"name": "oip-onnx"}, "source": source, "resources": resources, **spec},
            }
        )

    def equip(self, key: bytes) -> None:
        """Secrets, a client, and the model that goes astray."""
        for name, content in (("bucket-access", self.bucket.secret), ("website-access", self.website.secret)):
            self._secret(name, stringData=content)
        self._secret("model-key", data={"key": base64.b64encode(key).decode()})
        client.start(self.cluster, self.namespace)
        slow = self.from_website(uri=f"{self.website.origin}/{remote_sources.SLOW}")
        self.serve(SLOW, source=slow, startup={"budgetSeconds": 20})
        beside = [{"cidr": f"{self.bucket.address}/32", "port": self.bucket.port + 1}]
        self.serve(ASTRAY, source=self.from_bucket(egress=beside))
        client.await_ready(self.cluster, self.namespace)

    def _secret(self, name: str, **content: dict[str, str]) -> None:
        metadata = {"name": name, "namespace": self.namespace}
        self.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **content})

    def from_bucket(self, **changes: Any) -> dict[str, Any]:
        """`spec.source`: sealed, over S3."""
        key, access = {"name": "model-key"}, {"name": "bucket-access"}
        where = {"uri": f"{self.bucket.origin}/sealed", "egress": self.bucket.egress, "digest": self.sealed_digest}
        return {**where, "key": key, "secretRef": access, **changes}

    def from_website(self, **changes: Any) -> dict[str, Any]:
        """`spec.source`: plain, over HTTPS with a private authority."""
        where = {"uri": f"{self.website.origin}/plain.onnx", "egress": self.website.egress}
        return {**where, "digest": self.plain_digest, "secretRef": {"name": "website-access"}, **changes}

    def answers(self, name: str) -> None:
        """Wait until a model is Ready, and see it compute."""
        self.cluster.await_condition(self.namespace, name, "Ready", "True", timeout=180)
        given = {"name": "x", "datatype": "FP32", "shape": [3], "data": [1.0, -2.5, 40.0]}
        answer = client.infer(self.cluster, self.namespace, name, given)
        assert (answer["version"], answer["status"]) == ("TLSv1.3", 200)
        assert [output["data"] for output in answer["body"]["outputs"]] == [[2.0, -5.0, 80.0]]

    def pods(self, name: str) -> list[dict[str, Any]]:
        """A model's pods that are not on their way out."""
        found = self.cluster.get("pods", "-n", self.namespace, "-l", f"verticalmodel.io/model={name}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def pod(self, name: str) -> dict[str, Any]:
        [found] = self.pods(name)
        return found

    def sees(self, name: str) -> str:
        """The GPUs that the model's server sees."""
        show = "import os; print(os.environ['NVIDIA_VISIBLE_DEVICES'])"
        pod = self.pod(name)["metadata"]["name"]
        words = ("exec", pod, "-n", self.namespace, "-c", "server", "--", "python", "-c", show)
        return self.cluster.kubectl(*words).strip()

    def await_reason(self, name: str, kind: str, reason: str) -> dict[str, Any]:
        """Wait until a condition has a reason."""
        return self.cluster.await_reason(self.namespace, name, kind, reason)

    def drop(self, name: str) -> None:
        """Delete a model and wait until its GPUs are free again."""
        self.cluster.kubectl("delete", "vmodel", name, "-n", self.namespace)
        until(f"{name} has no pod", lambda: not self._anything_of(name), timeout=90)

    def _anything_of(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.cluster.get(
            "pods", "-n", self.namespace, "-l", f"verticalmodel.io/model={name}"
        )["items"]
        return found


def digest_of(artifact: Path) -> str:
    return str(json.loads(vmodel("inspect", artifact, "--json"))["digest"])


@contextmanager
def opened(cluster: Cluster, folder: Path) -> Iterator[Hospital]:
    """The namespace with its servers, GPUs and a client; all gone after the block."""
    local, namespace = LocalCluster.find(cluster.name), f"gpu-{uuid4().hex[:8]}"
    for name in ("bucket", "website"):
        (folder / name).mkdir()
    with (
        fake_gpus(cluster),
        remote_sources.bucket(local, folder / "bucket") as bucket,
        remote_sources.website(local, folder / "website") as website,
    ):
        plain, sealed = website.files / "plain.onnx", bucket.files / "sealed"
        plain.write_bytes(DOUBLE)
        (website.files / remote_sources.SLOW).write_bytes(DOUBLE)
        vmodel("keygen", folder / "model.key")
        vmodel("seal", plain, "--key", folder / "model.key", "-o", sealed)
        cluster.restricted_namespace(namespace)
        try:
            found = Hospital(cluster, namespace, bucket, website, digest_of(sealed), digest_of(plain))
            found.equip((folder / "model.key").read_bytes())
            yield found
        finally:
            # Waited for: the driver has to take the claims back before it goes.
            cluster.kubectl("delete", "namespace", namespace, "--wait", "--timeout=120s")
