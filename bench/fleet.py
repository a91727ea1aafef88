"""P1 to P3 and P5: a fleet of models on a real API server, beside a bare writer of the same objects in the same run.

No node runs: the operator, the API server, the controller manager and this program share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from controlplane import ControlPlane, control_plane, start_operator
from figure import progress, report
from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.informer import Informer
from verticalmodel.kube.resources import Key, Resource

WRITERS = 16
HEALTH_PORT = 18081
CHILDREN = (
    resources.SERVICE_ACCOUNTS,
    resources.NETWORK_POLICIES,
    resources.CONFIG_MAPS,
    resources.CONTROLLER_REVISIONS,
    resources.SERVICES,
    resources.DEPLOYMENTS,
)
PATIENCE_SECONDS = 300.0
_CHILD = "|".join(resource.plural for resource in CHILDREN)
_WRITE = rf'resource="({_CHILD})",verb="(apply|create|update|patch|delete)"'


def model(namespace: str, name: str) -> dict[str, Any]:
    """A first VerticalModel: a name, a source and a runtime."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "VerticalModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"runtime": {"name": "oip-onnx"}, "source": {"uri": "pvc://models/model.onnx"}},
    }


async def spread(work: Iterable[Awaitable[Any]]) -> None:
    """Await everything, WRITERS at a time."""
    slots = asyncio.Semaphore(WRITERS)

    async def one(item: Awaitable[Any]) -> None:
        async with slots:
            await item

    await asyncio.gather(*(one(item) for item in work))


class Watched:
    """Which models have a status and which a Deployment, by metadata alone: managedFields tell who wrote."""

    def __init__(self, api: ApiClient) -> None:
        self.changed = asyncio.Event()
        self.models = self._informer(api, resources.VERTICAL_MODELS, _status_written)
        self.deployments = self._informer(
            api, resources.DEPLOYMENTS, lambda obj: (obj["metadata"].get("labels") or {}).get(names.LABEL_MODEL)
        )

    def _informer(self, api: ApiClient, resource: Resource, project: Callable[[dict[str, Any]], Any]) -> Informer[Any]:
        return Informer(api, resource, project, metadata_only=True, on_change=lambda *_: self.changed.set())

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for what the watches show. Raises TimeoutError."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not holds():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError as late:
            raise TimeoutError(f"{what}: not within {PATIENCE_SECONDS:.0f} s") from late

    def done(self, namespace: str) -> int:
        """Models of the namespace with all children and a status."""
        return sum(
            bool(written) and self.deployments.get(_deployment(key)) is not None
            for key, written in self.models.values.items()
            if key.namespace == namespace
        )


def _status_written(obj: dict[str, Any]) -> str:
    entries = obj["metadata"].get("managedFields") or []
    return next((entry["time"] for entry in entries if entry["manager"] == names.MANAGER_STATUS), "")


def _deployment(key: Key) -> Key:
    return Key(key.namespace, names.child_name(key.name, names.CONTAINER_SERVER))


async def copies(api: ApiClient, namespace: str) -> list[tuple[Resource, dict[str, Any]]]:
    """Every object that the operator made in a namespace, as it applied it, in the operator's own order."""
    found = []
    for resource in CHILDREN:
        for item in (await api.list(resource, namespace, labels={names.LABEL_MANAGED_BY: names.MANAGED_BY})).items:
            item.pop("status", None)
            meta = {key: item["metadata"][key] for key in ("name", "labels", "annotations") if key in item["metadata"]}
            body = {"apiVersion": resource.api_version, "kind": resource.kind, **item, "metadata": meta}
            found.append((resource, body))
    return found


async def bare_writer(api: ApiClient, operator: ApiClient, source: str, target: str, statuses: dict[str, Any]) -> float:
    """Seconds to apply the same objects, statuses included, model by model: what the API server allows at best.

    `operator` writes under the operator's account, the only one that may write a status.
    """
    by_model: dict[str, list[tuple[Resource, dict[str, Any]]]] = {name: [] for name in statuses}
    for resource, body in await copies(api, source):
        if resource is resources.SERVICES:
            for field in ("clusterIP", "clusterIPs"):
                body["spec"].pop(field, None)
        body["metadata"]["namespace"] = target
        # Not the operator's label: it must not take these for its own.
        body["metadata"]["labels"][names.LABEL_MANAGED_BY] = "bench"
        by_model[body["metadata"]["labels"][names.LABEL_MODEL]].append((resource, body))

    async def write(name: str, objects: list[tuple[Resource, dict[str, Any]]]) -> None:
        await api.apply(resources.VERTICAL_MODELS, model(target, name))
        for resource, body in objects:
            await api.apply(resource, body)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{name}-tls", "namespace": target}}
        await api.apply(resources.SECRETS, secret)
        status = {**model(target, name), "status": statuses[name]}
        status.pop("spec")
        await operator.apply(resources.VERTICAL_MODELS, status, manager=names.MANAGER_STATUS, subresource="status")

    started = time.monotonic()
    await spread(write(name, objects) for name, objects in by_model.items())
    return time.monotonic() - started


async def clear(api: ApiClient, watched: Watched, namespace: str) -> None:
    """Remove a namespace's models and wait until the garbage collector has followed."""
    await spread(
        [api.delete(resources.VERTICAL_MODELS, key) for key in watched.models.values if key.namespace == namespace]
    )
    await api.delete(resources.NAMESPACES, Key("", namespace))
    await watched.until(
        lambda: (
            not any(
                key.namespace == namespace for known in (watched.models, watched.deployments) for key in known.values
            )
        ),
        f"namespace {namespace} empty",
    )


