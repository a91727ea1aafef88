"""Clause 33, one published API to load models: a canary model of our own is loaded, asked and unloaded at one pod.

Under a random name and with a random number in it, so that only a server which really loaded it answers right. A
refusal counts because the same conversation's inference at the served model was answered: the control.
"""

from __future__ import annotations

import base64
import math
import secrets
from datetime import UTC, datetime
from pathlib import Path

import orjson

from verticalmodel.api.evidence import Binding
from verticalmodel.probe.canary import question
from verticalmodel.probe.canary_model import INPUT, OUTPUT, canary_model
from verticalmodel.probe.conversation import DEFAULT_LIMITS, INCONCLUSIVE, AnswerLimits, Conversation, converse
from verticalmodel.probe.measurement import LOADING, Measurement
from verticalmodel.probe.model import Model
from verticalmodel.probe.openinference import json_object
from verticalmodel.probe.trust import Trust
from verticalmodel.probe.world import Pod

__all__ = ["STEPS", "loading"]

METHOD = (
    "load, infer and unload of a canary model by Open Inference v2's repository extension, by the client certificate"
)
STEPS = ("load", "infer", "unload")
DONE = "done"
_CONFIG = '{"backend": "onnxruntime"}'
_REFUSED = range(400, 500)
_TURNS = 1000


async def loading(
    model: Model, pod: Pod, trust: Trust, identity: Path, limits: AnswerLimits = DEFAULT_LIMITS
) -> Measurement:
    """Try it once at one pod; the value is the number of steps that failed. Never raises.

    `identity`: the folder with our client certificate.
    """
    seen: dict[str, str] = {}

    async def talk(guard: Conversation) -> str:
        seen["control"] = await question(guard, model, secrets.randbelow(_TURNS))
        if seen["control"] == "good":
            await _steps(guard, seen)
        return ""

    shown = trust.showing(identity)
    if shown is None:
        failure, seconds = "there is no client certificate to show yet", 0.0
    else:
        failure, seconds = await converse(model, pod, shown, limits, talk)
    failed = [step for step in STEPS if seen.get(step) != DONE]
    known = bool(seen) and all(_is_certain(seen.get(step, "")) for step in STEPS)
    return Measurement(
        measure=LOADING,
        instance=f"pod/{pod.name}",
        unit="failed steps",
        value=float(len(failed)) if known else None,
        samples=max(len(seen), 1),
        window_seconds=seconds,
        method=METHOD,
        binding=Binding(pod_uid=pod.uid),
        observations={
            **seen,
            **({"failure": failure or "not every step came to an end"} if not known else {}),
            **pod.server_seen,
        },
        measured_at=datetime.now(UTC),
    )


async def _steps(guard: Conversation, seen: dict[str, str]) -> None:
    """Load, infer, unload; what was loaded is unloaded, whatever became of the question."""
    name, factor, given = f"canary-{secrets.token_hex(16)}", 2 + secrets.randbelow(500), 1 + secrets.randbelow(500)
    base = f"/v2/repository/models/{name}"
    file = base64.b64encode(canary_model(factor)).decode()
    body = orjson.dumps({"parameters": {"config": _CONFIG, "file:1/model.onnx": file}})
    status, _ = await guard.call("POST", f"{base}/load", body)
    seen["load"] = _outcome(status)
    if seen["load"] != DONE:
        seen |= dict.fromkeys(STEPS[1:], "nothing was loaded")
        return
    try:
        tensor = {"name": INPUT, "datatype": "FP32", "shape": [1], "data": [given]}
        status, answer = await guard.call("POST", f"/v2/models/{name}/infer", orjson.dumps({"inputs": [tensor]}))
        seen["infer"] = _outcome(status) if status != 200 else _answer(answer, name, given * factor)
    finally:
        status, _ = await guard.call("POST", f"{base}/unload", b"{}")
        seen["unload"] = _outcome(status)


def _outcome(status: int) -> str:
    if status == 200:
        return DONE
    return f"refused {status}" if status in _REFUSED else f"{INCONCLUSIVE} {status}"


def _answer(body: bytes, name: str, expected: float) -> str:
    """`done` where the answer is this very model's."""
    answer = json_object(body)
    outputs = answer.get("outputs") if isinstance(answer, dict) else None
    found = outputs[0] if isinstance(outputs, list) and outputs else None
    data = found.get("data") if isinstance(found, dict) and found.get("name") == OUTPUT else None
    value = data[0] if isinstance(data, list) and len(data) == 1 else None
    if isinstance(answer, str) or answer.get("model_name") != name:
        return "wrong: another model's answer"
    right = isinstance(value, int | float) and math.isclose(value, expected, rel_tol=1e-5)
    return DONE if right else "wrong: another number than the model gives"


def _is_certain(said: str) -> bool:
    return bool(said) and not said.startswith(INCONCLUSIVE)
