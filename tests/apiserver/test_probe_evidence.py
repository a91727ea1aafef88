"""The prober as a whole against a real API server; guards and a kubelet stand on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog

from apiserver.kubectl import apply_crds
from unit.probe_servers import Page, authority, context, listening, open_inference, web
from verticalmodel import evidence
from verticalmodel.api import names
from verticalmodel.api.evidence import Evidence, Subject
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.errors import ApiError, NotFound
from verticalmodel.kube.resources import EVIDENCES, Key
from verticalmodel.probe.__main__ import run
from verticalmodel.probe.settings import parse

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("kinds")]

MODEL = "breast-screening"
MEMORY = {"guard": 128 * 2**20, "server": 2**30}
Predicate = Callable[[Evidence], bool]


@pytest.fixture(scope="module")
def kinds(apiserver: Path) -> None:
    """The CRDs of this checkout."""
    apply_crds(apiserver)


@dataclass
class FakePod:
    """What stands for one pod: a guard on an address of its own, and two containers."""

    name: str
    uid: str
    address: str
    started: datetime
    server: ExitStack
    page: Page
    containers: dict[str, str] = field(default_factory=dict)
    """Container ids by name."""


@dataclass
class World:
    """One model in a namespace of its own."""

    api: ApiClient
    namespace: str
    uid: str
    node: str
    arguments: list[str]
    pods: dict[str, FakePod] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return Key(self.namespace, names.evidence_name(MODEL, self.uid, names.MANAGER_PROBER))

    async def add_pod(self, name: str, *, template: str = "") -> FakePod:
        """A Ready pod whose guard answers; of a model's template where a digest of one is given."""
        marks = {"annotations": {names.ANNOTATION_TEMPLATE_DIGEST: template}} if template else {}
        server = ExitStack()
        address = self.listen(server, name)
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, "labels": {names.LABEL_MODEL: MODEL}, **marks},
            "spec": {
                "nodeName": self.node,
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "initContainers": [{"name": "guard", "image": "guard:1", "restartPolicy": "Always"}],
                "containers": [{"name": "server", "image": "server:1"}],
            },
        }
        made = await retried(lambda: self.api.create(resources.PODS, body))
        started = datetime.now(UTC).replace(microsecond=0)
        pod = FakePod(name, made["metadata"]["uid"], address, started, server, open_inference(MODEL))
        pod.containers = {one: container_id(name, one) for one in MEMORY}
        self.pods[name] = pod
        await self.report(pod)
        return pod

    def listen(self, server: ExitStack, name: str, made: ssl.SSLContext | None = None, address: str = "") -> str:
        """Let a guard listen on the real port, on a loopback address that nobody else has."""
        made = made or context(certificate=authority().issue(f"{MODEL}.{self.namespace}.svc"))

        def page(method: str, path: str, body: bytes) -> tuple[int, bytes]:
            return self.pods[name].page(method, path, body)

        handle = web(made, page)
        for _ in range(20):
            host = address or f"127.{random.randint(1, 250)}.{random.randint(0, 255)}.{random.randint(2, 254)}"  # noqa: S311
            try:
                server.enter_context(listening(handle, host, names.GUARD_PORT))
            except OSError:
                continue
            return host
        raise AssertionError("no free loopback address for a guard")

    async def report(self, pod: FakePod, *, ready: bool = True) -> None:
        """What the kubelet says of the pod."""

        def container(name: str) -> dict[str, Any]:
            return {
                "name": name,
                "image": f"{name}:1",
                "imageID": "",
                "ready": True,
                "restartCount": 0,
                "containerID": f"containerd://{pod.containers[name]}",
                "state": {"running": {"startedAt": pod.started.isoformat().replace("+00:00", "Z")}},
            }

        status = {
            "phase": "Running",
            "podIP": pod.address,
            "podIPs": [{"ip": pod.address}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "initContainerStatuses": [container("guard")],
            "containerStatuses": [container("server")],
        }
        key = Key(self.namespace, pod.name)
        await self.api.patch_merge(resources.PODS, key, {"status": status}, subresource="status")

    async def remove_pod(self, name: str) -> None:
        await self.api.delete(resources.PODS, Key(self.namespace, name), grace_seconds=0)
        self.pods.pop(name).server.close()

    def cadvisor(self, _method: str, path: str, _body: bytes) -> tuple[int, bytes]:
        """The kubelet of the one node: limits in every container's cgroup, podPidsLimit in every pod's."""
        if path != "/metrics/cadvisor":
            return 404, b""
        lines = []
        for pod in list(self.pods.values()):
            folder, stamp = f"/kubepods/burstable/pod{pod.uid}", int(time.time() * 1000)
            lines.append(f'container_threads_max{{id="{folder}"}} 512 {stamp}')
            for name, identity in pod.containers.items():
                label = f'{{container="{name}",id="{folder}/{identity}"}}'
                lines += [
                    f"container_spec_memory_limit_bytes{label} {MEMORY[name]}",
                    f"container_spec_cpu_period{label} 100000",
                    f"container_spec_cpu_quota{label} 25000",
                    f"container_threads_max{label} 0 {stamp}",
                    f"container_processes{label} 1 {stamp}",
                    f"container_memory_working_set_bytes{label} 479232 {stamp}",
                ]
        return 200, "\n".join([*lines, ""]).encode()

    async def evidence(self) -> Evidence | None:
        """What is recorded, its chain verified."""
        raw = await self.api.find(EVIDENCES, self.key)
        if raw is None:
            return None
        found = Evidence.model_validate(raw)
        assert evidence.verify(found, Subject(kind="VerticalModel", name=MODEL, uid=self.uid)) == ""
        return found

    async def recorded(self, holds: Predicate, seconds: float = 40) -> Evidence:
        """The evidence as soon as `holds` is true of it."""
        found = None
        try:
            async with asyncio.timeout(seconds):
                while found is None or not holds(found):
                    await asyncio.sleep(0.05)
                    found = await self.evidence()
        except TimeoutError:
            pytest.fail(f"not within {seconds} s; last seen: {found.model_dump_json(indent=1) if found else None}")
        return found

    @asynccontextmanager
    async def prober(self, *more: str) -> AsyncIterator[None]:
        """A prober of its own; whatever ends it fails the test."""
        stop = asyncio.Event()
        task = asyncio.create_task(run(parse([*self.arguments, *more], {}), stop))
        try:
            yield
            assert not task.done(), task.result()
        finally:
            stop.set()
            await task


async def retried(call: Callable[[], Any]) -> Any:
    """The ServiceAccount and quota of a new namespace appear a moment later."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await call()
            except ApiError as error:
                if isinstance(error, NotFound):
                    raise
                await asyncio.sleep(0.1)


def container_id(*parts: str) -> str:
    return hashlib.sha256("/".join((*parts, uuid4().hex)).encode()).hexdigest()


@pytest.fixture
async def world(apiserver: Path, connection: Connection, namespace: str, tmp_path: Path) -> AsyncIterator[World]:
    """A model, its runtime, its node and our authority; the prober is not started."""
    api = ApiClient(connection, manager="test")
    ca = tmp_path / "ca.crt"
    ca.write_text(authority().pem)
    node = f"node-{uuid4().hex[:8]}"
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "VerticalModel",
        "metadata": {"name": MODEL, "namespace": namespace},
        "spec": {"runtime": {"name": "none"}, "source": {"uri": "pvc://models/breast"}, "standard": {"name": "none"}},
    }
    model = await api.create(resources.VERTICAL_MODELS, body)
    metadata = {"name": names.CA_NAME, "namespace": namespace}
    authorities = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": authority().pem}}
    await api.create(resources.CONFIG_MAPS, authorities)
    arguments = [
        *("--kubeconfig", str(apiserver), "--system-namespace", namespace, "--kubelet-ca", str(ca)),
        *("--health-address", "127.0.0.1", "--health-port", "0", "--canary-interval", "1", "--node-interval", "1"),
        *("--namespace", namespace, "--spacing", "0.2"),
    ]
    world = World(api, namespace, model["metadata"]["uid"], node, arguments)
    kubelet = web(context(certificate=authority().issue("127.0.0.1")), world.cadvisor)
    with listening(kubelet) as (host, port):
        await api.create(resources.NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
        status = {
            "addresses": [{"type": "InternalIP", "address": host}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "nodeInfo": {**dict.fromkeys(NODE_INFO, "x"), "operatingSystem": "linux"},
        }
        await api.patch_merge(resources.NODES, Key("", node), {"status": status}, subresource="status")
        try:
            yield world
        finally:
            for name in list(world.pods):
                await world.remove_pod(name)
            await api.delete(resources.NODES, Key("", node))


NODE_INFO = (
    *("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion"),
    *("kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture"),
)
"""What the API server asks a node to report, if it reports anything."""
REPORTS = ("operating-system-supported", "framework-supported", "tenants-isolated")
"""Measures that speak of a whole pod, as the canary does."""


def instances(found: Evidence) -> set[tuple[str, str]]:
    """What was looked at, but for what strangers would try: there are none here, which is noted after a while."""
    return {(one.measure, one.instance) for one in found.spec.entries if one.measure != "scenarios-isolated"}


def all_of(*pods: str) -> set[tuple[str, str]]:
    return {
        key
        for pod in pods
        for key in (
            ("transport-encrypted", f"pod/{pod}:8443"),
            ("sandbox-enforced", f"pod/{pod}/guard"),
            ("sandbox-enforced", f"pod/{pod}/server"),
            *((measure, f"pod/{pod}") for measure in ("canary-answer", *REPORTS)),
        )
    }


def good(found: Evidence) -> dict[str, object]:
    """What was found good, by instance and but for the reports: the value, for a canary its answer."""
    return {
        entry.instance: next((one.value for one in entry.observations if one.name == "answer"), entry.value)
        for entry in found.spec.entries
        if entry.measure not in REPORTS
    }


def observed(found: Evidence, instance: str, name: str) -> str:
    entry = next(entry for entry in found.spec.entries if entry.instance == instance)
    return next(one.value for one in entry.observations if one.name == name)


async def test_every_instance_of_a_new_pod_is_measured_and_the_chain_holds_when_read_back(world: World) -> None:
    pod = await world.add_pod("a")
    async with world.prober():
        found = await world.recorded(lambda found: instances(found) == all_of("a"))

    assert good(found) == {"pod/a:8443": 1.3, "pod/a/guard": 0.0, "pod/a/server": 0.0, "pod/a": "good"}
    assert {entry.binding.pod_uid for entry in found.spec.entries} == {pod.uid}
    assert found.metadata.labels == {
        names.LABEL_MODEL: MODEL,
        names.LABEL_MODEL_UID: world.uid,
        names.LABEL_MEASURER: names.MANAGER_PROBER,
    }
    raw = await world.api.get(EVIDENCES, world.key)
    assert [(one["manager"], one["operation"]) for one in raw["metadata"]["managedFields"]] == [
        (names.MANAGER_PROBER, "Apply")
    ]
    assert "ownerReferences" not in raw["metadata"]


async def test_a_pod_that_goes_takes_its_entries_with_it_and_a_new_one_brings_its_own(world: World) -> None:
    await world.add_pod("a")
    await world.add_pod("b")
    async with world.prober():
        before = await world.recorded(lambda found: instances(found) == all_of("a", "b"))
        await world.remove_pod("a")
        await world.add_pod("c")
        after = await world.recorded(lambda found: instances(found) == all_of("b", "c"))

    kept = {entry for entry in before.spec.entries if "/b" in entry.instance}
    assert kept <= set(after.spec.entries), "an entry that still holds was written anew"
    assert after.spec.head.sequence > before.spec.head.sequence


async def test_a_restart_goes_on_in_the_chain_and_writes_nothing_that_is_known(world: World) -> None:
    await world.add_pod("a")
    async with world.prober():
        before = await world.recorded(lambda found: instances(found) == all_of("a"))
    async with world.prober():
        await asyncio.sleep(3)  # several canaries long: what is watched for is that nothing happens
        same = await world.evidence()
        await world.add_pod("b")
        after = await world.recorded(lambda found: instances(found) == all_of("a", "b"))

    assert same == before
    assert set(before.spec.entries) <= set(after.spec.entries)
    assert after.spec.head.sequence == before.spec.head.sequence + len(all_of("b"))


async def test_a_bad_answer_is_recorded_at_once_and_a_good_one_again(world: World) -> None:
    pod = await world.add_pod("a")
    async with world.prober():
        await world.recorded(lambda found: instances(found) == all_of("a"))
        pod.page = lambda *_: (503, b"")
        begin = time.monotonic()
        await world.recorded(lambda found: good(found)["pod/a"] == "bad 503 for the metadata")
        assert time.monotonic() - begin < 20
        pod.page = open_inference(MODEL)
        await world.recorded(lambda found: good(found)["pod/a"] == "good")


async def test_a_guard_restarted_with_tls_1_2_is_found_out_at_once(
    world: World,
) -> None:
    pod = await world.add_pod("a")
    async with world.prober():
        await world.recorded(lambda found: instances(found) == all_of("a"))
        pod.server.close()
        lax = context(ssl.TLSVersion.TLSv1_2, certificate=authority().issue(f"{MODEL}.{world.namespace}.svc"))
        world.listen(pod.server, "a", lax, pod.address)
        pod.containers["guard"] = container_id("a", "guard")
        await world.report(pod)
        await world.recorded(lambda found: good(found)["pod/a:8443"] == 1.2)
        await world.recorded(lambda found: pod.containers["guard"] in observed(found, "pod/a/guard", "cgroup"))


async def test_evidence_is_renewed_at_a_share_of_its_lifetime_all_at_one_time(world: World) -> None:
    await world.add_pod("a")
    async with world.prober("--default-lifetime", "10"):
        before = await world.recorded(lambda found: instances(found) == all_of("a"))
        after = await world.recorded(
            lambda found: all(entry.sequence > before.spec.head.sequence for entry in found.spec.entries)
        )

    oldest = min(entry.expires_at for entry in before.spec.entries)
    measured = [entry.measured_at for entry in after.spec.entries]
    assert max(measured) < oldest, "a gap between the old evidence and the new"
    assert max(measured) - min(measured) < timedelta(seconds=5)


async def test_evidence_that_was_deleted_comes_back_and_its_sequence_goes_on(world: World) -> None:
    await world.add_pod("a")
    async with world.prober():
        before = await world.recorded(lambda found: instances(found) == all_of("a"))
        first = await world.api.get(EVIDENCES, world.key)
        await world.api.delete(EVIDENCES, world.key)
        after = await world.recorded(lambda found: instances(found) == all_of("a"))
        again = await world.api.get(EVIDENCES, world.key)

    assert first["metadata"]["uid"] != again["metadata"]["uid"]
    assert set(after.spec.entries) == set(before.spec.entries)
    assert after.spec.head == before.spec.head


async def test_an_entry_that_was_forged_is_dropped_and_its_number_never_given_again(world: World) -> None:
    await world.add_pod("a")
    async with world.prober():
        before = await world.recorded(lambda found: instances(found) == all_of("a"))
    raw = await world.api.get(EVIDENCES, world.key)
    raw["spec"]["entries"][0]["value"] = 0.5
    await world.api.replace(EVIDENCES, raw)
    async with world.prober():

        async def mended() -> Evidence:
            async with asyncio.timeout(40):
                while True:
                    found = Evidence.model_validate(await world.api.get(EVIDENCES, world.key))
                    if found.spec.head.sequence > before.spec.head.sequence and instances(found) == all_of("a"):
                        return found
                    await asyncio.sleep(0.05)

        after = await mended()

    assert evidence.verify(after, after.spec.subject) == ""
    assert min(entry.sequence for entry in after.spec.entries) > before.spec.head.sequence


async def test_two_probers_by_mistake_leave_one_chain_that_holds(world: World) -> None:
    await world.add_pod("a")
    async with world.prober("--default-lifetime", "10"), world.prober("--default-lifetime", "10"):
        seen: dict[int, str] = {}
        for _ in range(2):
            found = await world.recorded(lambda found: found.spec.head.sequence >= max(seen, default=0) + 4)
            for entry in found.spec.entries:
                assert seen.setdefault(entry.sequence, entry.digest) == entry.digest, "a sequence was given twice"


async def ask(world: World) -> datetime:
    """Ask for a measurement, as `vmodel measure` does; since when."""
    asked_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    change = {"metadata": {"annotations": {names.ANNOTATION_MEASURE: asked_at.isoformat()}}}
    await world.api.patch_merge(resources.VERTICAL_MODELS, Key(world.namespace, MODEL), change)
    return asked_at


async def test_who_asks_for_a_measurement_gets_a_new_one_of_everything(world: World) -> None:
    await world.add_pod("a")
    async with world.prober():
        await world.recorded(lambda found: instances(found) == all_of("a"))
        asked_at = await ask(world)
        await world.recorded(lambda found: all(entry.measured_at >= asked_at for entry in found.spec.entries))


START = ("cold-start", "start/b")


async def test_the_start_of_a_pod_that_was_seen_to_begin_is_recorded_once_and_for_all(world: World) -> None:
    """Pod `a` was there before the prober; a prober that starts anew has seen neither begin, and takes nothing back."""
    template = "sha256:" + "1" * 64
    await world.add_pod("a", template=template)
    async with world.prober():
        await world.recorded(lambda found: instances(found) == all_of("a"))
        await world.add_pod("b", template=template)
        first = await world.recorded(lambda found: instances(found) == {*all_of("a", "b"), START})
    [start] = [entry for entry in first.spec.entries if entry.measure == "cold-start"]
    assert (start.scope, start.binding.template_digest, start.outcome) == ("Event", template, "Measured")
    assert start.value is not None
    assert 0 < start.value < 40

    async with world.prober():
        asked_at = await ask(world)
        after = await world.recorded(
            lambda found: all(entry.measured_at >= asked_at for entry in found.spec.entries if entry.scope == "State")
        )
        assert [entry for entry in after.spec.entries if entry.measure == "cold-start"] == [start]
        await world.remove_pod("b")
        await world.recorded(lambda found: instances(found) == all_of("a"))


async def test_evidence_outlives_its_model(world: World) -> None:
    await world.add_pod("a")
    async with world.prober():
        before = await world.recorded(lambda found: instances(found) == all_of("a"))
        await world.api.delete(resources.VERTICAL_MODELS, Key(world.namespace, MODEL))
        await world.remove_pod("a")
        await asyncio.sleep(2)  # watched for is that nothing happens
        assert await world.evidence() == before


async def test_no_guard_that_answers_means_no_good_entry_only_an_inconclusive_one_in_the_end(world: World) -> None:
    pod = await world.add_pod("a")
    pod.server.close()
    async with world.prober():
        found = await world.recorded(lambda found: ("sandbox-enforced", "pod/a/guard") in instances(found))

    assert {entry.measure for entry in found.spec.entries if entry.outcome == "Measured"} == {
        "sandbox-enforced",
        "operating-system-supported",
    }


async def test_what_is_recorded_is_in_the_logs_too(world: World) -> None:
    await world.add_pod("a")
    with structlog.testing.capture_logs() as lines:
        async with world.prober():
            found = await world.recorded(lambda found: instances(found) == all_of("a"))

    logged = [line["entry"] for line in lines if line["event"] == "evidence" and line["model_uid"] == world.uid]
    assert logged == [entry.wire() for entry in sorted(found.spec.entries, key=lambda entry: entry.sequence)]
