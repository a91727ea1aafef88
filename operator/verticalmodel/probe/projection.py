"""API objects as the prober reads them. Pure.

It reads the objects itself and shares no code with the operator's reading of them: two readers that agree are worth
more than one that is believed twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from verticalmodel.api import names
from verticalmodel.probe.measurement import MEASURES
from verticalmodel.probe.world import Container, End, Node, Pod, Service, Speaks, Stranger, Wish

__all__ = [
    "lifetimes_from",
    "node_from",
    "pod_from",
    "service_from",
    "speaks_from",
    "stranger_from",
    "wish_from",
]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHARES = ("hostPID", "hostIPC", "hostNetwork", "shareProcessNamespace")


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def pod_from(raw: Mapping[str, Any]) -> Pod | None:
    """A Pod object as it is served; None for one that is finished or on its way out."""
    meta, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    if meta.get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    sidecars = {one["name"] for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"}
    statuses: list[Mapping[str, Any]] = [
        *(status.get("containerStatuses") or ()),
        *(one for one in status.get("initContainerStatuses") or () if one["name"] in sidecars),
        # One that has ended never runs again, and its status stays as long as the pod.
        *(
            one
            for one in status.get("ephemeralContainerStatuses") or ()
            if "terminated" not in (one.get("state") or {})
        ),
    ]
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    return Pod(
        name=meta["name"],
        uid=meta["uid"],
        model=(meta.get("labels") or {}).get(names.LABEL_MODEL) or "",
        node=spec.get("nodeName") or "",
        ip=status.get("podIP") or "",
        ready=conditions.get("Ready") == "True",
        containers=tuple(_container(one) for one in statuses),
        shares_host=tuple(name for name in _SHARES if spec.get(name)),
        created_at=_moment(meta.get("creationTimestamp")),
        template_digest=_digest((meta.get("annotations") or {}).get(names.ANNOTATION_TEMPLATE_DIGEST) or ""),
        milestones=_milestones(status),
        ends=tuple(end for one in statuses if (end := _end(one)) is not None),
        ports=_ports(spec),
        claims=_claims(spec, status),
    )


def _ports(spec: Mapping[str, Any]) -> tuple[int, ...]:
    beside = (one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always")
    declared = {
        port["containerPort"]
        for one in (*spec.get("containers", ()), *beside)
        for port in one.get("ports") or ()
        if port.get("protocol", "TCP") == "TCP"
    }
    return tuple(sorted(declared))


def _claims(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[str, ...]:
    made = {one["name"]: one.get("resourceClaimName") or "" for one in status.get("resourceClaimStatuses") or ()}
    named = {one.get("resourceClaimName") or made.get(one["name"], "") for one in spec.get("resourceClaims") or ()}
    extended = (status.get("extendedResourceClaimStatus") or {}).get("resourceClaimName")
    return tuple(sorted(named | ({extended} if extended else set())))


def stranger_from(raw: Mapping[str, Any]) -> Stranger | None:
    """A Pod object of the stranger's namespace; None for one that is not Ready or has no address."""
    pod = pod_from(raw)
    return Stranger(pod.uid, pod.node, pod.ip) if pod is not None and pod.ready and pod.ip else None


def _digest(text: str) -> str:
    """A template's digest; empty where a stranger's pod says something else."""
    return text if _DIGEST.fullmatch(text) else ""


def _milestones(status: Mapping[str, Any]) -> tuple[tuple[str, datetime], ...]:
    conditions = {one["type"]: one for one in status.get("conditions") or () if one["status"] == "True"}
    kinds = ("initContainerStatuses", "containerStatuses")
    states = {one["name"]: one.get("state") or {} for kind in kinds for one in status.get(kind) or ()}
    unseal = states.get(names.CONTAINER_UNSEAL, {}).get("terminated") or {}
    server = states.get(names.CONTAINER_SERVER, {}).get("running") or {}
    ends = (
        ("scheduled", conditions.get("PodScheduled", {}).get("lastTransitionTime")),
        ("image", unseal.get("startedAt")),
        ("unsealed", unseal.get("finishedAt")),
        ("started", server.get("startedAt")),
        ("loaded", conditions.get("Ready", {}).get("lastTransitionTime")),
    )
    return tuple((name, datetime.fromisoformat(moment)) for name, moment in ends if moment)


def _end(raw: Mapping[str, Any]) -> End | None:
    """The newest end of a container whose end clients feel."""
    states = (raw.get("state") or {}, raw.get("lastState") or {})
    ended: Mapping[str, Any] = next((one["terminated"] for one in states if one.get("terminated")), {})
    at = _moment(ended.get("finishedAt"))
    if at is None or raw["name"] not in (names.CONTAINER_GUARD, names.CONTAINER_SERVER):
        return None
    return End(raw["name"], at, int(ended.get("exitCode") or 0), str(ended.get("reason") or ""))


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
    if not addresses:
        return None
    info = status.get("nodeInfo") or {}
    system, image, kernel = (str(info.get(name) or "") for name in ("operatingSystem", "osImage", "kernelVersion"))
    fake = (raw["metadata"].get("labels") or {}).get(names.LABEL_SIMULATED) == "true"
    return Node(raw["metadata"]["name"], addresses[0], port, system, image, kernel, simulated=fake)


def wish_from(raw: Mapping[str, Any]) -> Wish | None:
    """A VerticalModel object as it is served; None where it is on its way out."""
    meta, spec = raw["metadata"], raw["spec"]
    if meta.get("deletionTimestamp"):
        return None
    standard = (spec.get("standard") or {}).get("name") or names.DEFAULT_STANDARD
    bundle = (spec.get("certificate") or {}).get("caBundle") or ""
    asked = (meta.get("annotations") or {}).get(names.ANNOTATION_MEASURE) or ""
    return Wish(
        meta["namespace"], meta["name"], meta["uid"], standard, spec["runtime"]["name"], bundle, _asked_at(asked)
    )


def _asked_at(text: str) -> datetime | None:
    """What a user wrote; None where it is no moment with a time zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


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
