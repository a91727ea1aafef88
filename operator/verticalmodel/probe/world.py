"""What exists in the cluster: pods, Services, nodes, strangers, and what a model asks for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from verticalmodel.api import names
from verticalmodel.api.evidence import Binding
from verticalmodel.probe.measurement import CONTAINER

__all__ = [
    "Container",
    "End",
    "Expected",
    "Node",
    "Pod",
    "Service",
    "Speaks",
    "Stranger",
    "Wish",
    "short",
]


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
    claims: tuple[str, ...] = ()
    """Names of its ResourceClaims, in order; empty for one that has not been made yet."""

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
    simulated: bool = False
    """Its hardware is marked as fake."""


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


def short(container_id: str) -> str:
    """The short form of a container id, as crictl shows it."""
    return container_id[:12]
