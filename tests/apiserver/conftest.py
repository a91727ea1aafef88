"""A real etcd, kube-apiserver and controller-manager, shared by the whole tier.

VERTICALMODEL_TEST_KUBECONFIG points the tier at a cluster that is up; else one without nodes is brought up here and
taken down again. Its name holds our pid, so that a second run beside this one has its own; what a killed run left
behind is removed first. Tests share it: each works in a namespace of its own, with names of its own for cluster-scoped
objects.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from testcluster import Cluster, Shape
from testcluster import cluster as clusters
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, Key

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "apiserver-"


@pytest.fixture(scope="session")
def apiserver() -> Iterator[Path]:
    """Kubeconfig of an administrator."""
    given = os.environ.get("VERTICALMODEL_TEST_KUBECONFIG")
    if given:
        yield Path(given)
        return
    with own_apiserver(PREFIX) as kubeconfig:
        yield kubeconfig


@contextmanager
def own_apiserver(prefix: str) -> Iterator[Path]:
    """A server that nobody else uses, named by `prefix` and our pid; its administrator's kubeconfig."""
    for name in clusters.names():
        pid = name.removeprefix(prefix)
        if name.startswith(prefix) and pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            clusters.down(name)
    cluster = Cluster.up(f"{prefix}{os.getpid()}", Shape(nodes=0))
    try:
        yield cluster.kubeconfig
    finally:
        cluster.down()


@pytest.fixture
async def connection(apiserver: Path) -> AsyncIterator[Connection]:
    """A connection as the administrator."""
    async with Connection.open(apiserver) as connection:
        yield connection


@pytest.fixture
def api(connection: Connection) -> ApiClient:
    """A client whose field manager is `test`."""
    return ApiClient(connection, manager="test")


@pytest.fixture
async def namespace(api: ApiClient) -> AsyncIterator[str]:
    """An empty namespace of the test's own, deleted afterwards."""
    name = f"test-{uuid4().hex[:10]}"
    await api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await api.delete(NAMESPACES, Key("", name))


@pytest.fixture
async def crds(api: ApiClient) -> None:
    """The server knows our kinds."""
    await define_kinds(api)


async def define_kinds(api: ApiClient) -> None:
    """Apply our own CRDs, and wait until they are served."""
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        await define(api, yaml.safe_load(path.read_text()))


async def define(api: ApiClient, definition: dict[str, Any]) -> None:
    """Apply a CRD, and wait until its kind is served."""
    name = (await api.apply(CUSTOM_RESOURCE_DEFINITIONS, definition))["metadata"]["name"]
    async with asyncio.timeout(20):
        while not _established(await api.get(CUSTOM_RESOURCE_DEFINITIONS, Key("", name))):  # noqa: ASYNC110 - the server's pace
            await asyncio.sleep(0.05)


def _established(definition: dict[str, Any]) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or []
    return any((condition["type"], condition["status"]) == ("Established", "True") for condition in conditions)
