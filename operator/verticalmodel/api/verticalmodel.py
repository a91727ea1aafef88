"""VerticalModel: a domain model, served and judged."""

from __future__ import annotations

from pydantic import Field

from verticalmodel.api.model_spec import VerticalModelSpec
from verticalmodel.api.model_status import VerticalModelStatus
from verticalmodel.api.schema import AwareDatetime, DnsLabel, KindInfo, Object, PrinterColumn, cel


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
            fieldPath=".metadata.name",
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
