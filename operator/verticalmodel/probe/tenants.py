"""Clause 31, tenants isolated by token and key: who asks without a token, or with one that is not his, gets no answer.

Status 200 is an answer, whatever comes with it: a server that spoils what it says to us has let us in all the same. It
counts at once: it happened. Refusals alone show nothing while no token of ours is known to be answered, for a
door that is shut to everybody is not a lock; so this can find the clause broken and, until tenants exist, not kept.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import orjson

from verticalmodel.api.evidence import Binding
from verticalmodel.probe.canary import question
from verticalmodel.probe.conversation import DEFAULT_LIMITS, INCONCLUSIVE, AnswerLimits, Conversation, converse
from verticalmodel.probe.measurement import TENANTS, Measurement
from verticalmodel.probe.model import Model
from verticalmodel.probe.openinference import UnusableError
from verticalmodel.probe.trust import Trust
from verticalmodel.probe.world import Pod

__all__ = ["ANSWERED", "outcome", "tenants"]

METHOD = "an inference without a token, with a token by an unknown key, and with one that has expired as well"
ANSWERED = "answered"
_LET_IN = 200
_REFUSALS = (401, 403)
_HOUR = 3600


async def tenants(
    model: Model, pod: Pod, trust: Trust, turn: int, limits: AnswerLimits = DEFAULT_LIMITS
) -> Measurement:
    """Try each wrong way in, once, at one pod; the value is how many were answered. Never raises."""
    seen: dict[str, str] = {}

    async def talk(guard: Conversation) -> str:
        for name, headers in _attempts(time.time()).items():
            attempt = replace(guard, headers=headers, statuses=[])
            said = f"{INCONCLUSIVE} no answer"
            try:
                said = await question(attempt, model, turn)
            except UnusableError as reason:
                said = f"{INCONCLUSIVE} {reason}"
            finally:
                seen[name] = outcome(attempt.statuses, said)
        return ""

    failure, seconds = await converse(model, pod, trust, limits, talk)
    answered = sum(one == ANSWERED for one in seen.values())
    if not answered:
        failure = failure or "no token is known that would be answered, so refusals show nothing"
    return Measurement(
        measure=TENANTS,
        instance=f"pod/{pod.name}",
        unit="wrongly answered requests",
        value=float(answered) if answered else None,
        samples=max(len(seen), 1),
        window_seconds=seconds,
        method=METHOD,
        binding=Binding(pod_uid=pod.uid),
        observations={
            **seen,
            **({"failure": failure} if failure else {}),
            **pod.server_seen,
        },
        measured_at=datetime.now(UTC),
    )


def outcome(statuses: Sequence[int], said: str) -> str:
    """What became of one way in: `answered`, `refused 401`, or `inconclusive` and what the canary said.

    `statuses`: of all answers to it, in order. The model's metadata is for its tenants as its inferences are.
    """
    if _LET_IN in statuses:
        return ANSWERED
    if statuses and statuses[-1] in _REFUSALS:
        return f"refused {statuses[-1]}"
    return said if said.startswith(INCONCLUSIVE) else f"{INCONCLUSIVE} {said}"


def _attempts(now: float) -> Mapping[str, Mapping[str, str]]:
    """Headers of each wrong way in, by name."""
    return {
        "noToken": {},
        "wrongToken": {"Authorization": f"Bearer {_token(now + _HOUR)}"},
        "expiredToken": {"Authorization": f"Bearer {_token(now - _HOUR)}"},
    }


def _token(expires: float) -> str:
    """A JSON Web Token (RFC 7519) signed with a key that nobody knows."""
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": "verticalmodel-prober", "exp": int(expires)}]
    signed = b".".join(_encoded(orjson.dumps(part)) for part in parts)
    return b".".join([signed, _encoded(hmac.digest(secrets.token_bytes(32), signed, hashlib.sha256))]).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
