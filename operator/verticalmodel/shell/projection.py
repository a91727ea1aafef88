"""What the caches keep of an object: small values instead of bodies (DESIGN section 5). Pure."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from pydantic import ValidationError

from verticalmodel.api import names
from verticalmodel.api.evidence import Evidence
from verticalmodel.facts import ObservedContainer, ObservedPod, Pin
from verticalmodel.ownership import Ownership, ownership
from verticalmodel.seal.report import Report, parse

_WHOLE_NUMBER = re.compile(r"[0-9]{1,15}")
_AT_ONCE = timedelta(seconds=1)  # API times are whole seconds, and the two are not written in one instant
# What the scheduler adds of preemption repeats its reasons, and of a claim that is not there it says so twice.
_PREEMPTION = re.compile(
    r"[.,]? (?:no new claims to deallocate, |still not schedulable, )?preemption: |(?<=not found)\. not found"
)
_HOST_FLAGS = ("hostPID", "hostIPC", "hostNetwork", "shareProcessNamespace")


@dataclass(frozen=True, slots=True)
class Packed:
    """A JSON value, compressed: a thousand models with 40 conditions each would not fit the memory goal otherwise."""

    data: bytes

    @classmethod
    def of(cls, value: Any) -> Packed:
        """Compress any JSON value."""
        return cls(zlib.compress(orjson.dumps(value), 1))

    def open(self) -> Any:
        """The value again."""
        return orjson.loads(zlib.decompress(self.data))


@dataclass(frozen=True, slots=True)
class Child:
    """A child object, as its metadata shows it."""

    uid: str
    version: int
    owner_uid: str
    model: str
    component: str
    applied_hash: str
    deleting: bool
    ingress_class: str
    stamp: int
    """Changes with the spec and, where the kind counts generations, with nothing else."""
    fields: Packed
    """managedFields: who set what."""

    @property
    def ownership(self) -> Ownership:
        """Our half and the others' half of managedFields."""
        return ownership(self.fields.open(), names.MANAGER_CHILDREN)

    def has_condition(self, kind: str) -> bool:
        """Whether its status holds a condition of this type, whatever the condition says: managedFields name it."""
        key = f'k:{{"type":"{kind}"}}'
        statuses = ((entry.get("fieldsV1") or {}).get("f:status") or {} for entry in self.fields.open())
        return any(key in (status.get("f:conditions") or {}) for status in statuses)


@dataclass(frozen=True, slots=True)
class Revision:
    """A ControllerRevision: a child that also remembers a pinned template."""

    child: Child
    number: int
    packed: Packed

    def pin(self) -> Pin:
        """The pinned template."""
        name, key, data = self.packed.open()
        return Pin(name, key, self.number, data["template"], data["guard"], data.get("claim"), data.get("egress"))


def version_of(obj: Mapping[str, Any]) -> int:
    """ResourceVersion as a number: comparable within one resource (KEP-5504)."""
    return int(obj["metadata"]["resourceVersion"])


def child(obj: Mapping[str, Any]) -> Child:
    """Projection of any child from its metadata."""
    meta = obj["metadata"]
    labels = meta.get("labels") or {}
    owner = next((ref["uid"] for ref in meta.get("ownerReferences") or () if ref.get("controller")), "")
    return Child(
        uid=meta["uid"],
        version=version_of(obj),
        owner_uid=owner,
        model=labels.get(names.LABEL_MODEL, ""),
        component=labels.get(names.LABEL_COMPONENT, ""),
        applied_hash=(meta.get("annotations") or {}).get(names.ANNOTATION_APPLIED_HASH, ""),
        deleting="deletionTimestamp" in meta,
        ingress_class=(meta.get("annotations") or {}).get(names.ANNOTATION_INGRESS_CLASS, ""),
        stamp=meta.get("generation") or version_of(obj),
        fields=Packed.of(meta.get("managedFields") or []),
    )


