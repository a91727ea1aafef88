"""A model whose measured clauses all hold on a real API server, as lies need it: what is no longer True was caught."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from apiserver.kubelet_reports import deployments
from apiserver.world import World, until
from unit.builders import Draft, good_world
from verticalmodel import evidence
from verticalmodel.api import names
from verticalmodel.api.evidence import Evidence, EvidenceMeta, EvidenceSpec, Subject
from verticalmodel.facts import ObservedPod, ObservedService
from verticalmodel.kube import resources
from verticalmodel.kube.resources import Key

MODEL = "m"
MEASURED = (5, 6, 13, 30, 31)
"""Clauses that this version measures."""
Forge = Callable[[Evidence], Evidence]


@dataclass
class Stage:
    """The world around one model; each step acts through the API server, as whoever lies would."""

    world: World
    key: Key
    uid: str
    node: str
    shift: timedelta = timedelta(0)
    """How far the operator's clock is ahead of everybody's."""

    def pods(self) -> tuple[ObservedPod, ...]:
        """The model's live pods, as the operator sees them."""
        found = (one.observed for one in self.world.caches.pods.group((self.key.namespace, self.key.name)).values())
        return tuple(sorted((one for one in found if not one.deleting), key=lambda one: one.name))

    async def looks(self) -> list[Draft]:
        """Honest, good looks at everything that runs, taken just now."""
        service = await self.world.user.get(resources.SERVICES, self.key)
        behind = ObservedService(service["metadata"]["name"], service["metadata"]["uid"])
        taken = datetime.now(UTC)
        stamps = {"measuredAt": taken.isoformat(), "expiresAt": (taken + timedelta(seconds=600)).isoformat()}
        return [{**one, **stamps} for one in good_world(pods=self.pods(), service=behind).drafts]

    async def record(
        self,
        looks: Iterable[Draft],
        *,
        measurer: str = names.MANAGER_PROBER,
        name: str = "",
        subject: Subject | None = None,
        forge: Forge = lambda found: found,
    ) -> None:
        """An Evidence object with these looks, chained, then forged; the operator has seen it."""
        entries, head = evidence.extend(None, looks)
        about = subject or Subject(name=MODEL, uid=self.uid)
        meta = EvidenceMeta(name=name or f"{MODEL}-{measurer}", namespace=self.key.namespace)
        made = forge(
            Evidence(metadata=meta, spec=EvidenceSpec(subject=about, measurer=measurer, head=head, entries=entries))
        )
        body = {
            "apiVersion": names.API_VERSION,
            "kind": "Evidence",
            "metadata": {"name": meta.name, "namespace": meta.namespace},
            "spec": made.spec.wire(),
        }
        await self.world.user.apply(resources.EVIDENCES, body, manager=measurer)
        key = Key(meta.namespace, meta.name)
        await until(
            lambda: (
                (seen := self.world.caches.evidence.get(key)) is not None and seen[1].open()["spec"] == made.spec.wire()
            )
        )

    async def be_honest(self) -> None:
        """Everything is measured anew, and every measured clause is True."""
        self.shift = timedelta(0)
        await self.forget()
        await self.record(await self.looks())
        found = await self.clauses()
        assert {number: found[number]["status"] for number in MEASURED} == dict.fromkeys(MEASURED, "True")

    async def forget(self) -> None:
        """All evidence is deleted; the operator has seen that."""
        for one in (await self.world.user.list(resources.EVIDENCES, self.key.namespace)).items:
            key = resources.key_of(one)
            await self.world.user.delete(resources.EVIDENCES, key)
            await until(lambda key=key: self.world.caches.evidence.get(key) is None)

    async def clauses(self) -> Mapping[int, Mapping[str, Any]]:
        """One pass of the operator; each clause's condition as the API server has it then, by number."""
        self.world.reconciler._clock = lambda: datetime.now(UTC) + self.shift  # noqa: SLF001 - the clock of its machine
        model = await self.world.settle(self.key)
        conditions = {one["type"]: one for one in model["status"]["conditions"]}
        return {one["id"]: conditions[one["condition"]] for one in model["status"]["clauses"]}

    async def scale(self, replicas: int) -> None:
        """So many pods, as a user asks for them; all of them run."""
        await self.world.user.patch_merge(resources.VERTICAL_MODELS, self.key, {"spec": {"replicas": replicas}})
        await self.world.settle(self.key)
        await self.run(replicas)

    async def replace_pods(self) -> None:
        """Every pod goes, and others come in their place."""
        before = {one.uid for one in self.pods()}
        for one in self.pods():
            await self.world.user.delete(resources.PODS, Key(self.key.namespace, one.name), grace_seconds=0)
        await until(lambda: bool(self.pods()) and not before & {one.uid for one in self.pods()})
        await self.run(len(before))

    async def run(self, count: int = 1) -> None:
        """Play scheduler and kubelet until so many pods of the model run."""
        deployment, _ = await deployments(self.world)
        labels = deployment["spec"]["selector"]["matchLabels"]
        async with asyncio.timeout(20):
            while True:
                listed = (await self.world.user.list(resources.PODS, self.key.namespace, labels=labels)).items
                alive = [one for one in listed if "deletionTimestamp" not in one["metadata"]]
                if len(alive) == count:
                    break
                await asyncio.sleep(0.05)
        for one in alive:
            await self.runs(one)
        await until(lambda: len(self.pods()) == count and all(one.ready and one.node for one in self.pods()))

    async def runs(self, pod: dict[str, Any]) -> None:
        """One pod is placed and all its containers run."""
        key = resources.key_of(pod)
        if not pod["spec"].get("nodeName"):
            binding = {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": key.name, "namespace": key.namespace},
                "target": {"apiVersion": "v1", "kind": "Node", "name": self.node},
            }
            await self.world.user.create(resources.PODS, binding, subresource="binding")
        statuses = {
            "containerStatuses": [running(one["name"]) for one in pod["spec"]["containers"]],
            "initContainerStatuses": [
                running(one["name"]) for one in pod["spec"]["initContainers"] if one.get("restartPolicy") == "Always"
            ],
        }
        ready = {
            "type": "Ready",
            "status": "True",
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        await self.report(key, **statuses, phase="Running", conditions=[ready])

    async def report(self, pod: Key, **status: Any) -> None:
        """What a kubelet reports of a pod."""
        await self.world.user.patch_merge(resources.PODS, pod, {"status": status}, subresource="status")


def running(name: str) -> dict[str, Any]:
    """The status of a container that has just started."""
    return {
        "name": name,
        "containerID": f"containerd://{uuid4().hex}{uuid4().hex}",
        "state": {"running": {"startedAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}},
        "image": "i",
        "imageID": "sha256:1",
        "ready": True,
        "restartCount": 0,
    }


@pytest.fixture
async def stage(world: World) -> AsyncIterator[Stage]:
    """One model of one pod, honestly measured a moment ago, with every measured clause True."""
    node = f"{world.namespace}-node"
    await world.user.create(resources.NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    key = await world.create(MODEL, replicas=1, resources={})
    model = await world.settle(key)
    made = Stage(world, key, model["metadata"]["uid"], node)
    await made.run()
    await made.be_honest()
    yield made
    await world.user.delete(resources.NODES, Key("", node))
