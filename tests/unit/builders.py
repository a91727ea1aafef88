"""Builders of API objects, observed objects and evidence for unit tests: good by default, changed by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from verticalmodel import evidence as chain
from verticalmodel import standard as editions
from verticalmodel.api import names
from verticalmodel.api.evidence import Evidence, EvidenceMeta, EvidenceSpec, Head, Subject
from verticalmodel.api.model_spec import RuntimeRef, VerticalModelSpec
from verticalmodel.api.modelruntime import ClusterMeta
from verticalmodel.api.operatingstandard import Clause, OperatingStandard, OperatingStandardSpec
from verticalmodel.api.schema import parse_quantity
from verticalmodel.api.source import Source
from verticalmodel.api.verticalmodel import OwnMeta, VerticalModel
from verticalmodel.facts import Observed, ObservedContainer, ObservedPod, ObservedService

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MEASURED_AT = NOW - timedelta(seconds=60)
NAME, NAMESPACE, UID = "breast-screening", "radiology", "7d1f9c52-0000-4000-8000-000000000001"
SERVICE_UID = "7d1f9c52-0000-4000-8000-0000000000ff"
DIGEST = "sha256:" + "1" * 64
OLD_DIGEST = "sha256:" + "2" * 64

EDITION = editions.load(names.DEFAULT_STANDARD)

TRANSPORT, SANDBOX, CANARY = "transport-encrypted", "sandbox-enforced", "canary-answer"
OPERATING_SYSTEM, FRAMEWORK, TENANTS = "operating-system-supported", "framework-supported", "tenants-isolated"
ISOLATION, LOADING = "scenarios-isolated", "loading-api-standard"
GPU_MEMORY, MIXED_PRECISION = "gpu-memory-sufficient", "mixed-precision-supported"

Draft = dict[str, Any]


def model(*, generation: int = 1, uid: str = UID, **spec: Any) -> VerticalModel:
    """A model as the API server shows it; keywords change its spec."""
    good = {"runtime": RuntimeRef(name="oip-onnx"), "source": Source(uri="pvc://models/breast"), "replicas": 2}
    return VerticalModel(
        metadata=OwnMeta(name=NAME, namespace=NAMESPACE, uid=uid, generation=generation),
        spec=VerticalModelSpec(**{**good, **spec}),
    )


def clause(number: int) -> Clause:
    """A clause of the default edition."""
    return next(one for one in EDITION.clauses if one.id == number)


def standard(*clauses: Clause, simulation: bool = False) -> OperatingStandard:
    """An OperatingStandard; the default edition where no clauses are given."""
    spec = OperatingStandardSpec(
        title=EDITION.title,
        edition=EDITION.edition,
        effective=EDITION.effective,
        simulation=simulation,
        clauses=clauses or EDITION.clauses,
    )
    return OperatingStandard(metadata=ClusterMeta(name=names.DEFAULT_STANDARD), spec=spec)


def container(name: str = names.CONTAINER_SERVER, *, pod: str = f"{NAME}-a", **changes: Any) -> ObservedContainer:
    """A running container with limits."""
    good = ObservedContainer(
        name=name,
        container_id=hashlib.sha256(f"{pod}/{name}".encode()).hexdigest(),
        running=True,
        limits={"cpu": "250m", "memory": "128Mi"} if name == names.CONTAINER_GUARD else {"cpu": "1", "memory": "1Gi"},
    )
    return replace(good, **changes)


def pod(name: str = f"{NAME}-a", **changes: Any) -> ObservedPod:
    """A Ready pod of the current template with guard and server."""
    good = ObservedPod(
        name=name,
        uid=f"uid-of-{name}",
        node="node-1",
        ip="10.0.0.7",
        phase="Running",
        ready=True,
        deleting=False,
        template_digest=DIGEST,
        shares_host=(),
        containers=(container(names.CONTAINER_GUARD, pod=name), container(pod=name)),
        claims=(f"{name}-gpu-x",),
    )
    return replace(good, **changes)


def service(**changes: Any) -> ObservedService:
    """The model's Service."""
    return replace(ObservedService(name=NAME, uid=SERVICE_UID), **changes)