def revision(obj: Mapping[str, Any]) -> Revision:
    """Projection of a ControllerRevision."""
    meta = obj["metadata"]
    key = (meta.get("annotations") or {}).get(names.ANNOTATION_PIN, "")
    return Revision(child(obj), obj["revision"], Packed.of((meta["name"], key, obj.get("data") or {})))


@dataclass(frozen=True, slots=True)
class Pod:
    """A serving pod and the model it belongs to."""

    model: str
    observed: ObservedPod


def pod(obj: Mapping[str, Any]) -> Pod:
    """Projection of a pod."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    statuses = {
        entry["name"]: entry
        for field in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
        for entry in status.get(field) or ()
    }
    first = spec.get("initContainers") or ()
    beside = [*(entry for entry in first if entry.get("restartPolicy") == "Always"), *spec["containers"]]
    debug = spec.get("ephemeralContainers") or ()
    conditions = {entry["type"]: entry for entry in status.get("conditions") or ()}
    return Pod(
        model=(meta.get("labels") or {}).get(names.LABEL_MODEL, ""),
        observed=ObservedPod(
            name=meta["name"],
            uid=meta["uid"],
            node=spec.get("nodeName") or "",
            ip=status.get("podIP") or "",
            phase=status.get("phase") or "Unknown",
            ready=_says(conditions, "Ready") == "True",
            deleting="deletionTimestamp" in meta,
            template_digest=(meta.get("annotations") or {}).get(names.ANNOTATION_TEMPLATE_DIGEST, ""),
            shares_host=tuple(flag for flag in _HOST_FLAGS if spec.get(flag)),
            containers=(
                *(_container(entry, statuses.get(entry["name"], {})) for entry in beside),
                *(_container(entry, statuses.get(entry["name"], {}), ephemeral=True) for entry in debug),
            ),
            owned=any(
                one.get("controller") and one["kind"] == "ReplicaSet" for one in meta.get("ownerReferences") or ()
            ),
            created_at=datetime.fromisoformat(meta["creationTimestamp"]),
            delivery=_delivery(statuses.get(names.CONTAINER_UNSEAL, {})),
            unscheduled=_unscheduled(conditions),
            preparing=tuple(
                _container(entry, statuses.get(entry["name"], {}))
                for entry in first
                if entry.get("restartPolicy") != "Always"
            ),
            failure=_failure(status),
            was_ready=_was_ready(status, conditions),
            claims_unprepared_since=_claims_unprepared_since(spec, conditions),
            claims=_claims(spec, status),
            claim_retries=whole_number((meta.get("annotations") or {}).get(names.ANNOTATION_CLAIM_RETRY)),
        ),
    )


def preflight_pod(obj: Mapping[str, Any]) -> Pod:
    """Projection of a pre-flight's pod."""
    return replace(pod(obj), model=(obj["metadata"].get("labels") or {}).get(names.LABEL_PREFLIGHT_OF, ""))


def _delivery(status: Mapping[str, Any]) -> Report | None:
    """The report of the init container that delivers the parameters: of this end, or of the last one."""
    ends = [(status.get(field) or {}).get("terminated") or {} for field in ("state", "lastState")]
    said = (parse(end.get("message") or "") for end in ends if end)
    return next((report for report in said if report is not None), None)


def _says(conditions: Mapping[str, Mapping[str, Any]], kind: str) -> str:
    """Status of a condition; empty where there is none."""
    return str(conditions[kind]["status"]) if kind in conditions else ""


