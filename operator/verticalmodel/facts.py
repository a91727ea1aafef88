"""Values that decisions read: what this cluster offers (plan) and what was observed of one model (judge). Pure.

`shell.gather` fills them from the API; nothing here looks anything up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from verticalmodel.api import names
from verticalmodel.api.evidence import Evidence
from verticalmodel.api.labels import LabelSelector
from verticalmodel.api.modelruntime import ModelRuntime
from verticalmodel.api.operatingstandard import OperatingStandard
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.seal.report import Report


@dataclass(frozen=True)
class IngressController:
    """Where an ingress controller's pods connect from, as the administrator says: a guard opens to nobody unnamed."""

    controller: str
    """`spec.controller` of its IngressClasses."""
    namespaces: LabelSelector | None = None
    cidrs: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    """Hosts are of these or below them; without any, of three labels or more."""


@dataclass(frozen=True)
class IngressClass:
    """An IngressClass of the cluster."""

    name: str
    controller: str
    is_default: bool = False
    created_at: str = ""
    """As the API server writes it: these texts sort by time."""


@dataclass(frozen=True)
class Platform:
    """How the operator was installed: its flags, the same for every model."""

    guard_image: str
    unseal_image: str
    version: str
    system_namespace: str = names.SYSTEM_NAMESPACE
    cluster_domain: str = "cluster.local"
    ingress_controllers: tuple[IngressController, ...] = ()
    prober_authority: str = ""
    """Who signs the prober's client certificate, in PEM form; empty where nobody does."""


@dataclass(frozen=True)
class NodeGpu:
    """A GPU as its node offers it: by ResourceSlice, or by the labels beside the device plugin's resource."""

    product: str
    memory_bytes: int
    capability: tuple[int, int]
    """CUDA compute capability; (0, 0) where nobody says."""


@dataclass(frozen=True)
class Node:
    """What a node offers to models."""

    name: str
    ready: bool
    cordoned: bool
    devices: tuple[NodeGpu, ...] = ()
    """Published for dynamic resource allocation."""
    plugin_devices: tuple[NodeGpu, ...] = ()
    """Offered by the device plugin."""
    labels: Mapping[str, str] = field(default_factory=dict)
    handlers: Mapping[str, bool] = field(default_factory=dict)
    """Its container runtime's handlers, the default one under an empty name: whether each supports user namespaces."""


@dataclass(frozen=True)
class Pin:
    """A pinned pod template: what the model's pods are made of until the user takes an update (DESIGN section 5)."""

    name: str
    key: str
    """Hash of the part of the spec that pods are made of: another key asks for another template."""
    revision: int
    template: Mapping[str, Any]
    extras: Mapping[str, Any] = field(default_factory=dict)
    """Data of the content-named ConfigMap that the template mounts."""
    claim: Mapping[str, Any] | None = None
    """Name and spec of the content-named ResourceClaimTemplate that the template claims by."""
    egress: Sequence[Mapping[str, Any]] | None = None
    """spec.source.egress that it is delivered through; None in what an operator before 0.1 stored."""


@dataclass(frozen=True)
class Facts:
    """What planning one model needs to know of the cluster. None and empty mean: looked up, not there."""

    platform: Platform
    runtime: ModelRuntime | None
    standard: OperatingStandard | None
    runtime_broken: str | None = None
    """Fields of the runtime of that name that break a rule of its kind, where that is why there is none."""
    pin: Pin | None = None
    """The newest pinned template of this model, whatever its key."""
    occupied: frozenset[str] = frozenset()
    """`Kind/name` of objects that bear a child's name and are not ours."""
    nodes: tuple[Node, ...] = ()
    device_classes: frozenset[str] = frozenset()
    """Names of the DeviceClasses."""
    claim_id_mapped: bool = False
    """The claim's volume is known to take id-mapped mounts; looked up where `plan.asks_for_volume` says so."""
    ingress_classes: tuple[IngressClass, ...] = ()
    routed_class: str = ""
    """The IngressClass of the route that stands for the host of spec.exposure; empty where none does."""
    route_kinds: frozenset[str] = frozenset({"Ingress"})
    """Kinds of routes that this cluster serves."""
    cert_manager: bool = False
    """The cluster serves cert-manager's Certificates."""
    host_keeper: str = ""
    """What may be said of the other model that keeps the host of spec.exposure; empty where this one does."""


