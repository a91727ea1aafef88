"""A real three-node cluster with the operator installed, shared by the whole tier.

VERTICALMODEL_E2E_KUBECONFIG points the tier at a cluster that is up and has the images; else one is brought up here and
taken down again. Its name holds our pid, so that a second run beside this one has its own; what a killed run left
behind is removed first.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from e2e.installed import Cluster
from e2e.outcomes import Outcomes
from installation import ROOT, built_images, install
from testcluster import cluster as clusters

PREFIX = "e2e-"
_OUTCOMES = pytest.StashKey[Outcomes]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_OUTCOMES] = Outcomes()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show the attacks that were run and how they ended."""
    found = config.stash[_OUTCOMES]
    if not found.rows:
        return
    terminalreporter.write_sep("=", "attacks from inside a server")
    terminalreporter.write_line(found.markdown())
    if path := config.getoption("--attack-table"):
        path.write_text(found.markdown() + "\n")


@pytest.fixture(scope="session")
def outcomes(pytestconfig: pytest.Config) -> Outcomes:
    """Where tests record an attack and how it ended."""
    return pytestconfig.stash[_OUTCOMES]


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


def _name_of(kubeconfig: Path) -> str:
    """The name of the cluster of hack/cluster that a kubeconfig belongs to; `given` for any other."""
    local = (name for name in clusters.names() if clusters.Cluster.of_any_state(name).kubeconfig == kubeconfig)
    return next(local, "given")


@pytest.fixture(scope="session")
def bare_cluster() -> Iterator[Cluster]:
    """Three nodes with the images, nothing installed."""
    images = built_images()
    references = {name: image["reference"] for name, image in images.items()}
    given = os.environ.get("VERTICALMODEL_E2E_KUBECONFIG")
    if given:
        yield Cluster(_name_of(Path(given)), Path(given), references)
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
    cluster.restricted_namespace(name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def claim(cluster: Cluster, namespace: str) -> str:
    """The namespace with the sample model's file in its claim `models`."""
    cluster.deliver_sample(namespace)
    return namespace
