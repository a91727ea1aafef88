"""Does it answer: one inference through the guard of every serving pod, by an input that harms nobody.

Measured only where TLS stood: a prober that cannot connect has learnt nothing about the model. Each look is one new
connection, as a new client would make it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace

import aiohttp
import orjson

from verticalmodel.api import names
from verticalmodel.api.evidence import Binding
from verticalmodel.probe import openai
from verticalmodel.probe.measurement import CANARY, CONTAINER, Measurement
from verticalmodel.probe.openinference import UnusableError, answer_fault, json_object, request_body, sample_object
from verticalmodel.probe.trust import Trust
from verticalmodel.probe.world import Model, Pod, Speaks, short

__all__ = ["CanaryLimits", "ask", "limits_for"]

METHODS = {
    "open-inference-v2": "one Open Inference v2 request with a nonce through the pod's guard",
    "openai": "one OpenAI API request through the pod's guard",
    "Custom": "one sample request through the pod's guard, judged by its status alone",
}
_LONGEST_ANSWER = 60.0
_BODY_LIMIT = 2 * 1024 * 1024


@dataclass(frozen=True)
class CanaryLimits:
    """Time limits of a canary, in seconds."""

    connect: float = 3.0
    answer: float = 10.0


def limits_for(speaks: Speaks) -> CanaryLimits:
    """As long as a client of such a model has to wait, and a minute at the most: looks are due again after that."""
    return CanaryLimits(answer=min(speaks.timeout_seconds, _LONGEST_ANSWER))


@dataclass
class _Progress:
    """How far a look came: what an exception means depends on it."""

    connected: bool = False
    verdict: str = ""


async def ask(model: Model, pod: Pod, trust: Trust, turn: int, limits: CanaryLimits = CanaryLimits()) -> Measurement:
    """Ask one pod once. Never raises for what the network or the pod does."""
    progress, started = _Progress(), time.monotonic()
    try:
        async with asyncio.timeout(limits.connect + limits.answer), _session(trust, progress, limits) as session:
            progress.verdict = await _converse(session, f"https://{_host(pod.ip)}:{names.GUARD_PORT}", model, turn)
    except (TimeoutError, aiohttp.ServerTimeoutError):
        progress.verdict = "bad timeout" if progress.connected else "inconclusive timeout"
    except aiohttp.ClientConnectorCertificateError:
        progress.verdict = "inconclusive certificate"
    except aiohttp.ClientConnectorError:
        progress.verdict = "inconclusive connection"
    except (aiohttp.ClientError, OSError):
        progress.verdict = "bad connection broke" if progress.connected else "inconclusive connection"
    except UnusableError as reason:
        progress.verdict = f"inconclusive {reason}"
    seconds = time.monotonic() - started
    conclusive = not progress.verdict.startswith("inconclusive")
    return Measurement(
        measure=CANARY,
        instance=f"pod/{pod.name}",
        unit="s",
        value=seconds if conclusive else None,
        samples=1,
        window_seconds=seconds,
        method=METHODS.get(model.speaks.protocol, model.speaks.protocol),
        binding=Binding(pod_uid=pod.uid),
        observations={"answer": progress.verdict, **({CONTAINER: short(pod.server)} if pod.server else {})},
        measured_at=datetime.now(UTC),
    )


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@contextlib.asynccontextmanager
async def _session(trust: Trust, progress: _Progress, limits: CanaryLimits) -> AsyncIterator[aiohttp.ClientSession]:
    trace = aiohttp.TraceConfig()

    async def connected(_session: aiohttp.ClientSession, _context: SimpleNamespace, _params: object) -> None:
        progress.connected = True

    trace.on_connection_create_end.append(connected)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=1, ssl=trust.verified),
        timeout=aiohttp.ClientTimeout(total=None, connect=limits.connect, sock_read=limits.answer),
        trace_configs=[trace],
        raise_for_status=False,
        auto_decompress=False,
        trust_env=False,
    )
    async with session:
        yield session


async def _converse(session: aiohttp.ClientSession, guard: str, model: Model, turn: int) -> str:
    match model.speaks.protocol:
        case "open-inference-v2":
            return await _open_inference(session, f"{guard}/v2/models/{model.name}", model, turn)
        case "openai":
            return await _openai(session, guard, model)
        case "Custom":
            return await _custom(session, guard, model)
        case unknown:
            raise UnusableError(f"protocol {unknown[:40]} is unknown to this prober")


async def _open_inference(session: aiohttp.ClientSession, base: str, model: Model, turn: int) -> str:
    status, body = await _call(session, "GET", base, model.server_name)
    if status != 200:
        return f"bad {status} for the metadata"
    metadata = json_object(body)
    if isinstance(metadata, str):
        return "bad metadata"
    nonce = f"canary-{secrets.token_hex(8)}"
    request = request_body(metadata, model.speaks.sample_request, nonce=nonce, turn=turn)
    status, body = await _call(session, "POST", f"{base}/infer", model.server_name, request)
    if status != 200:
        return f"bad {status}"
    fault = answer_fault(body, metadata, model=model.name, nonce=nonce)
    return f"bad {fault}" if fault else "good"


async def _openai(session: aiohttp.ClientSession, guard: str, model: Model) -> str:
    path, request = openai.request(
        model.speaks.sample_request, model=model.name, nonce=f"canary-{secrets.token_hex(8)}"
    )
    status, body = await _call(session, "POST", f"{guard}{path}", model.server_name, request)
    if status != 200:
        return f"bad {status}"
    fault = openai.answer_fault(body, path=path, model=model.name)
    return f"bad {fault}" if fault else "good"


async def _custom(session: aiohttp.ClientSession, guard: str, model: Model) -> str:
    """Nothing is known of such answers but that 200 says yes; without a sample nothing harmless is known either."""
    speaks = model.speaks
    if not speaks.sample_request or not speaks.path:
        raise UnusableError("a custom protocol needs a sampleRequest and a route with POST")
    request = orjson.dumps(sample_object(speaks.sample_request))
    status, _ = await _call(session, "POST", f"{guard}{speaks.path}", model.server_name, request)
    return "good" if status == 200 else f"bad {status}"


async def _call(
    session: aiohttp.ClientSession, method: str, url: str, server_name: str, body: bytes | None = None
) -> tuple[int, bytes]:
    headers = {"Host": server_name, "Accept-Encoding": "identity"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    async with session.request(
        method, url, data=body, headers=headers, server_hostname=server_name, allow_redirects=False
    ) as answer:
        return answer.status, await _bounded(answer.content) if answer.status == 200 else b""


async def _bounded(stream: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in stream.iter_any():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise UnusableError(f"the answer has more than {_BODY_LIMIT} bytes; set a sampleRequest with a smaller one")
    return bytes(body)
