"""Does it answer: one inference through the guard of every serving pod, by an input that harms nobody."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from verticalmodel.api.evidence import Binding
from verticalmodel.probe import openai
from verticalmodel.probe.conversation import DEFAULT_LIMITS, INCONCLUSIVE, AnswerLimits, Conversation, converse
from verticalmodel.probe.measurement import CANARY, Measurement
from verticalmodel.probe.model import Model
from verticalmodel.probe.openinference import (
    UnusableError,
    answer_fault,
    encoded,
    json_object,
    request_body,
    sample_object,
)
from verticalmodel.probe.trust import Trust
from verticalmodel.probe.world import Pod

__all__ = ["ask", "question"]

METHODS = {
    "open-inference-v2": "one Open Inference v2 request with a nonce through the pod's guard",
    "openai": "one OpenAI API request through the pod's guard",
    "Custom": "one sample request through the pod's guard, judged by its status alone",
}


async def ask(model: Model, pod: Pod, trust: Trust, turn: int, limits: AnswerLimits = DEFAULT_LIMITS) -> Measurement:
    """Ask one pod once. Never raises for what the network or the pod does."""
    verdict, seconds = await converse(model, pod, trust, limits, lambda guard: question(guard, model, turn))
    return Measurement(
        measure=CANARY,
        instance=f"pod/{pod.name}",
        unit="s",
        value=None if verdict.startswith(INCONCLUSIVE) else seconds,
        samples=1,
        window_seconds=seconds,
        method=METHODS.get(model.speaks.protocol, model.speaks.protocol),
        binding=Binding(pod_uid=pod.uid),
        observations={"answer": verdict, **pod.server_seen},
        measured_at=datetime.now(UTC),
    )


async def question(with_guard: Conversation, model: Model, turn: int) -> str:
    """`good`, or `bad` and what was wrong; the inputs differ from one `turn` to the next. Raises UnusableError."""
    match model.speaks.protocol:
        case "open-inference-v2":
            return await _open_inference(with_guard, model, turn)
        case "openai":
            return await _openai(with_guard, model)
        case "Custom":
            return await _custom(with_guard, model)
        case unknown:
            raise UnusableError(f"protocol {unknown[:40]} is unknown to this prober")


async def _open_inference(with_guard: Conversation, model: Model, turn: int) -> str:
    base = f"/v2/models/{model.name}"
    status, body = await with_guard.call("GET", base)
    if status != 200:
        return f"bad {status} for the metadata"
    metadata = json_object(body)
    if isinstance(metadata, str):
        return "bad metadata"
    nonce = f"canary-{secrets.token_hex(8)}"
    request = request_body(metadata, model.speaks.sample_request, nonce=nonce, turn=turn)
    status, body = await with_guard.call("POST", f"{base}/infer", request)
    if status != 200:
        return f"bad {status}"
    fault = answer_fault(body, metadata, model=model.name, nonce=nonce)
    return f"bad {fault}" if fault else "good"


async def _openai(with_guard: Conversation, model: Model) -> str:
    path, request = openai.request(
        model.speaks.sample_request, model=model.name, nonce=f"canary-{secrets.token_hex(8)}"
    )
    status, body = await with_guard.call("POST", path, request)
    if status != 200:
        return f"bad {status}"
    fault = openai.answer_fault(body, path=path, model=model.name)
    return f"bad {fault}" if fault else "good"


async def _custom(with_guard: Conversation, model: Model) -> str:
    """Nothing is known of such answers but that 200 says yes; without a sample nothing harmless is known either."""
    speaks = model.speaks
    if not speaks.sample_request or not speaks.path:
        raise UnusableError("a custom protocol needs a sampleRequest and a route with POST")
    request = encoded(sample_object(speaks.sample_request))
    status, _ = await with_guard.call("POST", speaks.path, request)
    return "good" if status == 200 else f"bad {status}"
