"""The operator as a process behind a proxy that can fail, beside a real API server; and a hand that plays kubelet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from apiserver.conftest import own_apiserver
from apiserver.faulty_proxy import Proxy
from apiserver.kubectl import apply_crds, kubectl
from apiserver.operator_process import OperatorProcess, tracebacks
from apiserver.world import KINDS
from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import NotFound
from verticalmodel.kube.resources import Key
from verticalmodel.shell.children import BY_KIND
from verticalmodel.standard import manifest

RUNTIME = "bad-input"
WITHIN = 20.0
"""Seconds for what takes milliseconds on an idle machine."""


@dataclass(frozen=True)
class Land:
    """A namespace, the user who works in it, and the operator that watches it."""

    user: ApiClient
    namespace: str
    operator: OperatorProcess
    proxy: Proxy

    def body(self, name: str = "m", **spec: Any) -> dict[str, Any]:
        """A good model, changed by field."""
        good = {"runtime": {"name": RUNTIME}, "source": {"uri": "pvc://claim/model.onnx"}}
        return {
            "apiVersion": names.API_VERSION,
            "kind": "VerticalModel",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {**good, **spec},
        }

    async def apply(self, name: str = "m", **spec: Any) -> Key:
        """Apply a good model, changed by field."""
        return await self.apply_body(self.body(name, **spec))

    async def apply_body(self, body: dict[str, Any]) -> Key:
        return resources.key_of(await self.user.apply(resources.VERTICAL_MODELS, body, manager="user"))

    async def condition(
        self, key: Key, kind: str, status: str, reason: str = "", within: float = WITHIN
    ) -> dict[str, Any]:
        """The condition, once it is so for the newest generation; any reason where none is given."""
        found: dict[str, Any] = {}
        try:
            async with asyncio.timeout(within):
                while not _is(found, status, reason):
                    await asyncio.sleep(0.05)
                    found = await self._condition(key, kind)
        except TimeoutError:
            raise AssertionError(f"{kind} of {key} is not {status}/{reason} but {found}") from None
        return found

    async def _condition(self, key: Key, kind: str) -> dict[str, Any]:
        model = await self.user.get(resources.VERTICAL_MODELS, key)
        listed = (model.get("status") or {}).get("conditions") or []
        found = next((one for one in listed if one["type"] == kind), {})
        return found if found.get("observedGeneration") == model["metadata"]["generation"] else {}

    async def serving(self, key: Key, within: float = WITHIN) -> dict[str, Any]:
        """Play kubelet until the model is Ready; its condition."""
        async with asyncio.timeout(within):
            while True:
                for pod in await self.pods(key):
                    if _is_ready(pod):
                        continue
                    # It may go between two looks: of a template that was undone, say.
                    with suppress(NotFound):
                        await self.report(pod, conditions=[{"type": "Ready", "status": "True"}], phase="Running")
                await asyncio.sleep(0.05)
                found = await self._condition(key, "Ready")
                if _is(found, "True", "Serving"):
                    return found

    async def report(self, pod: dict[str, Any], **status: Any) -> None:
        """Write a pod's status, as its kubelet would."""
        await self.user.patch_merge(resources.PODS, resources.key_of(pod), {"status": status}, subresource="status")

    async def pods(self, key: Key, *, at_least: int = 0) -> list[dict[str, Any]]:
        """The model's pods that are not on their way out; waits until there are so many."""
        async with asyncio.timeout(WITHIN):
            while True:
                listed = await self.user.list(resources.PODS, key.namespace, labels={names.LABEL_MODEL: key.name})
                alive = [pod for pod in listed.items if "deletionTimestamp" not in pod["metadata"]]
                if len(alive) >= at_least:
                    return alive
                await asyncio.sleep(0.05)

    async def children(self, kind: str, *, of: str = "") -> list[dict[str, Any]]:
        """Children of one kind in the namespace, of one model where it is named."""
        labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, **({names.LABEL_MODEL: of} if of else {})}
        return (await self.user.list(BY_KIND[kind], self.namespace, labels=labels)).items

    async def left(self, of: str = "") -> list[str]:
        """What is there still of models and their children, as `Kind/name`."""
        models = (await self.user.list(resources.VERTICAL_MODELS, self.namespace)).items
        wanted = [one["metadata"]["name"] for one in models if of in ("", one["metadata"]["name"])]
        children = {kind: await self.children(kind, of=of) for kind in KINDS}
        found = [f"{kind}/{child['metadata']['name']}" for kind, listed in children.items() for child in listed]
        return [*found, *(f"VerticalModel/{name}" for name in wanted)]

    async def all_gone(self, within: float = 90.0) -> list[str]:
        """Wait for the garbage collector, which looks for new kinds every half a minute; what is left then: nothing."""
        async with asyncio.timeout(within):
            while left := await self.left():  # noqa: ASYNC110 - the collector's pace
                await asyncio.sleep(0.1)
        return left


def _is(condition: Mapping[str, Any], status: str, reason: str) -> bool:
    return condition.get("status") == status and reason in ("", condition["reason"])


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)


@pytest.fixture(scope="package")
def apiserver() -> Iterator[Path]:
    """A server of our own: a whole operator works on every namespace of it, and other tests play the operator too."""
    with own_apiserver("bad-input-") as kubeconfig:
        yield kubeconfig


@pytest.fixture(scope="package")
def proxy(apiserver: Path) -> Iterator[Proxy]:
    with Proxy(apiserver).running() as made:
        yield made


@pytest.fixture(scope="package")
def operator(apiserver: Path, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator, with our kinds, a runtime and the default edition there."""
    apply_crds(apiserver)
    folder, system = tmp_path_factory.mktemp("operator"), f"system-{uuid4().hex[:8]}"
    runtime = {
        "apiVersion": names.API_VERSION,
        "kind": "ModelRuntime",
        "metadata": {"name": RUNTIME},
        "spec": {"image": "serving:1", "command": ["serve"], "formats": ["onnx"]},
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": system}}
    for body in (runtime, namespace, manifest(names.DEFAULT_STANDARD)):
        kubectl(apiserver, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(body))
    arguments = {
        "guard-image": "guard:1",
        "unseal-image": "unseal:1",
        "kubeconfig": proxy.write_kubeconfig(folder / "kubeconfig"),
        "system-namespace": system,
        "health-port": 0,
        "identity": uuid4().hex,
    }
    flags = [f"--{name}={value}" for name, value in arguments.items()]
    with OperatorProcess(flags, folder / "log").running() as made:
        yield made


@pytest.fixture
async def land(api: ApiClient, namespace: str, operator: OperatorProcess, proxy: Proxy) -> AsyncIterator[Land]:
    """The land; what the operator logged while a test was in it must hold no traceback."""
    start = operator.size()
    yield Land(api, namespace, operator, proxy)
    assert tracebacks(operator.lines(start)) == []