async def namespace(api: ApiClient, name: str) -> str:
    """A new namespace."""
    await api.create(resources.NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def metric(name: str, having: str = "") -> float:
    """Sum of the operator's own series of that name whose labels match the pattern; 0 where it does not answer."""
    try:
        with urlopen(f"http://127.0.0.1:{HEALTH_PORT}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return 0.0
    series = re.compile(rf"^verticalmodel_{name}(?:{{(.*)}})? (\S+)$", re.MULTILINE)
    return sum(float(value) for labels, value in series.findall(text) if re.search(having, labels))


def busy(size: int) -> bool:
    """Whether an operator that was just started has not yet looked at every model, or is looking at one."""
    return metric("reconcile_duration_seconds_count") < size or metric("queue_depth", 'state="(ready|running)"') > 0


def rss_megabytes(pid: int) -> float:
    """Resident memory of a process, in 1e6 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def edits(api: ApiClient, watched: Watched, where: str, count: int) -> list[float]:
    """P2: seconds from one create at a time, five a second, to its Deployment and status, with the fleet present."""
    seconds = []

    async def one(name: str) -> None:
        started = time.monotonic()
        await api.apply(resources.VERTICAL_MODELS, model(where, name))
        key = Key(where, name)
        await watched.until(
            lambda: bool(watched.models.get(key)) and watched.deployments.get(_deployment(key)) is not None, name
        )
        seconds.append(time.monotonic() - started)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(f"late-{number}"))
            await asyncio.sleep(0.2)
    return seconds


@dataclass
class Fleet:
    """One control plane and what is watched in it."""

    plane: ControlPlane
    api: ApiClient
    watched: Watched
    log: Path
    size: int

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[subprocess.Popen[bytes]]:
        """The operator, leading; ended afterwards, whatever happened."""
        process = start_operator(self.plane.operator, self.log, HEALTH_PORT)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not metric("leader"):
                    if process.poll() is not None:
                        raise ChildProcessError(f"the operator ended: {self.log.read_text()[-2000:]}")
                    await asyncio.sleep(0.1)
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)

    async def at_once(self, where: str) -> float:
        """P1: seconds from the first create to the last child and status."""
        async with self.operator() as process:
            started = time.monotonic()
            await spread(self.api.apply(resources.VERTICAL_MODELS, model(where, f"m-{n}")) for n in range(self.size))
            await self.watched.until(lambda: self.watched.done(where) == self.size, "all models")
            seconds = time.monotonic() - started
            progress(f"  operator: {seconds:.1f} s, {cpu_seconds(process.pid):.1f} CPU s")
        return seconds

    async def bare(self, where: str, beside: str) -> float:
        """Seconds that a bare writer takes for the same objects, with no operator running."""
        listed = (await self.api.list(resources.VERTICAL_MODELS, where)).items
        await namespace(self.api, beside)
        statuses = {one["metadata"]["name"]: one["status"] for one in listed}
        async with Connection.open(self.plane.operator) as own:
            operator = ApiClient(own, manager=names.MANAGER_STATUS)
            seconds = await bare_writer(self.api, operator, where, beside, statuses)
        progress(f"  bare writer: {seconds:.1f} s")
        await clear(self.api, self.watched, beside)
        return seconds

    async def restarted(self, where: str) -> None:
        """P5, P3 and P2: killed, started again with the fleet present; then single creates."""
        async with self.operator() as process:
            process.kill()
            process.wait()
        started = time.monotonic()
        async with self.operator() as process:
            leading = time.monotonic() - started
            while busy(self.size):  # noqa: ASYNC110 - the operator tells its metrics to whoever asks, and nobody else
                await asyncio.sleep(0.1)
            report("P5", f"s, killed with {self.size} models: start to quiet", [time.monotonic() - started], "<= 8")
            report("P5.lease", "s of it waiting for the dead one's Lease", [leading])
            report(
                "P5.writes",
                "writes to children after it",
                [metric("api_request_duration_seconds_count", _WRITE)],
                "<= 0",
            )
            report("P3", f"MB, operator at {self.size} models", [rss_megabytes(process.pid)], "<= 120")
            late = await edits(self.api, self.watched, where, 50)
            report("P2", "s, create to children and status, p99", [statistics.quantiles(late, n=100)[98]], "<= 0.25")
            report("P2.median", "s, create to children and status, median", [statistics.median(late)])


async def measure(plane: ControlPlane, size: int, runs: int) -> None:
    """All figures of a fleet."""
    async with Connection.open(plane.admin) as connection:
        api = ApiClient(connection, manager="bench")
        watched = Watched(api)
        followers = [asyncio.create_task(one.run()) for one in (watched.models, watched.deployments)]
        with tempfile.TemporaryDirectory(prefix="verticalmodel-bench-") as folder:
            fleet = Fleet(plane, api, watched, Path(folder) / "operator.log", size)
            seconds, bare = [], []
            for run in range(runs):
                progress(f"run {run + 1} of {runs}: {size} models at once")
                where = await namespace(api, f"fleet-{run}")
                seconds.append(await fleet.at_once(where))
                bare.append(await fleet.bare(where, f"bare-{run}"))
                if run < runs - 1:
                    await clear(api, watched, where)
            report("P1", f"s, {size} models at once", seconds, "<= 40" if size == 1000 else "")
            report("P1.bare", f"s, bare writer, {size} models", bare)
            report("P1.ratio", "x of the bare writer", [a / b for a, b in zip(seconds, bare, strict=True)], "<= 1.2")
            await fleet.restarted(where)
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=1000, help="size of the fleet (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="fleets, one after the other (default: %(default)s)")
    arguments = parser.parse_args()
    with control_plane() as plane:
        asyncio.run(measure(plane, arguments.models, arguments.runs))


if __name__ == "__main__":
    main()
