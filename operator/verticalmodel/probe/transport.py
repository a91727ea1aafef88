"""Clause 13, data in transit by TLS 1.3: what an endpoint answers to TLS 1.3, to older versions and to plain text.

A refusal counts only as a fact read from the wire (an alert that declines the version, or a plain request closed
without an answer), and only between two verified TLS 1.3 handshakes with the same address within one second. An
acceptance needs no control: it happened.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from verticalmodel.api.evidence import Binding
from verticalmodel.probe.handshake import Handshake, certificate_facts, failure_kind, opened, shake
from verticalmodel.probe.measurement import CONTAINER, TRANSPORT, Measurement
from verticalmodel.probe.tls import REFUSALS, Alert, ServerHello, client_hello, first_record, parse_record
from verticalmodel.probe.trust import Trust

__all__ = ["Attempt", "Limits", "Look", "Target", "assemble", "classify_hello", "classify_plain", "probe_transport"]

METHOD = "TLS 1.2, 1.1, 1.0 and plain HTTP, each offered alone, between two verified TLS 1.3 handshakes"
_OFFERS = {"tls1.2": 1.2, "tls1.1": 1.1, "tls1.0": 1.0}


@dataclass(frozen=True)
class Target:
    """One endpoint to measure."""

    instance: str
    address: str
    port: int
    server_name: str
    binding: Binding
    container: str = ""
    """Container behind it, in short form; empty for a Service."""


@dataclass(frozen=True)
class Limits:
    """Time limits of a look, in seconds."""

    control: float = 3.0
    """Connection and handshake of one control."""
    gap: float = 1.0
    """From the first control to the second: longer, and no refusal between them counts (DESIGN section 4)."""


@dataclass(frozen=True)
class Attempt:
    """The answer to one offer. `version` as in the evidence: 0 for plain text; only of an acceptance."""

    verdict: Literal["accepted", "refused", "inconclusive"]
    detail: str
    version: float | None = None

    def __str__(self) -> str:
        return f"{self.verdict} {self.detail}"


@dataclass(frozen=True)
class Look:
    """Everything that one look saw, in the order of time; `started` is monotonic seconds."""

    started: float
    before: Handshake
    attempts: Mapping[str, Attempt]
    after: Handshake
    certificate: bytes


def classify_hello(data: bytes, *, closed: bool) -> Attempt | None:
    """Answer to a hello that offered one old version, from the first bytes; None where more are needed."""
    try:
        record = first_record(data)
        said = None if record is None else parse_record(record)
    except ValueError:
        return Attempt("inconclusive", "unexpected-bytes")
    if said is None:
        return Attempt("inconclusive", "closed") if closed else None
    if isinstance(said, Alert):
        return Attempt("refused" if said.name in REFUSALS else "inconclusive", f"alert {said.name}")
    return Attempt("accepted", f"TLS {said.version} {_suite_name(said.suite)}", said.version)


def classify_plain(data: bytes, *, closed: bool) -> Attempt | None:
    """Answer to an HTTP request without TLS, from the first bytes; None where more are needed."""
    answer: Attempt | None = None
    if data.startswith(b"HTTP/"):
        code = data[9:12].decode() if data[9:12].isdigit() else "without a status"
        answer = Attempt("accepted", f"HTTP {code}", 0.0) if closed or len(data) >= 12 else None
    elif len(data) >= 9 and data[3] == 4 and data[5:9] == bytes(4):  # a SETTINGS frame (RFC 9113 section 6.5)
        answer = Attempt("accepted", "HTTP/2", 0.0)
    elif not data:
        answer = Attempt("refused", "closed") if closed else None
    elif closed or not _may_become_an_answer(data):
        said = _said(data)
        answer = Attempt("inconclusive", "unexpected-bytes")
        if isinstance(said, Alert):
            answer = Attempt("refused", f"alert {said.name}")
    return answer


def _said(data: bytes) -> Alert | ServerHello | None:
    try:
        record = first_record(data)
        return None if record is None else parse_record(record)
    except ValueError:
        return None


def _may_become_an_answer(data: bytes) -> bool:
    """More bytes could still turn it into HTTP, an HTTP/2 frame (which starts with a length) or a TLS record."""
    try:
        unfinished_record = first_record(data) is None
    except ValueError:
        unfinished_record = False
    return unfinished_record or b"HTTP/".startswith(data) or (len(data) < 9 and data[0] == 0)


async def probe_transport(target: Target, trust: Trust, limits: Limits = Limits()) -> Measurement:
    """Look at one endpoint: six or seven connections, at most five at a time, none repeated. Never raises OSError."""
    started = time.monotonic()
    before = await shake(target.address, target.port, target.server_name, trust.verified, limits.control)
    attempts: Mapping[str, Attempt] = {}
    after = before
    if before.reached:
        attempts = await _offer_all(target, limits.gap)
        after = await shake(target.address, target.port, target.server_name, trust.verified, limits.control)
    shown = after.certificate or before.certificate
    if not shown and (before.distrusted or after.distrusted):
        other = await shake(target.address, target.port, target.server_name, trust.unverified, limits.control)
        shown = other.certificate
    return assemble(target, Look(started, before, attempts, after, shown), limits)


def assemble(target: Target, look: Look, limits: Limits) -> Measurement:
    """Weigh the answers: the lowest version accepted; 1.3 only where all else was refused and both controls held."""
    before, after, attempts = look.before, look.after, look.attempts
    gap = after.ended - before.ended
    verified = before.held and after.held
    accepted = [one.version for one in attempts.values() if one.version is not None]
    refused = bool(attempts) and all(one.verdict == "refused" for one in attempts.values())
    value = min(accepted) if accepted else 1.3 if refused and verified and gap <= limits.gap else None
    observations = {
        "tls1.3": f"accepted {before.cipher} {before.group}" if before.held else str(before),
        **{name: str(attempt) for name, attempt in attempts.items()},
        "control.before": str(before),
        "control.after": str(after),
        "control.gapSeconds": f"{gap:.3f}",
        "certificate.verified": "true" if verified else "false",
        **certificate_facts(look.certificate),
        **({CONTAINER: target.container} if target.container else {}),
    }
    return Measurement(
        measure=TRANSPORT,
        instance=target.instance,
        unit="TLS",
        value=value,
        samples=2 + len(attempts),
        window_seconds=after.ended - look.started,
        method=METHOD,
        binding=target.binding,
        observations=observations,
        measured_at=datetime.now(UTC),
        unsettling=value is None and (before.distrusted or after.distrusted),
    )


async def _offer_all(target: Target, seconds: float) -> dict[str, Attempt]:
    request = f"GET / HTTP/1.1\r\nHost: {target.server_name}\r\nConnection: close\r\n\r\n".encode("ascii")
    offers = {
        name: client_hello(version, target.server_name, secrets.token_bytes(32)) for name, version in _OFFERS.items()
    }
    offers["plain"] = request
    answers = await asyncio.gather(*(_offer(target, name, payload, seconds) for name, payload in offers.items()))
    return dict(zip(offers, answers, strict=True))


async def _offer(target: Target, name: str, payload: bytes, seconds: float) -> Attempt:
    classify = classify_plain if name == "plain" else classify_hello
    sent, data = False, b""
    try:
        async with asyncio.timeout(seconds), opened(target.address, target.port) as (reader, writer):
            writer.write(payload)
            await writer.drain()
            sent = True
            while True:
                chunk = await reader.read(4096)
                data += chunk
                answer = classify(data, closed=not chunk)
                if answer is not None:
                    return answer
    except ConnectionResetError:
        # A server that drops an offer may do so before its close is read: the same fact as an orderly close.
        closed = classify(data, closed=True) if sent else None
        return closed or Attempt("inconclusive", "reset")
    except OSError as error:
        return Attempt("inconclusive", failure_kind(error))


def _suite_names() -> dict[int, str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return {int(suite["id"]) & 0xFFFF: str(suite["name"]) for suite in context.get_ciphers()}


_SUITE_NAMES = _suite_names()


def _suite_name(number: int) -> str:
    return _SUITE_NAMES.get(number, f"suite {number:#06x}")
