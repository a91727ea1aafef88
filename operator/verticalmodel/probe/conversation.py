"""One HTTPS conversation with a pod's guard, and whose fault it was where it failed.

A prober that cannot connect, or cannot verify whom it reached, has learnt nothing about the model. Each conversation is
one new connection, as a new client would make it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import aiohttp

from verticalmodel.api import names
from verticalmodel.probe.model import Model
from verticalmodel.probe.openinference import UnusableError
from verticalmodel.probe.trust import Trust
from verticalmodel.probe.world import Pod, Speaks

__all__ = ["BAD", "DEFAULT_LIMITS", "INCONCLUSIVE", "AnswerLimits", "Conversation", "converse", "limits_for"]

BAD, INCONCLUSIVE = "bad", "inconclusive"
"""First words of what is said of a conversation that failed: by the subject's doing, or by nobody knows whose."""
_LONGEST_ANSWER = 60.0
_BODY_LIMIT, _ERROR_LIMIT = 2 * 1024 * 1024, 64 * 1024


@dataclass(frozen=True)
class AnswerLimits:
    """Time limits of a conversation, in seconds."""

    connect: float = 3.0
    answer: float = 10.0


DEFAULT_LIMITS = AnswerLimits()


def limits_for(speaks: Speaks) -> AnswerLimits:
    """As long as a client of such a model has to wait, and a minute at the most: looks are due again after that."""
    return AnswerLimits(answer=min(speaks.timeout_seconds, _LONGEST_ANSWER))


@dataclass
class _Progress:
    """How far it came: what an exception means depends on it."""

    connected: bool = False


@dataclass(frozen=True)
class Conversation:
    """An open session with one guard."""

    session: aiohttp.ClientSession
    guard: str
    """`https://ADDRESS:PORT`."""
    server_name: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request."""
    statuses: list[int] = field(default_factory=list)
    """Of every answer so far, in order, whatever followed it."""

    async def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status of the answer, and its body where that is 200. Raises UnusableError for one that is too long."""
        sent = {"Host": self.server_name, "Accept-Encoding": "identity", **self.headers}
        if body is not None:
            sent["Content-Type"] = "application/json"
        async with self.session.request(
            method,
            f"{self.guard}{path}",
            data=body,
            headers=sent,
            server_hostname=self.server_name,
            allow_redirects=False,
        ) as answer:
            self.statuses.append(answer.status)
            if answer.status == 200:
                return answer.status, await _bounded(answer.content)
            # Read to its end where that is near: a connection whose answer was left unread cannot be used again.
            await _skip(answer.content)
            return answer.status, b""


async def converse(
    model: Model, pod: Pod, trust: Trust, limits: AnswerLimits, talk: Callable[[Conversation], Awaitable[str]]
) -> tuple[str, float]:
    """What `talk` returns, or a text that begins with BAD or INCONCLUSIVE; and the seconds that it took.

    Never raises for what the network or the pod does.
    """
    progress, started = _Progress(), time.monotonic()
    try:
        async with asyncio.timeout(limits.connect + limits.answer), _session(trust, progress, limits) as session:
            guard = f"https://{_host(pod.ip)}:{names.GUARD_PORT}"
            verdict = await talk(Conversation(session, guard, model.server_name))
    except (TimeoutError, aiohttp.ServerTimeoutError):
        verdict = f"{BAD} timeout" if progress.connected else f"{INCONCLUSIVE} timeout"
    except aiohttp.ClientConnectorCertificateError:
        verdict = f"{INCONCLUSIVE} certificate"
    except aiohttp.ClientConnectorError:
        verdict = f"{INCONCLUSIVE} connection"
    except (aiohttp.ClientError, OSError):
        verdict = f"{BAD} connection broke" if progress.connected else f"{INCONCLUSIVE} connection"
    except UnusableError as reason:
        verdict = f"{INCONCLUSIVE} {reason}"
    return verdict, time.monotonic() - started


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@contextlib.asynccontextmanager
async def _session(trust: Trust, progress: _Progress, limits: AnswerLimits) -> AsyncIterator[aiohttp.ClientSession]:
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


async def _skip(stream: aiohttp.StreamReader) -> None:
    length = 0
    async for chunk in stream.iter_any():
        length += len(chunk)
        if length > _ERROR_LIMIT:
            return


async def _bounded(stream: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in stream.iter_any():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise UnusableError(f"the answer has more than {_BODY_LIMIT} bytes; set a sampleRequest with a smaller one")
    return bytes(body)