def draft(measure: str, instance: str, observations: Mapping[str, str], **changes: Any) -> Draft:
    """An entry in wire form, before it is chained; keywords change its fields."""
    return {
        "measure": measure,
        "instance": instance,
        "outcome": "Measured",
        "samples": 1,
        "windowSeconds": 0.5,
        "method": "as the prober does it",
        "source": "verticalmodel-prober-0 on node-9",
        "load": 0.1,
        "simulated": False,
        "scope": "State",
        "observations": [{"name": name, "value": value} for name, value in sorted(observations.items())],
        "measuredAt": MEASURED_AT.isoformat(),
        "expiresAt": (MEASURED_AT + timedelta(seconds=600)).isoformat(),
        **changes,
    }


TLS_REFUSED = {
    "tls1.3": "accepted TLS_AES_256_GCM_SHA384 x25519",
    "tls1.2": "refused alert protocol_version",
    "tls1.1": "refused alert protocol_version",
    "tls1.0": "refused alert protocol_version",
    "plain": "refused closed",
    "control.before": "accepted",
    "control.after": "accepted",
    "control.gapSeconds": "0.021",
    "certificate.verified": "true",
    "certificate.notAfter": "2027-02-21T12:00:00Z",
}


def transport_draft(instance: str, binding: Mapping[str, str], *, value: float = 1.3, **seen: str) -> Draft:
    """A look at an endpoint that speaks TLS 1.3 only; keywords change observations (`tls12` for `tls1.2`)."""
    observations = {**TLS_REFUSED, **{_observation(name): text for name, text in seen.items()}}
    return draft(TRANSPORT, instance, observations, value=value, unit="TLS", samples=6, binding=dict(binding))


def about(owner: ObservedPod, name: str = names.CONTAINER_SERVER) -> dict[str, str]:
    """The observation that a look was about this container of the pod."""
    return {"container": next((one.container_id[:12] for one in owner.containers if one.name == name), "")}


def _observation(keyword: str) -> str:
    dotted = {"tls13": "tls1.3", "tls12": "tls1.2", "tls11": "tls1.1", "tls10": "tls1.0"}
    return dotted.get(keyword, keyword.replace("_", "."))


def guard_draft(owner: ObservedPod, *, value: float = 1.3, **seen: str) -> Draft:
    """A look at a pod's guard that speaks TLS 1.3 only; keywords as for `transport_draft`."""
    about_guard = about(owner, names.CONTAINER_GUARD)
    return transport_draft(f"pod/{owner.name}:8443", {"podUid": owner.uid}, value=value, **{**about_guard, **seen})


def endpoint_drafts(pods: Iterable[ObservedPod], endpoint: ObservedService | None) -> tuple[Draft, ...]:
    """Good looks at every pod and the Service."""
    looks = [guard_draft(one) for one in pods]
    if endpoint is not None:
        looks.append(transport_draft(f"service/{endpoint.name}:443", {"serviceUid": endpoint.uid}))
    return tuple(looks)


def sandbox_draft(owner: ObservedPod, box: ObservedContainer, *, value: float = 0, **seen: str) -> Draft:
    """A look at a live cgroup that has the limits which the container declares; keywords change observations."""
    observations = {
        "container": box.container_id[:12],
        "cgroup": f"/kubepods/pod{owner.uid}/{box.container_id}",
        "memoryLimitBytes": f"{parse_quantity(box.limits.get('memory', '0')):.0f}",
        "cpuQuotaMicroseconds": f"{parse_quantity(box.limits.get('cpu', '0')) * 100_000:.0f}",
        "cpuPeriodMicroseconds": "100000",
        "pidsMax": "1024",
        "processes": "7",
        "memoryWorkingSetBytes": "33554432",
        "sampleAgeSeconds": "4",
        **seen,
    }
    figures = {"value": value, "unit": "missing limits", "binding": {"podUid": owner.uid}}
    return draft(SANDBOX, f"pod/{owner.name}/{box.name}", observations, **figures)


def container_drafts(pods: Iterable[ObservedPod]) -> tuple[Draft, ...]:
    """Good looks at every running container."""
    return tuple(sandbox_draft(one, box) for one in pods for box in one.containers if box.running)


def system_draft(owner: ObservedPod, **seen: str) -> Draft:
    """What the pod's node reports of its system."""
    linux = {"operatingSystem": "linux", "osImage": "Debian GNU/Linux 13", "kernel": "6.12.0-amd64", "node": owner.node}
    figures = {"value": 1.0, "unit": "supported", "binding": {"podUid": owner.uid}}
    return draft(OPERATING_SYSTEM, f"pod/{owner.name}", {**linux, **seen}, **figures)


