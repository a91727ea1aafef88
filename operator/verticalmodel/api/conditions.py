"""Conditions, their types and reasons. Types and reasons are API: documented, never renamed lightly."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from verticalmodel.api.schema import AwareDatetime, Object

Status = Literal["True", "False", "Unknown"]

READY = "Ready"
COMPLIANT = "Compliant"
NO_KNOWN_BREACH = "NoKnownBreach"
ACCEPTED = "Accepted"
PROGRESSING = "Progressing"
EXPOSED = "Exposed"
FAILOVER_ARMED = "FailoverArmed"
UPDATE_PENDING = "UpdatePending"

MESSAGE_LIMIT = 1024


class ClauseReason(StrEnum):
    """Why a clause has its verdict (DESIGN section 2)."""

    MEASURED = "Measured"
    THRESHOLD_EXCEEDED = "ThresholdExceeded"
    NOT_MEASURED = "NotMeasured"
    EVIDENCE_EXPIRED = "EvidenceExpired"
    PROBE_FAILED = "ProbeFailed"
    INCONSISTENT = "Inconsistent"
    ACCRUING = "Accruing"
    MANUALLY_ATTESTED = "ManuallyAttested"
    NOT_APPLICABLE = "NotApplicable"
    WAIVED = "Waived"
    SIMULATED = "Simulated"
    JUDGE_FAILED = "JudgeFailed"


class Condition(Object):
    """One observation of the object's state, in the form of metav1.Condition."""

    type: Annotated[str, StringConstraints(max_length=316)] = Field(description="What is observed, in PascalCase.")
    status: Status = Field(description="True, False or Unknown. True is only ever earned by measurement.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(
        description="A stable machine-readable cause, documented per condition type."
    )
    message: Annotated[str, StringConstraints(max_length=32768)] = Field(
        default="", description="For people: what was seen, the limit, and the next step. Holds no age and no secret."
    )
    last_transition_time: AwareDatetime = Field(description="When the status last changed.")
    observed_generation: int | None = Field(
        default=None, ge=0, description="metadata.generation that this observation belongs to."
    )
