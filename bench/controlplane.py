"""A real control plane (etcd on tmpfs, API server, controller manager) with everything installed but the operator."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hack"))

from installation import STAGES, kubectl, manifests
from testcluster import Cluster, Shape
from testcluster import cluster as clusters
from verticalmodel.api import names

PREFIX = "bench-"


@dataclass(frozen=True)
class ControlPlane:
    """Kubeconfigs of the administrator and of the operator's own account."""

    admin: Path
    operator: Path


def remove_orphans() -> None:
    """Take down what killed benchmarks left."""
    for name in clusters.names():
        pid = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            clusters.down(name)


@contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """Bring one up, install CRDs, rights, policies, the edition and the runtime; take it down again."""
    remove_orphans()
    cluster = Cluster.up(f"{PREFIX}{os.getpid()}", Shape(nodes=0))
    try:
        for _, folders in STAGES[:-1]:
            stream = manifests(folders, {})
            kubectl(cluster.kubeconfig, "apply", "--server-side", "-f", "-", stdin=stream)
            if folders == ("crds",):
                kubectl(cluster.kubeconfig, "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        with tempfile.TemporaryDirectory(prefix="verticalmodel-bench-") as folder:
            yield ControlPlane(cluster.kubeconfig, _account(cluster.kubeconfig, Path(folder) / "operator.yaml"))
    finally:
        cluster.down()


def _account(admin: Path, target: Path) -> Path:
    """A kubeconfig with a token of the operator's ServiceAccount, so that rights and policies are in force."""
    account = ("-n", names.SYSTEM_NAMESPACE, names.ACCOUNT_OPERATOR)
    token = kubectl(admin, "create", "token", *account, "--duration=6h").strip()
    config = yaml.safe_load(admin.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    target.touch(mode=0o600)
    target.write_text(yaml.safe_dump(config))
    return target


def start_operator(kubeconfig: Path, log: Path, port: int) -> subprocess.Popen[bytes]:
    """The operator as a process of this machine."""
    command = [
        sys.executable,
        "-m",
        "verticalmodel.shell",
        "--guard-image",
        "guard:1",
        "--unseal-image",
        "unseal:1",
        "--health-port",
        str(port),
    ]
    with log.open("ab") as out:
        return subprocess.Popen([*command, "--kubeconfig", kubeconfig], stdout=out, stderr=out)
