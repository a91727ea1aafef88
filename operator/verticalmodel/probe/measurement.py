"""What one look at one instance found, before it becomes a link of the evidence chain. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from verticalmodel.api.evidence import Binding, Entry

__all__ = [
    "CANARY",
    "CONTAINER",
    "FRAMEWORK",
    "GPU_MEMORY",
    "ISOLATION",
    "LOADING",
    "MEASURES",
    "MIXED_PRECISION",
    "OPERATING_SYSTEM",
    "RESTART",
    "SANDBOX",
    "START",
    "TENANTS",
    "TRANSPORT",
    "Key",
    "Measurement",
    "gist",
    "key_of",
]

TRANSPORT = "transport-encrypted"
SANDBOX = "sandbox-enforced"
CANARY = "canary-answer"
OPERATING_SYSTEM = "operating-system-supported"
FRAMEWORK = "framework-supported"
GPU_MEMORY = "gpu-memory-sufficient"
MIXED_PRECISION = "mixed-precision-supported"
LOADING = "loading-api-standard"
TENANTS = "tenants-isolated"
ISOLATION = "scenarios-isolated"
START = "cold-start"
RESTART = "restart-within-budget"
MEASURES = (
    TRANSPORT,
    SANDBOX,
    CANARY,
    OPERATING_SYSTEM,
    FRAMEWORK,
    GPU_MEMORY,
    LOADING,
    MIXED_PRECISION,
    TENANTS,
    ISOLATION,
    START,
    RESTART,
)
CONTAINER = "container"
"""Observation that names the container a look was about, in short form: a restarted one needs a new look."""

Key = tuple[str, str]
"""(measure, instance): what tells entries of one Evidence object apart."""

# Figures that differ at every look without meaning anything: they alone are no reason to write.
_VOLATILE = frozenset(
    {"control.gapSeconds", "from", "memoryWorkingSetBytes", "processes", "sampleAgeSeconds", "stranger"}
)
_TEXT_LIMIT = 512


@dataclass(frozen=True)
class Measurement:
    """One look at one instance."""

    measure: str
    instance: str
    unit: str
    value: float | None
    """None: inconclusive, the look says nothing about the subject."""
    samples: int
    window_seconds: float
    method: str
    binding: Binding
    observations: Mapping[str, str]
    measured_at: datetime
    unsettling: bool = False
    """Inconclusive, but by the subject's own doing (another certificate): earlier evidence no longer holds."""
    simulated: bool = False
    """Fake hardware was measured."""
    scope: Literal["State", "Event"] = "State"
    """State: what is so while the instance lives. Event: what happened once."""

    @property
    def key(self) -> Key:
        """(measure, instance)."""
        return (self.measure, self.instance)

    @property
    def conclusive(self) -> bool:
        """It says something about the subject."""
        return self.value is not None

    def draft(self, *, source: str, load: float, lifetime: float) -> dict[str, Any]:
        """The entry in wire form, without its place in the chain; `lifetime` in seconds, `load` per core."""
        return {
            "measure": self.measure,
            "instance": self.instance,
            "outcome": "Measured" if self.conclusive else "Inconclusive",
            "value": None if self.value is None else round(self.value, 4),
            "unit": self.unit,
            "samples": self.samples,
            "windowSeconds": round(self.window_seconds, 4),
            "method": self.method,
            "source": source,
            "load": round(load, 2),
            "simulated": self.simulated,
            "scope": self.scope,
            "binding": self.binding.wire(),
            "observations": [
                {"name": name, "value": value[:_TEXT_LIMIT]} for name, value in sorted(self.observations.items())
            ],
            "measuredAt": self.measured_at.isoformat(),
            "expiresAt": (self.measured_at + timedelta(seconds=lifetime)).isoformat(),
        }


def key_of(entry: Entry) -> Key:
    """(measure, instance) of a recorded entry."""
    return (entry.measure, entry.instance)


def gist(looked: Measurement | Entry) -> tuple[object, ...]:
    """The part that a verdict can depend on: two looks with the same gist need no write between them."""
    if isinstance(looked, Entry):
        observations = {one.name: one.value for one in looked.observations}
    else:
        observations = dict(looked.observations)
    # The canary's value is how long the answer took; only whether it was good decides anything.
    value = None if looked.measure == CANARY or looked.value is None else round(looked.value, 4)
    if looked.measure == CANARY:
        # What is wrong with it is the subject's to choose, so it must not cause a write each time.
        observations = {name: text.partition(" ")[0] for name, text in observations.items()}
    facts = tuple(sorted((name, text[:_TEXT_LIMIT]) for name, text in observations.items() if name not in _VOLATILE))
    return (looked.measure, looked.instance, value, looked.simulated, looked.binding, facts)