def framework_draft(owner: ObservedPod, **seen: str) -> Draft:
    """What the pod's server reports of a file that PyTorch wrote."""
    onnx = {"platform": "onnx_onnxv1", "producer": "pytorch", "producerVersion": "2.9.1", "opset": "18"}
    figures = {"value": 1.0, "unit": "supported", "binding": {"podUid": owner.uid}}
    return draft(FRAMEWORK, f"pod/{owner.name}", {**onnx, **about(owner), **seen}, **figures)


def tenants_draft(owner: ObservedPod, *, value: float = 0.0, **seen: str) -> Draft:
    """Every wrong way in refused, and the right one answered."""
    refused = {"noToken": "refused 401", "wrongToken": "refused 401", "expiredToken": "refused 401"}
    refused |= {"otherTenant": "refused 403", "ownToken": "answered"}
    figures = {"value": value, "unit": "wrongly answered requests", "binding": {"podUid": owner.uid}}
    return draft(TENANTS, f"pod/{owner.name}", {**refused, **about(owner), **seen}, **figures)


def gpu(name: str = "gpu-0", *, memory: int = 24_152_899_584, capability: str = "8.9", product: str = "L4") -> str:
    """A GPU in the prober's words; L4 by default, which reports less than 24 GiB and more than 24 GB."""
    return f"gpu.nvidia.com/node-1/{name}: {memory} bytes, capability {capability}, {product}"


def gpu_drafts(owner: ObservedPod, *gpus: str, **changes: Any) -> tuple[Draft, Draft]:
    """Looks at the GPUs that the pod's claims were given, for clauses 1 and 2; one L4 where none is told."""
    found = gpus or (gpu(),)
    told = {f"claim.{place}": name for place, name in enumerate(owner.claims)}
    told |= {f"gpu.{place:02}": text for place, text in enumerate(found)}
    least = min(int(text.split()[1]) for text in found) / 1e9
    binding = {"binding": {"podUid": owner.uid}}
    return (
        draft(GPU_MEMORY, f"pod/{owner.name}", told, **{"value": round(least, 4), "unit": "GB", **binding, **changes}),
        draft(MIXED_PRECISION, f"pod/{owner.name}", told, **{"value": 1.0, "unit": "capable", **binding, **changes}),
    )


def loading_draft(owner: ObservedPod, *, value: float = 0.0, **seen: str) -> Draft:
    """A canary model was loaded, asked and unloaded; keywords change observations."""
    done = {"control": "good", "load": "done", "infer": "done", "unload": "done"}
    figures = {"value": value, "unit": "failed steps", "binding": {"podUid": owner.uid}}
    return draft(LOADING, f"pod/{owner.name}", {**done, **about(owner), **seen}, **figures)


STRANGER_REFUSED = {
    "net.8443": "refused",
    "net.8444": "refused",
    "net.service": "refused",
    "api.secrets": "refused 403",
    "api.persistentvolumeclaims": "refused 403",
    "api.log": "refused 403",
    "control.before": "connected",
    "control.after": "connected",
    "control.identity": "answered 201",
    "control.gapSeconds": "0.031",
    "target.before": "connected",
    "target.after": "connected",
}


def stranger_drafts(owner: ObservedPod, *, value: float = 0.0, **seen: str) -> tuple[Draft, ...]:
    """What strangers on the pod's node and on another were refused; keywords change observations (`net_8443`)."""
    told = {name.replace("_", "."): text for name, text in seen.items()}
    figures = {"value": value, "unit": "crossings", "binding": {"podUid": owner.uid}}
    return tuple(
        draft(ISOLATION, f"pod/{owner.name}/{where}", {**STRANGER_REFUSED, "from": node, **told}, **figures)
        for where, node in (("near", owner.node), ("far", f"not-{owner.node}"))
    )


def event_draft(
    measure: str, event: str, pod_name: str, seconds: float, seen: Mapping[str, str], **changes: Any
) -> Draft:
    """An event of a pod that took so long; `seen` says what was observed, how long it took at least among it."""
    figures = {
        "value": seconds,
        "unit": "s",
        "scope": "Event",
        "windowSeconds": abs(seconds),
        "binding": {"podUid": f"uid-of-{pod_name}", "templateDigest": DIGEST},
    }
    return draft(measure, f"{event}/{pod_name}", seen, **{**figures, **changes})


