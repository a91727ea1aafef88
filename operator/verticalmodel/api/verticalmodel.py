"""VerticalModel: what the user wants served."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from verticalmodel.api import names
from verticalmodel.api.conditions import Condition, Status
from verticalmodel.api.schema import (
    AwareDatetime,
    DnsLabel,
    KindInfo,
    Object,
    PrinterColumn,
    Quantity,
    at_least,
    cel,
    list_map,
    validations,
)

PVC_URI = r"^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$"
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$", max_length=317
    ),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=253)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[a-f0-9]{64}$", max_length=71)]


class RuntimeRef(Object):
    """Which ModelRuntime serves the model."""

    name: Name = Field(description="Name of a ModelRuntime, for example oip-onnx.")


class StandardRef(Object):
    """Which OperatingStandard judges the model."""

    name: Name = Field(description="Name of an OperatingStandard, for example vlm-2026.")


class Source(Object):
    """Where the model's parameters come from."""

    uri: Annotated[str, StringConstraints(pattern=PVC_URI, max_length=1024)] = Field(
        description="pvc://CLAIM/PATH: a file or folder in a PersistentVolumeClaim of the model's namespace."
    )
    digest: Digest | None = Field(
        default=None,
        description="Digest of the artifact (sha256:...). A version that cannot verify it refuses the model.",
    )
    format: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=63)] = Field(
        default="onnx", description="Format of the parameters; the runtime must list it."
    )


class Resources(Object):
    """What the server container gets; requests equal limits, so that a neighbour cannot take it away."""

    cpu: Quantity = Field(default="1", description="Cores of the server container, for example 2 or 500m.")
    memory: Quantity = Field(
        default="1Gi", description="Memory of the server container, for example 4Gi; at least 64Mi."
    )

    model_config = {"json_schema_extra": validations(at_least("memory", "64Mi"), at_least("cpu", "10m"))}


class Startup(Object):
    """The start budget and what an overrun does."""

    budget_seconds: int | None = Field(
        default=None,
        ge=1,
        le=86400,
        description="Seconds from the pod's creation to the first good answer. Default: the standard's limit; may be "
        "stricter, never looser.",
    )
    enforcement: Literal["Enforce", "Report"] = Field(
        default="Enforce",
        description="Enforce restarts a server that overruns the budget; Report lets it go on, non-compliant.",
    )


class LabelSelectorRequirement(Object):
    """One requirement of a label selector."""

    key: LabelKey = Field(description="Label key, for example team or example.com/team.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How the values are compared.")
    values: tuple[LabelValue, ...] = Field(default=(), max_length=64, description="Values for In and NotIn.")

    # What Kubernetes itself demands of a selector: else it would be refused only when a NetworkPolicy is made of it.
    model_config = {
        "json_schema_extra": validations(
            cel(
                "(self.operator in ['In', 'NotIn']) == (size(self.values) > 0)",
                "In and NotIn need values, Exists and DoesNotExist have none",
                fieldPath=".values",
            )
        )
    }


class LabelSelector(Object):
    """Selects namespaces by label; an empty selector selects every namespace."""

    match_labels: dict[str, LabelValue] = Field(default={}, max_length=64, description="Labels that must all match.")
    match_expressions: tuple[LabelSelectorRequirement, ...] = Field(
        default=(), max_length=64, description="Requirements that must all hold."
    )

    # Atomic, as in Kubernetes: selectors of two writers merged would select what neither meant.
    model_config = {
        "json_schema_extra": {
            "x-kubernetes-map-type": "atomic",
            **validations(
                cel(
                    "self.matchLabels.all(key, !format.qualifiedName().validate(key).hasValue())",
                    "the keys of matchLabels must be label keys, for example team or example.com/team",
                    fieldPath=".matchLabels",
                )
            ),
        }
    }


class Access(Object):
    """Who may connect to the model's guard port."""

    namespace_selector: LabelSelector | None = Field(
        default=None, description="Namespaces whose pods may connect. Default: the model's own namespace only."
    )


