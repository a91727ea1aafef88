"""What exists to be measured, read from API objects as they are. Pure.

The prober reads the objects itself and shares no code with the operator's reading of them: two readers that agree are
worth more than one that is believed twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from verticalmodel.api import names
from verticalmodel.api.evidence import Binding
from verticalmodel.probe.measurement import CANARY, MEASURES, SANDBOX, TRANSPORT, Key
from verticalmodel.probe.transport import Target

__all__ = [
    "Container",
    "Expected",
    "Model",
    "Node",
    "Pod",
    "Service",
    "Speaks",
    "Wish",
    "lifetimes_from",
    "node_from",
    "pod_from",
    "service_from",
    "short",
    "speaks_from",
    "wish_from",
]

_SHARES = ("hostPID", "hostIPC", "hostNetwork", "shareProcessNamespace")


@dataclass(frozen=True)
class Container:
    """A container that runs beside the workload: regular, sidecar or ephemeral."""

    name: str
    container_id: str
    """Without the runtime's scheme; empty while it does not exist."""
    running: bool
    started_at: datetime | None = None


@dataclass(frozen=True)
class Pod:
    """A live pod of a model."""

    name: str
    uid: str
    model: str
    """Name of the model that its label claims."""
    node: str
    ip: str
    ready: bool
    containers: tuple[Container, ...]
    shares_host: tuple[str, ...] = ()

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


@dataclass(frozen=True)
class Expected:
    """What an entry about an instance must be bound to, and the container that it must be about (none: empty)."""

    binding: Binding
    container: str = ""


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
        found = {(TRANSPORT, one.instance): Expected(one.binding, one.container) for one in self.targets()}
        for pod in self.pods:
            binding = Binding(pod_uid=pod.uid)
            for one in pod.containers:
                if one.running:
                    found[SANDBOX, f"pod/{pod.name}/{one.name}"] = Expected(binding, short(one.container_id))
            if pod.guard and pod.ready:
                found[CANARY, f"pod/{pod.name}"] = Expected(binding, short(pod.server))
        return found

    def alive(self, key: Key, binding: Binding) -> bool:
        """Whether the instance that an entry is bound to still exists, measurable at this moment or not."""
        if binding.service_uid is not None:
            return self.service is not None and self.service.uid == binding.service_uid
        pod = next((pod for pod in self.pods if pod.uid == binding.pod_uid), None)
        if pod is None:
            return False
        return key[0] != SANDBOX or any(key[1] == f"pod/{pod.name}/{one.name}" for one in pod.containers)


def short(container_id: str) -> str:
    """The short form of a container id, as crictl shows it."""
    return container_id[:12]


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def pod_from(raw: Mapping[str, Any]) -> Pod | None:
    """A Pod object as it is served; None for one that is finished, on its way out, or nowhere yet."""
    meta, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    if meta.get("deletionTimestamp") or not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    sidecars = {one["name"] for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"}
    statuses: list[Mapping[str, Any]] = [
        *(status.get("containerStatuses") or ()),
        *(one for one in status.get("initContainerStatuses") or () if one["name"] in sidecars),
        *(status.get("ephemeralContainerStatuses") or ()),
    ]
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    return Pod(
        name=meta["name"],
        uid=meta["uid"],
        model=(meta.get("labels") or {}).get(names.LABEL_MODEL) or "",
        node=spec["nodeName"],
        ip=status.get("podIP") or "",
        ready=conditions.get("Ready") == "True",
        containers=tuple(_container(one) for one in statuses),
        shares_host=tuple(name for name in _SHARES if spec.get(name)),
    )


def _container(raw: Mapping[str, Any]) -> Container:
    running = (raw.get("state") or {}).get("running")
    return Container(
        name=raw["name"],
        container_id=(raw.get("containerID") or "").rpartition("://")[2],
        running=running is not None,
        started_at=_moment((running or {}).get("startedAt")),
    )


def service_from(raw: Mapping[str, Any]) -> Service | None:
    """A Service object as it is served; None where it has no address of its own (headless)."""
    address = raw["spec"].get("clusterIP") or "None"
    return None if address == "None" else Service(raw["metadata"]["name"], raw["metadata"]["uid"], address)


def node_from(raw: Mapping[str, Any]) -> Node | None:
    """A Node object as it is served; None while it reports no InternalIP."""
    status = raw.get("status") or {}
    addresses = [one["address"] for one in status.get("addresses") or () if one["type"] == "InternalIP"]
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or 10250
    return Node(raw["metadata"]["name"], addresses[0], port) if addresses else None


def wish_from(raw: Mapping[str, Any]) -> Wish | None:
    """A VerticalModel object as it is served; None where it is on its way out."""
    meta, spec = raw["metadata"], raw["spec"]
    if meta.get("deletionTimestamp"):
        return None
    standard = (spec.get("standard") or {}).get("name") or names.DEFAULT_STANDARD
    bundle = (spec.get("certificate") or {}).get("caBundle") or ""
    return Wish(meta["namespace"], meta["name"], meta["uid"], standard, spec["runtime"]["name"], bundle)


def speaks_from(raw: Mapping[str, Any]) -> Speaks:
    """What a ModelRuntime says of its protocol."""
    spec = raw["spec"]
    posts = (str(route["path"]) for route in spec.get("routes") or () if route.get("method", "POST") == "POST")
    return Speaks(
        protocol=str(spec.get("protocol") or "open-inference-v2"),
        sample_request=str(spec.get("sampleRequest") or ""),
        path=next(posts, ""),
        timeout_seconds=float(spec.get("timeoutSeconds") or Speaks.timeout_seconds),
    )


def lifetimes_from(raw: Mapping[str, Any]) -> dict[str, float]:
    """Seconds that evidence holds, by measure, from an OperatingStandard as it is served; measures of ours only."""
    clauses = raw["spec"].get("clauses") or ()
    return {one["measure"]: float(one["lifetimeSeconds"]) for one in clauses if one["measure"] in MEASURES}