def canary_draft(owner: ObservedPod, answer: str = "good", **changes: Any) -> Draft:
    """A canary's answer from a pod."""
    good = {"value": 0.02, "unit": "s", "binding": {"podUid": owner.uid}}
    return draft(CANARY, f"pod/{owner.name}", {"answer": answer, **about(owner)}, **{**good, **changes})


def evidence(
    drafts: Iterable[Draft],
    *,
    measurer: str = names.MANAGER_PROBER,
    subject: Subject | None = None,
    managed_at: datetime | None = NOW - timedelta(seconds=59),
    head: Head | None = None,
) -> Evidence:
    """An Evidence object with a chain that holds."""
    entries, newest = chain.extend(head, drafts)
    name = names.evidence_name(NAME, UID, measurer)
    return Evidence(
        metadata=EvidenceMeta(name=name, namespace=NAMESPACE, managed_at=managed_at),
        spec=EvidenceSpec(
            subject=subject or Subject(name=NAME, uid=UID), measurer=measurer, head=newest, entries=entries
        ),
    )


def _as_it_is(found: Evidence) -> Evidence:
    return found


@dataclass(frozen=True)
class World:
    """A model, what runs of it and what was measured: all good by default. `observed()` is what the judge gets."""

    model: VerticalModel = field(default_factory=model)
    standard: OperatingStandard | None = field(default_factory=standard)
    pods: tuple[ObservedPod, ...] = (pod(f"{NAME}-a"), pod(f"{NAME}-b"))
    service: ObservedService | None = field(default_factory=service)
    drafts: tuple[Draft, ...] = ()
    others: tuple[Evidence, ...] = ()
    now: datetime = NOW
    managed_at: datetime | None = NOW - timedelta(seconds=59)
    measurer: str = names.MANAGER_PROBER
    subject: Subject | None = None
    forge: Callable[[Evidence], Evidence] = _as_it_is
    """What somebody did to the object after it was chained."""

    def observed(self) -> Observed:
        """Everything the judge may read."""
        found: tuple[Evidence, ...] = ()
        if self.drafts:
            meta = self.model.metadata
            subject = self.subject or Subject(name=meta.name, uid=meta.uid)
            whole = evidence(self.drafts, measurer=self.measurer, subject=subject, managed_at=self.managed_at)
            found = (self.forge(whole),)
        return Observed(self.model, self.standard, self.pods, self.service, (*found, *self.others), self.now)

    def changed(self, measure: str, instance: str = "", **changes: Any) -> World:
        """The entries of `measure` (of one instance, or all) with changed fields; observations are a mapping."""
        seen = changes.pop("seen", {})
        return replace(self, drafts=tuple(
            _with(one, seen, changes) if one["measure"] == measure and instance in ("", one["instance"]) else one
            for one in self.drafts
        ))  # fmt: skip

    def without(self, measure: str, instance: str = "") -> World:
        """No entries of `measure` (of one instance, or all)."""
        return replace(self, drafts=tuple(
            one for one in self.drafts if not (one["measure"] == measure and instance in ("", one["instance"]))
        ))  # fmt: skip

    def with_pod(self, position: int, **changes: Any) -> World:
        """One pod changed, evidence left as it was."""
        pods = list(self.pods)
        pods[position] = replace(pods[position], **changes)
        return replace(self, pods=tuple(pods))


def _with(one: Draft, seen: Mapping[str, str | None], changes: Mapping[str, Any]) -> Draft:
    observations = {each["name"]: each["value"] for each in one["observations"]} | dict(seen)
    listed = [{"name": name, "value": value} for name, value in sorted(observations.items()) if value is not None]
    return {**one, **changes, "observations": listed}


def good_world(**changes: Any) -> World:
    """Two Ready pods behind a Service, everything measured a minute ago and found good."""
    world = replace(World(), **changes)
    looks = (
        *endpoint_drafts(world.pods, world.service),
        *container_drafts(world.pods),
        *(
            made(one)
            for made in (canary_draft, system_draft, framework_draft, loading_draft, tenants_draft)
            for one in world.pods
        ),
        *(look for one in world.pods for made in (stranger_drafts, gpu_drafts) for look in made(one)),
    )
    return world if world.drafts else replace(world, drafts=looks)
