"""One look at the chosen instances of one model, all at the same time, within the bounds of this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from verticalmodel.probe.canary import ask
from verticalmodel.probe.cluster import Cluster
from verticalmodel.probe.conversation import limits_for
from verticalmodel.probe.framework import framework
from verticalmodel.probe.gpus import gpu_measurements
from verticalmodel.probe.isolation import Control, isolation
from verticalmodel.probe.kubelet import Kubelets
from verticalmodel.probe.loading import loading
from verticalmodel.probe.measurement import (
    CANARY,
    FRAMEWORK,
    GPU_MEMORY,
    ISOLATION,
    LOADING,
    MIXED_PRECISION,
    OPERATING_SYSTEM,
    RESTART,
    SANDBOX,
    START,
    TENANTS,
    TRANSPORT,
    Key,
    Measurement,
)
from verticalmodel.probe.metrics import Metrics
from verticalmodel.probe.model import FAR, NEAR, Model, stranger_instance
from verticalmodel.probe.operating_system import operating_systems
from verticalmodel.probe.restarts import restart
from verticalmodel.probe.sandbox import sandbox_measurements
from verticalmodel.probe.slots import Slots
from verticalmodel.probe.starts import start
from verticalmodel.probe.tenants import tenants
from verticalmodel.probe.transport import Target, probe_transport
from verticalmodel.probe.trust import Trust
from verticalmodel.probe.world import Pod

__all__ = ["Survey"]

# One that waits for an answer costs a socket and nothing else.
_CANARIES = 8
_PARTS = 4
_OFFERS = ("tls1.3", "tls1.2", "tls1.1", "tls1.0", "plain")


class Survey:
    """Looks at instances: at most `at_once` endpoints at any time, and _CANARIES times as many canaries beside.

    Of these and of other questions one namespace has at most one in _PARTS at a time.
    """

    def __init__(
        self, cluster: Cluster, kubelets: Kubelets, metrics: Metrics, *, at_once: int, control: Control
    ) -> None:
        self._cluster = cluster
        self._control = control
        self._kubelets = kubelets
        self._metrics = metrics
        self._slots = asyncio.Semaphore(at_once)
        # Of their own: models that take their time must not keep others from being looked at.
        self._canaries = Slots(_CANARIES * at_once, parts=_PARTS)
        self._questions = Slots(at_once, parts=_PARTS)
        self._errands = Slots(at_once, parts=_PARTS)

    async def look(self, model: Model, keys: frozenset[Key], turn: int) -> tuple[Measurement, ...]:
        """Measure `keys` of `model`. Endpoints are left out while no authority is known to verify them."""
        trust = self._cluster.trust_in(model.namespace, model.name)
        parts: list[asyncio.Task[Iterable[Measurement]]] = []
        async with asyncio.TaskGroup() as group:
            if any(measure == SANDBOX for measure, _ in keys):
                parts.append(group.create_task(self._sandboxes(model)))
            if any(measure == OPERATING_SYSTEM for measure, _ in keys):
                parts.append(group.create_task(self._systems(model)))
            if any(measure in (GPU_MEMORY, MIXED_PRECISION) for measure, _ in keys):
                parts.append(group.create_task(self._gpus(model)))
            parts += [
                group.create_task(self._strangers(model, pod, where, turn))
                for pod in model.pods
                for where in (NEAR, FAR)
                if (ISOLATION, stranger_instance(pod, where)) in keys
            ]
            if trust is not None:
                targets = [target for target in model.targets() if (TRANSPORT, target.instance) in keys]
                parts += [group.create_task(self._transport(target, trust)) for target in targets]
                parts += [
                    group.create_task(self._asked(model, pod, trust, turn, measure))
                    for measure in (CANARY, FRAMEWORK, LOADING, TENANTS)
                    for pod in model.pods
                    if (measure, f"pod/{pod.name}") in keys
                    or (measure == CANARY and keys & {(START, f"start/{pod.name}"), (RESTART, f"restart/{pod.name}")})
                ]
        looks = tuple(look for part in parts for look in part.result() if look.key in keys)
        for look in looks:
            self._count(look)
        return looks

    async def _sandboxes(self, model: Model) -> Iterable[Measurement]:
        scrapes = await self._kubelets.scrape(self._cluster.nodes_of(model))
        return sandbox_measurements(model.pods, scrapes, datetime.now(UTC))

    async def _transport(self, target: Target, trust: Trust) -> Iterable[Measurement]:
        async with self._slots:
            return (await probe_transport(target, trust),)

    async def _systems(self, model: Model) -> Iterable[Measurement]:
        nodes = {node.name: node for node in self._cluster.nodes_of(model)}
        return operating_systems(model.pods, nodes, datetime.now(UTC))

    async def _gpus(self, model: Model) -> Iterable[Measurement]:
        claims = self._cluster.devices.of(model.namespace, {name for pod in model.pods for name in pod.claims})
        fake = frozenset(node.name for node in self._cluster.nodes_of(model) if node.simulated)
        return tuple(gpu_measurements(model.pods, claims, self._cluster.devices.published(), fake, datetime.now(UTC)))

    async def _strangers(self, model: Model, pod: Pod, where: str, turn: int) -> Iterable[Measurement]:
        async with self._errands.of(model.namespace):
            return (await isolation(model, pod, where, turn, self._control),)

    async def _asked(self, model: Model, pod: Pod, trust: Trust, turn: int, measure: str) -> Iterable[Measurement]:
        limits = limits_for(model.speaks)
        if measure == CANARY:
            async with self._canaries.of(model.namespace):
                return tuple(self._answered(pod, await ask(model, pod, trust, turn, limits)))
        async with self._questions.of(model.namespace):
            if measure == FRAMEWORK:
                return (await framework(model, pod, trust, limits),)
            if measure == LOADING:
                return (await loading(model, pod, trust, self._cluster.identity, limits),)
            return (await tenants(model, pod, trust, turn, limits),)

    def _answered(self, pod: Pod, look: Measurement) -> Iterator[Measurement]:
        """The canary's look, the start that its first good answer ended, and the pod's worst outage that is over."""
        starts, restarts, clock = self._cluster.starts, self._cluster.restarts, time.monotonic()
        asked = clock - look.window_seconds
        if look.observations["answer"] == "good":
            starts.answered(pod.uid, clock)
            restarts.answered(pod, asked=asked, clock=clock)
        elif look.conclusive:
            starts.refused(pod.uid, asked)
            restarts.refused(pod, asked=asked)
        yield look
        seconds, outage = starts.seconds(pod.uid), restarts.worst(pod.uid)
        if seconds is not None and pod.template_digest:
            yield start(pod, seconds, starts.silent_seconds(pod.uid), look.measured_at)
        if outage is not None and pod.template_digest:
            yield restart(pod, outage, look.measured_at)

    def _count(self, look: Measurement) -> None:
        self._metrics.looks.labels(look.measure, "measured" if look.conclusive else "inconclusive").inc()
        if look.measure == TRANSPORT:
            for offer in _OFFERS:
                answer = look.observations.get(offer, "not-offered").partition(" ")[0]
                self._metrics.handshakes.labels(offer, answer).inc()