def _was_ready(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether it is or was Ready: a kubelet says so first when it takes the pod, and again only where that changes."""
    if _says(conditions, "Ready") in ("", "True"):
        return "Ready" in conditions
    began, changed = status.get("startTime"), conditions["Ready"].get("lastTransitionTime")
    if not began or not changed:
        # Who knows.
        return True
    # A clock that was set back tells nothing either.
    return abs(datetime.fromisoformat(changed) - datetime.fromisoformat(began)) > _AT_ONCE


def _unscheduled(conditions: Mapping[str, Mapping[str, Any]]) -> str:
    """What the scheduler says of a pod for which it finds no node; a pod that is Ready has one, whatever is said."""
    if _says(conditions, "PodScheduled") != "False" or _says(conditions, "Ready") == "True":
        return ""
    said = conditions["PodScheduled"]
    words = _PREEMPTION.split(str(said.get("message") or ""))[0] or str(said.get("reason") or "no node")
    return words[:512]


def _claims_unprepared_since(spec: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> datetime | None:
    """Claims are prepared before the sandbox is made (KEP-4381, KEP-3085)."""
    placed = spec.get("nodeName") and _says(conditions, "PodScheduled") == "True"
    if not spec.get("resourceClaims") or not placed or _says(conditions, "PodReadyToStartContainers") == "True":
        return None
    since = conditions["PodScheduled"].get("lastTransitionTime")  # null where its writer gave none
    return datetime.fromisoformat(since) if since else None


def _claims(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the claims that it asks for or was given for an extended resource (KEP-5004)."""
    made = {one["name"]: one.get("resourceClaimName") for one in status.get("resourceClaimStatuses") or ()}
    claims = [one.get("resourceClaimName") or made.get(one["name"]) for one in spec.get("resourceClaims") or ()]
    extended = (status.get("extendedResourceClaimStatus") or {}).get("resourceClaimName")
    return tuple(sorted({one or "" for one in claims} | ({extended} if extended else set())))


def whole_number(text: str | None) -> int:
    """A number that somebody else wrote on an object as text; 0 where it is none, or longer than any that is meant."""
    return int(text) if text is not None and _WHOLE_NUMBER.fullmatch(text) else 0


def _failure(status: Mapping[str, Any]) -> str:
    """Why the whole pod failed: evicted, refused by its node."""
    if status.get("phase") != "Failed":
        return ""
    words = (status.get("reason"), status.get("message"))
    return ": ".join(word for word in words if word)[:512] or "Failed"


def _container(spec: Mapping[str, Any], status: Mapping[str, Any], *, ephemeral: bool = False) -> ObservedContainer:
    state = status.get("state") or {}
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    in_force = (status.get("resources") or {}).get("limits") or (spec.get("resources") or {}).get("limits") or {}
    return ObservedContainer(
        name=spec["name"],
        container_id=(status.get("containerID") or "").partition("://")[2],
        running="running" in state,
        limits=dict(in_force),
        restarts=status.get("restartCount", 0),
        waiting_reason=(state.get("waiting") or {}).get("reason", ""),
        exit_message=(ended.get("message") or "")[:512],
        exit_code=ended.get("exitCode"),
        exit_reason=ended.get("reason") or "",
        image=spec.get("image") or "",
        image_id=status.get("imageID") or "",
        started=bool(status.get("started")),
        ephemeral=ephemeral,
    )


def evidence(obj: Mapping[str, Any]) -> tuple[str, Packed]:
    """Projection of an Evidence object: the subject's name, and the body with the API server's own time in it."""
    meta = obj["metadata"]
    written = [entry["time"] for entry in meta.get("managedFields") or () if entry.get("time")]
    kept = {key: meta[key] for key in ("name", "namespace", "uid", "labels", "creationTimestamp") if key in meta}
    if written:
        kept["managedAt"] = max(written)
    return obj["spec"]["subject"]["name"], Packed.of({"metadata": kept, "spec": obj["spec"]})


def read_evidence(packed: Packed) -> Evidence | None:
    """The typed Evidence object; None for one that cannot be read, which says nothing then.

    The API server's schema lets through a few that are none: the 30th of February, for one.
    """
    try:
        return Evidence.model_validate(packed.open())
    except ValidationError:
        return None
