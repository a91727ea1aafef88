"""What exists to be measured, and what evidence about it must be bound to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from verticalmodel.api import names
from verticalmodel.api.evidence import Binding
from verticalmodel.probe.measurement import (
    CANARY,
    CONTAINER,
    FRAMEWORK,
    ISOLATION,
    OPERATING_SYSTEM,
    RESTART,
    SANDBOX,
    START,
    TENANTS,
    TRANSPORT,
    Key,
)
from verticalmodel.probe.transport import Target

__all__ = [
    "FAR",
    "NEAR",
    "Container",
    "End",
    "Expected",
    "Model",
    "Node",
    "Pod",
    "Service",
    "Speaks",
    "Stranger",
    "Wish",
    "short",
    "stranger_instance",
]

NEAR, FAR = "near", "far"
"""Where a stranger stands: on the pod's own node, or on another."""


@dataclass(frozen=True)
class Container:
    """A container that runs beside the workload: regular, sidecar or ephemeral."""

    name: str
    container_id: str
    """Without the runtime's scheme; empty while it does not exist."""
    running: bool
    started_at: datetime | None = None


@dataclass(frozen=True)
class End:
    """The newest end of a container, by the kubelet's stamp."""

    container: str
    at: datetime
    exit_code: int
    reason: str = ""


@dataclass(frozen=True)
class Pod:
    """A live pod of a model, placed or not yet."""

    name: str
    uid: str
    model: str
    """Name of the model that its label claims."""
    node: str
    ip: str
    ready: bool
    containers: tuple[Container, ...]
    shares_host: tuple[str, ...] = ()
    created_at: datetime | None = None
    template_digest: str = ""
    milestones: tuple[tuple[str, datetime], ...] = ()
    """Ends of the phases of its start that are behind it, in order, by the stamps of API server and kubelet."""
    ends: tuple[End, ...] = ()
    """Of its guard and its server, where they have ended."""
    ports: tuple[int, ...] = ()
    """TCP ports that its containers declare."""

    @property
    def guard(self) -> str:
        """Container id of its guard while that runs and the pod has an address: a connection is then to be expected."""
        ids = (one.container_id for one in self.containers if one.running and one.name == names.CONTAINER_GUARD)
        return next(ids, "") if self.ip else ""

    @property
    def server(self) -> str:
        """Container id of its server; empty while it does not run."""
        ids = (one.container_id for one in self.containers if one.running and one.name == names.CONTAINER_SERVER)
        return next(ids, "")

    @property
    def server_seen(self) -> dict[str, str]:
        """The observation that a look was about its server; empty while that does not run."""
        return {CONTAINER: short(self.server)} if self.server else {}


@dataclass(frozen=True)
class Service:
    """The model's Service."""

    name: str
    uid: str
    cluster_ip: str


@dataclass(frozen=True)
class Node:
    """Where a node's kubelet listens."""

    name: str
    address: str
    port: int
    operating_system: str = ""
    """linux or windows."""
    os_image: str = ""
    kernel: str = ""


@dataclass(frozen=True)
class Stranger:
    """A Ready pod without any grant that goes on errands."""

    uid: str
    node: str
    ip: str


@dataclass(frozen=True)
class Wish:
    """What the prober reads of a VerticalModel."""

    namespace: str
    name: str
    uid: str
    standard: str
    runtime: str
    ca_bundle: str = ""
    """PEM of the authorities that verify this model's endpoints; empty: those of the installation."""
    asked_at: datetime | None = None
    """When somebody last asked for a measurement."""


@dataclass(frozen=True)
class Expected:
    """What an entry about an instance must be bound to, and the container that it must be about (none: empty)."""

    binding: Binding
    container: str = ""
    since: datetime | None = None
    """No earlier look is about what is there now: of a Service, when the oldest pod that may be behind it was made."""

    def is_subject_of(self, binding: Binding, container: str, measured_at: datetime) -> bool:
        """Whether a look with this binding, at this container and this time, was a look at this very instance."""
        fresh = self.since is None or measured_at >= self.since
        return fresh and (binding, container) == (self.binding, self.container)