@dataclass(frozen=True)
class ObservedContainer:
    """A container of a live pod, regular or sidecar."""

    name: str
    container_id: str
    """Without the runtime's scheme (`containerd://`); empty while it does not exist."""
    running: bool
    limits: Mapping[str, str]
    """Limits in force: status.resources where the kubelet reports it, else the live pod's spec."""
    restarts: int = 0
    waiting_reason: str = ""
    exit_message: str = ""
    """What it left in its termination message: never its log, which may hold secrets."""
    exit_code: int | None = None
    """Of its last end; None before the first."""
    exit_reason: str = ""
    """The kubelet's own word for its last end: Error, Completed, OOMKilled, StartError."""
    image: str = ""
    image_id: str = ""
    """Of the image on the node; empty until it is there."""
    started: bool = False
    """Its startup probe has passed since it runs."""
    ephemeral: bool = False
    """Put beside the others to look at them (`kubectl debug`); the pod does not wait for it."""


@dataclass(frozen=True)
class ObservedPod:
    """A live pod of the model, as the API server shows it."""

    name: str
    uid: str
    node: str
    ip: str
    phase: str
    ready: bool
    deleting: bool
    template_digest: str
    shares_host: tuple[str, ...]
    """Of hostPID, hostIPC, hostNetwork, shareProcessNamespace: those that are true."""
    containers: tuple[ObservedContainer, ...]
    """Every container that runs beside the workload: regular, sidecar and ephemeral ones."""
    owned: bool = True
    """A ReplicaSet controls it. One that nobody controls was not made by the model's Deployment: it is an instance that
    may break a clause, and never one that makes a model serve or a clause hold."""
    created_at: datetime | None = None
    delivery: Report | None = None
    """What the init container last said of the parameters; None before its first end."""
    unscheduled: str = ""
    """Why the scheduler has found no node so far, in its own words."""
    preparing: tuple[ObservedContainer, ...] = ()
    """Init containers that have to end before the others start."""
    failure: str = ""
    """Why the whole pod failed, in the kubelet's words (Evicted: ...)."""
    claims_unprepared_since: datetime | None = None
    """When a pod with ResourceClaims got its node, while its sandbox is not up; None otherwise."""
    was_ready: bool = False
    """It is Ready, or was at some time of its life."""
    claims: tuple[str, ...] = ()
    """Names of its ResourceClaims, in order; empty for one that has not been made yet."""
    claim_retries: int = 0
    """How often the pod was touched so that its claims are prepared anew."""

    @property
    def serving(self) -> bool:
        """It may receive traffic or is about to: not finished and not on its way out."""
        return not self.deleting and self.phase not in ("Succeeded", "Failed")


@dataclass(frozen=True)
class ObservedClaim:
    """The PersistentVolumeClaim that the source names."""

    name: str
    phase: str
    """Pending, Bound or Lost; empty where there is no such claim."""


@dataclass(frozen=True)
class ObservedService:
    """The model's Service."""

    name: str
    uid: str


@dataclass(frozen=True)
class Observed:
    """Everything the judge may read about one model. It holds no plan and nothing rendered."""

    model: VerticalModel
    standard: OperatingStandard | None
    pods: tuple[ObservedPod, ...]
    service: ObservedService | None
    evidence: tuple[Evidence, ...]
    now: datetime
    claim: ObservedClaim | None = None
    """Looked at only while a pod finds no node."""
    pods_refused: str = ""
    """What the API server answered when the ReplicaSet tried to make a pod; empty where it takes them."""
