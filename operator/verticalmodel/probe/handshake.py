"""A TLS 1.3 handshake, driven by hand so that each outcome is a typed fact and the negotiated group can be read."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from cryptography import x509

from verticalmodel.probe.tls import Alert, first_record, parse_record, server_hello_group

__all__ = ["Handshake", "certificate_facts", "failure_kind", "opened", "shake"]

# X509_V_ERR_* of OpenSSL (x509_vfy.h): numbers are stable, texts are not.
_VERIFICATION = {
    9: "not-yet-valid", 10: "expired", 18: "self-signed", 19: "unknown-authority", 20: "unknown-authority",
    21: "unknown-authority", 23: "revoked", 26: "wrong-purpose", 62: "other-host-name", 64: "other-address",
}  # fmt: skip


@dataclass(frozen=True)
class Handshake:
    """One TLS 1.3 handshake. `ended` is monotonic seconds; `failure` is empty where it held."""

    ended: float
    failure: str = ""
    reached: bool = True
    """A TCP connection stood: the failure, if any, is the endpoint's and not the way's."""
    distrusted: bool = False
    """The endpoint proved a certificate that is not to be trusted for this name."""
    cipher: str = ""
    group: str = ""
    certificate: bytes = b""

    @property
    def held(self) -> bool:
        """The handshake succeeded."""
        return not self.failure

    def __str__(self) -> str:
        return "accepted" if self.held else f"inconclusive {self.failure}"


@asynccontextmanager
async def opened(address: str, port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection that is dropped at the end, without waiting for the peer. Raises OSError where there is none."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        yield reader, writer
    finally:
        # Aborting, not closing: a peer that hangs must not hold a socket of ours.
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


def failure_kind(error: OSError) -> str:
    """A short stable word for why a connection failed, from the error's type and number."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "connection-refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "reset"
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "unreachable"
    return errno.errorcode.get(error.errno or 0, "connection-failed").lower()


async def shake(address: str, port: int, server_name: str, context: ssl.SSLContext, seconds: float) -> Handshake:
    """Shake hands once, within `seconds` from connecting on. Never raises OSError: a failure is a finding."""
    reached, seen = False, bytearray()
    try:
        async with asyncio.timeout(seconds), opened(address, port) as (reader, writer):
            reached = True
            tls = await _drive(context, server_name, reader, writer, seen)
        name = tls.cipher()
        return Handshake(
            ended=time.monotonic(),
            cipher=name[0] if name else "unknown",
            group=server_hello_group(bytes(seen)),
            certificate=tls.getpeercert(binary_form=True) or b"",
        )
    except ssl.SSLCertVerificationError as error:
        kind = _VERIFICATION.get(error.verify_code, f"verification-{error.verify_code}")
        return Handshake(time.monotonic(), failure=f"certificate-{kind}", distrusted=True)
    except ssl.SSLError:
        return Handshake(time.monotonic(), failure=_first_words(bytes(seen)))
    except OSError as error:
        return Handshake(time.monotonic(), failure=failure_kind(error), reached=reached)


async def _drive(
    context: ssl.SSLContext, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray
) -> ssl.SSLObject:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            await writer.drain()
            chunk = await reader.read(16384)
            if not chunk:
                raise ConnectionResetError(errno.ECONNRESET, "closed during the handshake") from None
            seen += chunk
            incoming.write(chunk)
        except ssl.SSLError:
            writer.write(outgoing.read())  # our alert: the peer's log then says why, too
            raise
        else:
            writer.write(outgoing.read())
            await writer.drain()
            return tls


def _first_words(seen: bytes) -> str:
    """Why the endpoint shook no hands, from its own bytes: an alert it sent, or bytes that are no TLS 1.3."""
    try:
        record = first_record(seen)
        said = None if record is None else parse_record(record)
    except ValueError:
        return "unexpected-bytes"
    return f"alert {said.name}" if isinstance(said, Alert) else "handshake-failed"


def certificate_facts(der: bytes) -> dict[str, str]:
    """Public facts of a certificate in DER form as observations; none for an empty one or one that cannot be read."""
    if not der:
        return {}
    facts = {"certificate.sha256": hashlib.sha256(der).hexdigest()}
    try:
        expiry = x509.load_der_x509_certificate(der).not_valid_after_utc
    except ValueError:
        return facts
    return {**facts, "certificate.notAfter": expiry.isoformat().replace("+00:00", "Z")}