@dataclass(frozen=True)
class Speaks:
    """What a model's runtime understands."""

    protocol: str = "open-inference-v2"
    sample_request: str = ""
    path: str = ""
    """Of a custom protocol: where a sample request goes."""
    timeout_seconds: float = 60.0
    """An inference takes no longer."""


@dataclass(frozen=True)
class Model:
    """One model with all of it that can be measured now."""

    namespace: str
    name: str
    uid: str
    pods: tuple[Pod, ...]
    service: Service | None
    lifetimes: Mapping[str, float]
    """Seconds that evidence holds, by measure."""
    speaks: Speaks = field(default_factory=Speaks)
    asked_at: datetime | None = None
    """When somebody last asked for a measurement: what is older than that is measured anew."""
    begun: frozenset[str] = frozenset()
    """Uids of the pods that were seen from their beginning."""
    restarted: frozenset[str] = frozenset()
    """Uids of the pods whose way back from the end of a container was timed."""
    strangers: Mapping[str, Stranger] = field(default_factory=dict)
    """Of the whole cluster, by node."""

    @property
    def server_name(self) -> str:
        """The name that every certificate of this model bears."""
        return f"{self.name}.{self.namespace}.svc"

    def targets(self) -> tuple[Target, ...]:
        """Endpoints that can be expected to answer; the Service only once a pod is behind it."""
        port, name = names.GUARD_PORT, self.server_name
        found = [
            Target(f"pod/{pod.name}:{port}", pod.ip, port, name, Binding(pod_uid=pod.uid), short(pod.guard))
            for pod in self.pods
            if pod.guard
        ]
        if self.service is not None and any(pod.ready for pod in self.pods):
            instance, binding = (
                f"service/{self.service.name}:{names.SERVICE_PORT}",
                Binding(service_uid=self.service.uid),
            )
            found.append(Target(instance, self.service.cluster_ip, names.SERVICE_PORT, name, binding))
        return tuple(found)

    def expected(self) -> dict[Key, Expected]:
        """What can be measured now."""
        found = {
            (TRANSPORT, one.instance): Expected(
                one.binding, one.container, self._behind_service_since() if one.binding.service_uid else None
            )
            for one in self.targets()
        }
        for pod in self.pods:
            binding = Binding(pod_uid=pod.uid)
            for one in pod.containers:
                if one.running:
                    found[SANDBOX, f"pod/{pod.name}/{one.name}"] = Expected(binding, short(one.container_id))
            if any(one.running for one in pod.containers):
                found[OPERATING_SYSTEM, f"pod/{pod.name}"] = Expected(binding)
            if pod.guard and pod.server and pod.ready:
                for measure in (CANARY, FRAMEWORK, TENANTS):
                    found[measure, f"pod/{pod.name}"] = Expected(binding, short(pod.server))
                for where in (NEAR, FAR):
                    found[ISOLATION, stranger_instance(pod, where)] = Expected(binding)
                of_template = Expected(Binding(pod_uid=pod.uid, template_digest=pod.template_digest or None))
                for measure, event, timed in ((START, "start", self.begun), (RESTART, "restart", self.restarted)):
                    if pod.uid in timed and pod.template_digest:
                        found[measure, f"{event}/{pod.name}"] = of_template
        return found

    def _behind_service_since(self) -> datetime | None:
        running = [pod.created_at for pod in self.pods if any(one.running for one in pod.containers)]
        known = [moment for moment in running if moment is not None]
        return min(known) if known and len(known) == len(running) else None

    def alive(self, key: Key, binding: Binding) -> bool:
        """Whether the instance that an entry is bound to still exists, measurable at this moment or not."""
        if binding.service_uid is not None:
            return self.service is not None and self.service.uid == binding.service_uid
        pod = next((pod for pod in self.pods if pod.uid == binding.pod_uid), None)
        if pod is None:
            return False
        return key[0] != SANDBOX or any(key[1] == f"pod/{pod.name}/{one.name}" for one in pod.containers)


def stranger_instance(pod: Pod, where: str) -> str:
    """Instance of what a stranger near or far of this pod tried."""
    return f"pod/{pod.name}/{where}"


def short(container_id: str) -> str:
    """The short form of a container id, as crictl shows it."""
    return container_id[:12]
