"""Evidence: what one measurer saw of one subject (DESIGN section 4). Written by measurers only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from verticalmodel.api.modelruntime import ClusterMeta
from verticalmodel.api.schema import AwareDatetime, Digest, KindInfo, Object, PrinterColumn, cel, list_map, validations

Short = Annotated[str, StringConstraints(min_length=1, max_length=253)]

GENESIS = "sha256:" + "0" * 64
"""Predecessor of the first entry of a chain."""


class Subject(Object):
    """The object that was measured; the uid keeps a re-created namesake apart."""

    kind: Literal["VerticalModel", "OperatingStandard"] = Field(
        default="VerticalModel", description="Kind of the subject."
    )
    name: Short = Field(description="Name of the subject.")
    uid: Short = Field(description="UID of the subject.")


class Binding(Object):
    """What an entry is bound to: gone or changed means no evidence."""

    pod_uid: Short | None = Field(default=None, description="UID of the live pod that was measured (state).")
    node_boot_id: Short | None = Field(default=None, description="Boot id of the node that was measured (state).")
    service_uid: Short | None = Field(default=None, description="UID of the Service that was measured (state).")
    template_digest: Digest | None = Field(default=None, description="Template digest that was measured (event).")


class Observation(Object):
    """One raw fact behind the value."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][A-Za-z0-9.-]*$", max_length=63)] = Field(
        description="What was observed, for example tls1.2."
    )
    value: Annotated[str, StringConstraints(max_length=512)] = Field(description="What was seen.")


class Entry(Object):
    """One measurement of one instance."""

    measure: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=63)] = Field(
        description="What was measured, for example transport-encrypted."
    )
    instance: Annotated[str, StringConstraints(min_length=1, max_length=512)] = Field(
        description="Pod, device, node pair or endpoint that was measured."
    )
    outcome: Literal["Measured", "Inconclusive"] = Field(
        description="Inconclusive: the attempt or its positive control failed, so it says nothing about the subject."
    )
    value: float | None = Field(default=None, description="The measured number; absent when inconclusive.")
    unit: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(description="Unit of the value.")
    samples: int = Field(ge=0, description="How many samples are behind the value.")
    window_seconds: float = Field(ge=0, description="Seconds from the first to the last sample, one monotonic clock.")
    method: Annotated[str, StringConstraints(min_length=1, max_length=512)] = Field(description="How it was measured.")
    source: Short = Field(description="Process that measured: pod and node of the measurer.")
    load: float | None = Field(default=None, ge=0, description="Load average (1 min) per core where the measurer ran.")
    simulated: bool = Field(default=False, description="True when fake hardware was measured.")
    scope: Literal["State", "Event"] = Field(
        description="State is bound to live instances, Event to a template digest."
    )
    binding: Binding = Field(default=Binding(), description="What the entry is bound to.")
    observations: tuple[Observation, ...] = Field(
        default=(), max_length=32, description="Raw facts behind the value.", json_schema_extra=list_map("name")
    )
    measured_at: AwareDatetime = Field(description="When the measurement ended, the measurer's wall clock.")
    expires_at: AwareDatetime = Field(description="Past this moment the entry is no evidence.")
    sequence: int = Field(ge=1, description="Number in this object's chain; never skips, never repeats.")
    previous: Digest = Field(description="Digest of the entry before it in the chain.")
    digest: Digest = Field(description="SHA-256 over the canonical entry (RFC 8785 form) and its predecessor's digest.")


class Head(Object):
    """The newest link of the chain."""

    sequence: int = Field(ge=0, description="Sequence of the newest entry.")
    digest: Digest = Field(description="Digest of the newest entry.")


class EvidenceSpec(Object):
    """All entries of one measurer about one subject; an apply sends all of them."""

    subject: Subject = Field(description="What was measured.")
    measurer: Short = Field(description="Who measured; equals the field manager.")
    head: Head = Field(description="The newest link of the chain.")
    entries: tuple[Entry, ...] = Field(
        default=(),
        max_length=1024,
        description="One per (measure, instance).",
        json_schema_extra=list_map("measure", "instance"),
    )

    model_config = {
        "json_schema_extra": validations(
            cel("self.subject == oldSelf.subject", "the subject of evidence never changes", fieldPath=".subject"),
            cel("self.measurer == oldSelf.measurer", "the measurer of evidence never changes", fieldPath=".measurer"),
            cel(
                "self.head.sequence >= oldSelf.head.sequence",
                "a chain never goes back: head.sequence must not decrease",
                fieldPath=".head.sequence",
            ),
        )
    }


class EvidenceMeta(ClusterMeta):
    """Metadata that the judge reads: the API server's own clock beside the measurer's."""

    namespace: str = ""
    labels: dict[str, str] = {}
    creation_timestamp: AwareDatetime | None = None
    managed_at: AwareDatetime | None = None
    """Newest managedFields time: when the API server last accepted a write."""


class Evidence(Object):
    """What one measurer saw of one subject: one entry per measure and instance, chained, expiring."""

    metadata: EvidenceMeta
    spec: EvidenceSpec = Field(description="The measurements.")


KIND = KindInfo(
    kind="Evidence",
    plural="evidences",
    short_names=("evd",),
    scope="Namespaced",
    columns=(
        PrinterColumn("Subject", ".spec.subject.name"),
        PrinterColumn("Measurer", ".spec.measurer"),
        PrinterColumn("Sequence", ".spec.head.sequence", type="integer"),
        PrinterColumn("Age", ".metadata.creationTimestamp", type="date"),
    ),
)
