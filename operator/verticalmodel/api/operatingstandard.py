"""OperatingStandard: one edition of a rulebook, as data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from verticalmodel.api.conditions import Condition
from verticalmodel.api.model_status import ClauseStatus
from verticalmodel.api.modelruntime import ClusterMeta
from verticalmodel.api.schema import KindInfo, Object, PrinterColumn, cel, list_map, validations

Line = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Paragraph = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
COMPARISONS = {"AtLeast": "at least", "AtMost": "at most", "Equals": "exactly"}
"""Comparators in words, as they stand before a limit."""


class Clause(Object):
    """One clause: what it demands, how we read it, and which measure judges it."""

    id: int = Field(ge=1, le=9999, description="Number of the clause.")
    condition: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=63)] = Field(
        description="Condition type on the model."
    )
    title: Line = Field(description="The clause in a few words.")
    text: Paragraph = Field(description="What the rulebook demands.")
    reading: Paragraph = Field(description="How it is read where the text leaves room.")
    citation: Line = Field(description="Place in the rulebook.")
    measure: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=63)] = Field(
        description="Name of the measure that judges it; where this operator has none, the clause is Unknown."
    )
    comparator: Literal["AtLeast", "AtMost", "Equals"] = Field(description="How the value compares with the limit.")
    limit: float = Field(description="The limit, in unit.")
    unit: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(
        description="Unit of the limit and of the value."
    )
    parameters: dict[str, Annotated[str, StringConstraints(max_length=253)]] = Field(
        default={}, max_length=32, description="Further figures the measure needs."
    )
    lifetime_seconds: int = Field(
        ge=10, le=34560000, description="How long evidence for this clause holds, in seconds."
    )
    mandatory: bool = Field(default=True, description="Compliant needs every mandatory clause.")
    scope: Literal["Model", "Platform"] = Field(
        default="Model", description="Judged per model, or once for the platform."
    )


class OperatingStandardSpec(Object):
    """One edition; immutable, because a verdict refers to it."""

    title: Line = Field(description="Title of the rulebook.")
    edition: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}(\.[0-9]+)?$", max_length=16)] = Field(
        description="Edition, for example 2026."
    )
    effective: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", max_length=10)] = Field(
        description="First day of validity, YYYY-MM-DD."
    )
    simulation: bool = Field(
        default=False, description="True accepts measurements of fake hardware; for test clusters only."
    )
    clauses: tuple[Clause, ...] = Field(
        min_length=1, max_length=128, description="The clauses.", json_schema_extra=list_map("id")
    )

    model_config = {
        "json_schema_extra": validations(
            cel("self == oldSelf", "an edition is immutable: publish a new OperatingStandard instead"),
            cel(
                "self.clauses.all(c, self.clauses.exists_one(d, d.condition == c.condition))",
                "each clause needs a condition type of its own",
                fieldPath=".clauses",
            ),
        )
    }


class OperatingStandardStatus(Object):
    """The platform-wide clauses, judged once."""

    observed_generation: int | None = Field(default=None, ge=0, description="Generation that the status belongs to.")
    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=128, description="Platform-wide clauses.", json_schema_extra=list_map("type")
    )
    clauses: tuple[ClauseStatus, ...] = Field(
        default=(),
        max_length=128,
        description="Each platform-wide clause with its number.",
        json_schema_extra=list_map("id"),
    )


class OperatingStandard(Object):
    """One edition of a rulebook as data: each clause with its text, our reading, its measure and its limit."""

    metadata: ClusterMeta
    spec: OperatingStandardSpec = Field(description="The edition.")
    status: OperatingStandardStatus = Field(
        default=OperatingStandardStatus(), description="The platform-wide clauses, judged once."
    )


KIND = KindInfo(
    kind="OperatingStandard",
    plural="operatingstandards",
    short_names=("opstd",),
    scope="Cluster",
    status=True,
    columns=(
        PrinterColumn("Edition", ".spec.edition"),
        PrinterColumn("Effective", ".spec.effective"),
        PrinterColumn("Title", ".spec.title", priority=1),
        PrinterColumn("Age", ".metadata.creationTimestamp", type="date"),
    ),
)
