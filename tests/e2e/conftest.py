"""A real three-node cluster with the operator installed, shared by the whole tier.

VERTICALMODEL_E2E_KUBECONFIG points the tier at a cluster that is up and has the images; else one is brought up here and
taken down again. Its name holds our pid, so that a second run beside this one has its own; what a killed run left
behind is removed first.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from installation import ROOT, built_images, install, with_images

KUBECTL = ROOT / ".venv/bin/kubectl"
PREFIX = "e2e-"


@dataclass(frozen=True)
class Cluster:
    """The cluster under test."""

    name: str
    kubeconfig: Path
    references: dict[str, str]
    """Image references by name."""

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 180) -> str:
        """Output of kubectl; its error text is part of the exception."""
        finished = subprocess.run(
            [KUBECTL, "--kubeconfig", self.kubeconfig, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and finished.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {finished.stderr}{finished.stdout}")
        return finished.stdout if check else finished.stdout + finished.stderr

    def get(self, *arguments: str) -> Any:
        """`kubectl get ARGUMENTS -o json`, parsed."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, manifest: dict[str, Any] | str, *arguments: str) -> None:
        """Apply a manifest."""
        self.kubectl(
            "apply", "-f", "-", *arguments, stdin=manifest if isinstance(manifest, str) else json.dumps(manifest)
        )

    def sample(self, name: str) -> str:
        """A sample manifest with the images built here."""
        return with_images((ROOT / "manifests/samples" / name).read_text(), self.references)

    def condition(self, namespace: str, model: str, kind: str) -> dict[str, Any]:
        """One condition of a model; empty where it has none yet."""
        found = self.get("vmodel", model, "-n", namespace).get("status", {}).get("conditions", [])
        return next((condition for condition in found if condition["type"] == kind), {})

    def await_condition(
        self, namespace: str, model: str, kind: str, status: str, timeout: float = 120
    ) -> dict[str, Any]:
        """Wait until a condition has a status."""
        self.kubectl(
            "wait", f"vmodel/{model}", "-n", namespace, f"--for=condition={kind}={status}", f"--timeout={timeout:.0f}s",
            timeout=timeout + 30,
        )  # fmt: skip
        return self.condition(namespace, model, kind)


def until(what: str, look: Callable[[], Any], timeout: float = 60, every: float = 0.25) -> Any:
    """The first truthy answer of `look`; for states that no event announces. Fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout:.0f} s; the last answer was {answer!r}")
        time.sleep(every)  # the pause between two looks, not a guess at how long something takes


def hack_cluster(*arguments: str | Path) -> str:
    """Output of hack/cluster; its error text shows in the test's log."""
    return subprocess.run([ROOT / "hack/cluster", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _remove_orphans() -> None:
    for found in json.loads(hack_cluster("status", "-o", "json")):
        name = found["name"]
        if name.startswith(PREFIX) and not _alive(int(name.removeprefix(PREFIX))):
            hack_cluster("down", "--name", name)


@pytest.fixture(scope="session")
def bare_cluster() -> Iterator[Cluster]:
    """Three nodes with the images, nothing installed."""
    images = built_images()
    references = {name: image["reference"] for name, image in images.items()}
    given = os.environ.get("VERTICALMODEL_E2E_KUBECONFIG")
    if given:
        yield Cluster("given", Path(given), references)
        return
    _remove_orphans()
    name = f"{PREFIX}{os.getpid()}"
    try:
        hack_cluster("up", "--name", name, "--nodes", "3")
        for image in images.values():
            hack_cluster("load-image", "--name", name, image["archive"])
        kubeconfig = Path(hack_cluster("kubeconfig", "--name", name).strip())
        yield Cluster(name, kubeconfig, references)
    finally:
        hack_cluster("down", "--name", name)


@pytest.fixture(scope="session")
def cluster(bare_cluster: Cluster) -> Cluster:
    """Three nodes with the operator installed."""
    install(bare_cluster.kubeconfig, bare_cluster.references)
    return bare_cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A fresh namespace under Pod Security restricted."""
    name = f"e2e-{uuid4().hex[:8]}"
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }
    )
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def claim(cluster: Cluster, namespace: str) -> str:
    """The namespace with the sample model's file in its claim `models`."""
    cluster.apply(cluster.sample("breast-screening-claim.yaml"), "-n", namespace)
    cluster.kubectl("wait", "job/breast-screening-model", "-n", namespace, "--for=condition=Complete", "--timeout=120s")
    return namespace
