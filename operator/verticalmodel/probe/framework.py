"""Clause 6, TensorFlow 2.5 or PyTorch 1.10: what the running server says of its framework, or of the file it loaded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from verticalmodel.api.evidence import Binding
from verticalmodel.probe.conversation import DEFAULT_LIMITS, AnswerLimits, Conversation, converse
from verticalmodel.probe.measurement import FRAMEWORK, Measurement
from verticalmodel.probe.model import Model
from verticalmodel.probe.openinference import UnusableError, json_object
from verticalmodel.probe.trust import Trust
from verticalmodel.probe.world import Pod

__all__ = ["framework", "reported"]

METHOD = "the model's metadata by Open Inference v2: platform and properties"
_PROTOCOL = "open-inference-v2"
_PROPERTIES = {
    "framework_version": "frameworkVersion",
    "producer_name": "producer",
    "producer_version": "producerVersion",
    "opset/ai.onnx": "opset",
    "runtime": "runtime",
    "runtime_version": "runtimeVersion",
}
_TEXT_LIMIT = 120


async def framework(model: Model, pod: Pod, trust: Trust, limits: AnswerLimits = DEFAULT_LIMITS) -> Measurement:
    """Ask one pod once. Its value is 1 where something is reported: which versions do is the judge's. Never raises."""
    found: dict[str, str] = {}

    async def talk(guard: Conversation) -> str:
        if model.speaks.protocol != _PROTOCOL:
            raise UnusableError(f"protocol {model.speaks.protocol[:40]} tells nothing of the framework")
        status, body = await guard.call("GET", f"/v2/models/{model.name}")
        metadata = json_object(body) if status == 200 else f"{status} for the metadata"
        if isinstance(metadata, str):
            return metadata
        found.update(reported(metadata))
        return "" if found else "the metadata names no platform"

    failure, seconds = await converse(model, pod, trust, limits, talk)
    return Measurement(
        measure=FRAMEWORK,
        instance=f"pod/{pod.name}",
        unit="supported",
        value=None if failure else 1.0,
        samples=1,
        window_seconds=seconds,
        method=METHOD,
        binding=Binding(pod_uid=pod.uid),
        observations={
            **found,
            **({"failure": failure} if failure else {}),
            **pod.server_seen,
        },
        measured_at=datetime.now(UTC),
    )


def reported(metadata: Mapping[str, Any]) -> dict[str, str]:
    """What metadata says of the framework, as observations; empty where it names no platform."""
    platform, properties = metadata.get("platform"), metadata.get("properties")
    if not isinstance(platform, str) or not platform:
        return {}
    said = properties if isinstance(properties, dict) else {}
    named = {ours: said[name] for name, ours in _PROPERTIES.items() if isinstance(said.get(name), str) and said[name]}
    return {name: _printable(text) for name, text in {"platform": platform, **named}.items()}


def _printable(text: str) -> str:
    """Text from outside, fit for a log and a status."""
    return "".join(one if one.isprintable() else "?" for one in text[:_TEXT_LIMIT])
