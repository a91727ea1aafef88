"""The status of a VerticalModel: what was observed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from verticalmodel.api.certificate import IssuerRef
from verticalmodel.api.conditions import Condition, Status
from verticalmodel.api.schema import AwareDatetime, Digest, Object, list_map


class ClauseStatus(Object):
    """One clause of the standard, judged."""

    id: int = Field(ge=1, le=9999, description="Number of the clause in the standard.")
    condition: Annotated[str, StringConstraints(max_length=316)] = Field(description="Condition type of the clause.")
    verdict: Status = Field(description="True, False or Unknown.")
    reason: Annotated[str, StringConstraints(max_length=1024)] = Field(description="Why: see the condition reasons.")
    value: float | None = Field(default=None, description="The worst measured number, in unit.")
    unit: Annotated[str, StringConstraints(max_length=63)] | None = Field(
        default=None, description="Unit of value and limit."
    )
    limit: float | None = Field(default=None, description="The standard's limit.")
    instance: Annotated[str, StringConstraints(max_length=512)] | None = Field(
        default=None, description="The instance that was worst: pod, device, node pair or endpoint."
    )
    valid_until: AwareDatetime | None = Field(
        default=None, description="A reader past this moment treats True as Unknown."
    )


class StartPhase(Object):
    """One phase of a start."""

    name: Annotated[str, StringConstraints(max_length=63)] = Field(description="scheduled, image, fetched, loaded, ...")
    seconds: float = Field(ge=0, description="Seconds from the pod's creation to the end of this phase.")
    source: Annotated[str, StringConstraints(max_length=253)] = Field(
        description="Where the figure comes from, with its precision."
    )


class Start(Object):
    """The last start of a serving pod, phase by phase."""

    pod: Annotated[str, StringConstraints(max_length=253)] = Field(description="Name of the pod.")
    kind: Literal["Cold", "Warm", "Unknown"] = Field(
        description="Cold only with a real image pull and no cached artifact."
    )
    seconds: float | None = Field(default=None, ge=0, description="Pod creation to the first good answer.")
    phases: tuple[StartPhase, ...] = Field(
        default=(), max_length=16, description="Where the seconds went.", json_schema_extra=list_map("name")
    )


class CertificateStatus(Object):
    """The serving certificate, public facts only."""

    not_after: AwareDatetime = Field(description="When it expires.")
    fingerprint: Digest | None = Field(
        default=None, description="SHA-256 of the certificate; absent where the operator has not seen it (issuerRef)."
    )
    issuer: Digest | None = Field(
        default=None, description="SHA-256 of the built-in certificate authority, where that signed it."
    )
    issuer_ref: IssuerRef | None = Field(default=None, description="The issuer of cert-manager that was asked for it.")
    renewal_time: AwareDatetime | None = Field(default=None, description="When cert-manager renews it.")
    host: Annotated[str, StringConstraints(max_length=253)] | None = Field(
        default=None, description="Host of spec.exposure that it bears beside the names of the Service."
    )


class VerticalModelStatus(Object):
    """What was observed; written by the operator only."""

    observed_generation: int | None = Field(default=None, ge=0, description="Generation that the status belongs to.")
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=128,
        description="Ready, Compliant, ... and one per clause.",
        json_schema_extra=list_map("type"),
    )
    clauses: tuple[ClauseStatus, ...] = Field(
        default=(), max_length=128, description="Each clause with its number.", json_schema_extra=list_map("id")
    )
    met: Annotated[str, StringConstraints(max_length=16)] | None = Field(
        default=None, description="Clauses True / clauses in the standard."
    )
    url: Annotated[str, StringConstraints(max_length=2048)] | None = Field(
        default=None,
        description="Where clients reach the model: its exposed host where a route stands, else its Service.",
    )
    replicas: int | None = Field(default=None, ge=0, description="Serving pods that exist.")
    ready_replicas: int | None = Field(default=None, ge=0, description="Serving pods that are Ready.")
    selector: Annotated[str, StringConstraints(max_length=2048)] | None = Field(
        default=None, description="Label selector of the serving pods."
    )
    template_digest: Digest | None = Field(default=None, description="Digest of the pinned pod template.")
    certificate: CertificateStatus | None = Field(default=None, description="The serving certificate.")
    last_start: Start | None = Field(default=None, description="The last start, phase by phase.")
    measured_since: AwareDatetime | None = Field(
        default=None, description="When somebody last asked for measurements (vmodel measure) and got them."
    )
    valid_until: AwareDatetime | None = Field(
        default=None, description="Earliest expiry behind any True; past it, treat every True as Unknown."
    )
