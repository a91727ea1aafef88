"""TLS on the wire: hellos that offer one old version alone, and what a server's first record says. Pure.

OpenSSL refuses to offer TLS 1.0 and 1.1 on many builds, and reports a peer's alert as text. An offer written by hand
goes out on every build, and an alert read from the record is a number (RFC 8446 section 6, RFC 5246 section 7.2).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = [
    "ALERTS",
    "REFUSALS",
    "Alert",
    "ServerHello",
    "client_hello",
    "first_record",
    "parse_record",
    "server_hello_group",
]

_ALERT, _HANDSHAKE = 21, 22
_SERVER_HELLO = 2
_RECORD_HEADER = 5
_HELLO_RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow",
    40: "handshake_failure", 42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked",
    45: "certificate_expired", 46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca",
    49: "access_denied", 50: "decode_error", 51: "decrypt_error", 70: "protocol_version",
    71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled",
    109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name", 116: "certificate_required",
    120: "no_application_protocol",
}  # fmt: skip
"""Alert descriptions of the IANA registry."""

REFUSALS = frozenset({"protocol_version", "handshake_failure", "insufficient_security"})
"""Alerts by which a server declines a version; any other alert says that something else went wrong."""

_VERSIONS = {1.0: 0x0301, 1.1: 0x0302, 1.2: 0x0303}
_GROUPS = {23: "secp256r1", 24: "secp384r1", 25: "secp521r1", 29: "x25519", 30: "x448", 256: "ffdhe2048",
           257: "ffdhe3072", 258: "ffdhe4096", 4587: "SecP256r1MLKEM768", 4588: "X25519MLKEM768",
           4589: "SecP384r1MLKEM1024"}  # fmt: skip
# Every block of the IANA registry with suites for TLS 1.0 to 1.2. A short list would turn "we share no cipher" into
# handshake_failure, and that into a version which seems refused. 0x5600 (fallback) stays out: it provokes an alert.
_SUITES = (*range(0x0001, 0x006E), *range(0x0084, 0x00C6), *range(0xC001, 0xC0B0), *range(0xCCA8, 0xCCAF))
_SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080A, 0x080B, 0x0401, 0x0501,
               0x0601, 0x0301, 0x0303, 0x0201, 0x0203, 0x0202)  # fmt: skip


@dataclass(frozen=True)
class Alert:
    """A server declined, by this alert of the IANA registry (or `alert <number>`)."""

    name: str


@dataclass(frozen=True)
class ServerHello:
    """A server agreed to `version` (as 1.0, 1.1, 1.2) with the cipher suite of this registry number."""

    version: float
    suite: int


def _block(width: int, body: bytes) -> bytes:
    return len(body).to_bytes(width, "big") + body


def _words(values: tuple[int, ...]) -> bytes:
    return struct.pack(f"!{len(values)}H", *values)


def _extension(kind: int, body: bytes) -> bytes:
    return struct.pack("!H", kind) + _block(2, body)


def client_hello(version: float, server_name: str, random: bytes) -> bytes:
    """One record that offers `version` (1.0, 1.1 or 1.2) and nothing newer, with every registered cipher suite.

    `random` holds 32 bytes. Raises ValueError for another version, or another length.
    """
    if version not in _VERSIONS:
        raise ValueError(f"version {version} has no hello of its own; write 1.0, 1.1 or 1.2")
    if len(random) != 32:
        raise ValueError(f"random has {len(random)} bytes; a hello needs 32")
    extensions = [
        _extension(0, _block(2, b"\0" + _block(2, server_name.encode("ascii")))),
        _extension(10, _block(2, _words((29, 23, 24, 25, 30, 26, 27, 28, 256, 257, 258)))),
        _extension(11, _block(1, b"\0")),
        _extension(23, b""),
        _extension(0xFF01, b"\0"),
    ]
    if version == 1.2:  # signature_algorithms is new in TLS 1.2 (RFC 5246 section 7.4.1.4.1)
        extensions.append(_extension(13, _block(2, _words(_SIGNATURES))))
    body = b"".join((
        struct.pack("!H", _VERSIONS[version]), random, _block(1, b""), _block(2, _words(_SUITES)),
        _block(1, b"\0"), _block(2, b"".join(extensions)),
    ))  # fmt: skip
    handshake = b"\x01" + _block(3, body)
    return struct.pack("!BH", _HANDSHAKE, 0x0301) + _block(2, handshake)


def first_record(data: bytes) -> bytes | None:
    """The first complete TLS record in `data`, header included; None where more bytes are needed.

    Raises ValueError where the bytes cannot be the start of a TLS record.
    """
    if data and data[0] not in (20, _ALERT, _HANDSHAKE, 23):
        raise ValueError("not a TLS record")
    if len(data) >= 2 and data[1] != 3:
        raise ValueError("not a TLS record")
    if len(data) < _RECORD_HEADER:
        return None
    end = _RECORD_HEADER + int.from_bytes(data[3:5], "big")
    return data[:end] if len(data) >= end else None


def parse_record(record: bytes) -> Alert | ServerHello:
    """What a server's first record, as `first_record` returns it, says. Raises ValueError where it is neither."""
    kind, body = record[0], record[_RECORD_HEADER:]
    if kind == _ALERT and len(body) == 2:
        return Alert(ALERTS.get(body[1], f"alert {body[1]}"))
    if kind == _HANDSHAKE and len(body) >= 39 and body[0] == _SERVER_HELLO:
        number = int.from_bytes(body[4:6], "big")
        suite_at = 39 + body[38]
        versions = {wire: version for version, wire in _VERSIONS.items()}
        if number in versions and len(body) >= suite_at + 2:
            return ServerHello(versions[number], int.from_bytes(body[suite_at : suite_at + 2], "big"))
    raise ValueError("neither an alert nor a server's hello")


def server_hello_group(stream: bytes) -> str:
    """Key-exchange group that a TLS 1.3 server chose, from the bytes it sent; `unknown` where they do not say.

    The hello is the last thing in clear text (RFC 8446 section 4.1.3); a hello-retry request before it is skipped.
    """
    while True:
        try:
            record = first_record(stream)
        except ValueError:
            return "unknown"
        if record is None:
            return "unknown"
        stream = stream[len(record) :]
        body = record[_RECORD_HEADER:]
        if record[0] != _HANDSHAKE or len(body) < 39 or body[0] != _SERVER_HELLO or body[6:38] == _HELLO_RETRY_RANDOM:
            continue
        group = _key_share(body)
        return "unknown" if group is None else _GROUPS.get(group, f"group {group}")


def _key_share(hello: bytes) -> int | None:
    at = 39 + hello[38] + 3  # past the session id, the suite and the compression method
    end = min(len(hello), at + 2 + int.from_bytes(hello[at : at + 2], "big"))
    at += 2
    while at + 4 <= end:
        kind, length = struct.unpack_from("!HH", hello, at)
        if kind == 51 and at + 6 <= end:
            return int.from_bytes(hello[at + 4 : at + 6], "big")
        at += 4 + length
    return None