class VerticalModelSpec(Object):
    """What the user wants served."""

    runtime: RuntimeRef = Field(description="How the model is served.")
    source: Source = Field(description="Where the model's parameters come from.")
    replicas: int = Field(default=1, ge=0, le=1000, description="Serving pods; the scale subresource changes it.")
    suspend: bool = Field(
        default=False, description="True stops serving and keeps everything else; Ready says Suspended."
    )
    resources: Resources = Field(default=Resources(), description="What each serving pod's server gets.")
    startup: Startup = Field(default=Startup(), description="The start budget and its enforcement.")
    access: Access = Field(default=Access(), description="Who may connect.")
    standard: StandardRef = Field(
        default=StandardRef(name=names.DEFAULT_STANDARD), description="The rulebook that judges the model."
    )
    update: Annotated[str, StringConstraints(max_length=63)] = Field(
        default="",
        description="Any new value takes what UpdatePending offers (new operator defaults, a changed runtime); so does "
        "any other change of what the pods are made of.",
    )


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
    fingerprint: Digest = Field(description="SHA-256 of the certificate.")
    issuer: Digest = Field(description="SHA-256 of the certificate authority that signed it.")


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
        default=None, description="Where clients inside the cluster reach the model."
    )
    replicas: int | None = Field(default=None, ge=0, description="Serving pods that exist.")
    ready_replicas: int | None = Field(default=None, ge=0, description="Serving pods that are Ready.")
    selector: Annotated[str, StringConstraints(max_length=2048)] | None = Field(
        default=None, description="Label selector of the serving pods."
    )
    template_digest: Digest | None = Field(default=None, description="Digest of the pinned pod template.")
    certificate: CertificateStatus | None = Field(default=None, description="The serving certificate.")
    last_start: Start | None = Field(default=None, description="The last start, phase by phase.")
    valid_until: AwareDatetime | None = Field(
        default=None, description="Earliest expiry behind any True; past it, treat every True as Unknown."
    )


class OwnMeta(Object):
    """The part of metadata that decisions read."""

    name: DnsLabel
    namespace: str
    uid: str
    generation: int = 1
    resource_version: str = ""
    deletion_timestamp: AwareDatetime | None = None
    creation_timestamp: AwareDatetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class VerticalModel(Object):
    """A domain model, served on GPUs, sandboxed, encrypted, and judged clause by clause from measurements."""

    metadata: OwnMeta
    spec: VerticalModelSpec = Field(description="What the user wants served.")
    status: VerticalModelStatus = Field(default=VerticalModelStatus(), description="What was observed.")


_MODEL_NAME = "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"
_MODEL_NAME_IS = (
    "a DNS label: at most 63 lower-case letters, digits and dashes, starting with a letter and ending with a letter or "
    "digit; the Service has the same name"
)

KIND = KindInfo(
    kind="VerticalModel",
    plural="verticalmodels",
    short_names=("vmodel",),
    scope="Namespaced",
    status=True,
    scale={
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    },
    root_rules=(
        cel(
            f"self.metadata.name.matches('{_MODEL_NAME}')",
            f"metadata.name must be {_MODEL_NAME_IS}",
            messageExpression=f"self.metadata.name + ' is no name for a model: metadata.name must be {_MODEL_NAME_IS}'",
        ),
    ),
    columns=(
        PrinterColumn("Ready", ".status.conditions[?(@.type=='Ready')].status", description="It serves."),
        PrinterColumn(
            "Compliant", ".status.conditions[?(@.type=='Compliant')].status", description="All mandatory clauses hold."
        ),
        PrinterColumn("Met", ".status.met", description="Clauses True / clauses in the standard."),
        PrinterColumn("URL", ".status.url"),
        PrinterColumn(
            "ColdStart",
            ".status.clauses[?(@.condition=='ColdStartWithinBudget')].value",
            type="number",
            description="Seconds.",
        ),
        PrinterColumn("Reason", ".status.conditions[?(@.type=='Ready')].reason"),
        PrinterColumn("Age", ".metadata.creationTimestamp", type="date"),
        PrinterColumn(
            "Transport",
            ".status.conditions[?(@.type=='TransportEncrypted')].status",
            priority=1,
            description="Clause 13.",
        ),
        PrinterColumn(
            "Sandbox", ".status.conditions[?(@.type=='SandboxEnforced')].status", priority=1, description="Clause 30."
        ),
        PrinterColumn("Valid Until", ".status.validUntil", type="string", priority=1),
    ),
)
