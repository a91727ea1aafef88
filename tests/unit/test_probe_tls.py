"""TLS on the wire: what goes out, and what the first record of an answer says."""

from __future__ import annotations

import ssl
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.probe_servers import SERVER_NAME, context
from verticalmodel.probe.tls import (
    ALERTS,
    REFUSALS,
    Alert,
    ServerHello,
    client_hello,
    first_record,
    parse_record,
    server_hello_group,
)
from verticalmodel.probe.transport import Attempt, classify_hello, classify_plain

RANDOM = bytes(range(32))
# Written down from the specification, so that the parser is not its own judge: RFC 5246 section 7.4.1.3.
HELLO_1_0 = bytes.fromhex("16 0301 002a 02 000026 0301" + "11" * 32 + "00" + "c014" + "00")


def answer_of(server: ssl.SSLContext, hello: bytes) -> bytes:
    """What OpenSSL answers to a hello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    side = server.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hello)
    with pytest.raises(ssl.SSLError):
        side.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(("version", "wire"), [(1.0, "0301"), (1.1, "0302"), (1.2, "0303")])
def test_a_hello_offers_its_version_and_nothing_newer(version: float, wire: str) -> None:
    hello = client_hello(version, SERVER_NAME, RANDOM)

    assert first_record(hello) == hello
    assert hello[9:11].hex() == wire
    assert SERVER_NAME.encode() in hello
    assert b"\x00\x2b\x00" not in hello[-200:], "supported_versions would let a server choose TLS 1.3"


@pytest.mark.parametrize("version", [1.0, 1.1, 1.2])
def test_openssl_understands_each_hello_as_the_version_it_offers(version: float) -> None:
    made = context(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_3)

    hello = parse_record(first_record(answer_of(made, client_hello(version, SERVER_NAME, RANDOM))) or b"")

    assert isinstance(hello, ServerHello)
    assert hello.version == version


def test_there_is_no_hello_for_tls_1_3_nor_with_a_short_random() -> None:
    with pytest.raises(ValueError, match=r"version 1\.3 has no hello of its own"):
        client_hello(1.3, SERVER_NAME, RANDOM)
    with pytest.raises(ValueError, match="random has 31 bytes"):
        client_hello(1.2, SERVER_NAME, RANDOM[1:])


def test_a_recorded_server_hello_is_read() -> None:
    assert parse_record(HELLO_1_0) == ServerHello(version=1.0, suite=0xC014)


@pytest.mark.parametrize("number", sorted(ALERTS))
def test_only_three_alerts_decline_a_version(number: int) -> None:
    record = bytes([21, 3, 3, 0, 2, 2, number])

    refused, unclear = (
        Attempt("refused", f"alert {ALERTS[number]}"),
        Attempt("inconclusive", f"alert {ALERTS[number]}"),
    )
    assert parse_record(record) == Alert(ALERTS[number])
    assert classify_hello(record, closed=False) == (refused if ALERTS[number] in REFUSALS else unclear)
    assert {ALERTS[70], ALERTS[40], ALERTS[71]} == REFUSALS


def test_an_unregistered_alert_keeps_its_number() -> None:
    assert parse_record(bytes([21, 3, 3, 0, 2, 2, 200])) == Alert("alert 200")


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_crash_the_reading_of_an_answer(data: bytes, closed: bool) -> None:  # noqa: FBT001  drawn
    assert isinstance(classify_hello(data, closed=closed), Attempt | None)
    assert isinstance(classify_plain(data, closed=closed), Attempt | None)
    assert isinstance(server_hello_group(data), str)
    assert closed <= (classify_plain(data, closed=True) is not None)


@given(st.sampled_from([HELLO_1_0, bytes([21, 3, 3, 0, 2, 2, 70])]), st.data())
def test_an_answer_cut_anywhere_is_waited_for_and_then_read_the_same(whole: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(whole) - 1))

    assert classify_hello(whole[:cut], closed=False) is None
    assert classify_hello(whole, closed=False) is not None


@given(st.binary(min_size=1, max_size=60).filter(lambda data: data[:1] not in (b"H", b"\x15")))
def test_only_http_counts_as_an_answer_in_plain_text(data: bytes) -> None:
    answer = classify_plain(data, closed=True)

    assert answer is not None
    assert answer.verdict != "refused"
    assert answer.version is None or data[3:4] == b"\x04"


@pytest.mark.parametrize(
    ("data", "closed", "expected"),
    [
        (b"", True, Attempt("refused", "closed")),
        (b"", False, None),
        (b"HT", False, None),
        (b"HTTP/1.1 4", False, None),
        (b"HTTP/1.1 426 Upgrade Required", False, Attempt("accepted", "HTTP 426", 0.0)),
        (bytes([21, 3, 1, 0, 2, 2, 10]), False, Attempt("refused", "alert unexpected_message")),
        (b"SSH-2.0-x\r\n", False, Attempt("inconclusive", "unexpected-bytes")),
    ],
)
def test_answers_to_plain_text(data: bytes, closed: bool, expected: Attempt | None) -> None:  # noqa: FBT001  a table
    assert classify_plain(data, closed=closed) == expected


@pytest.mark.parametrize(
    ("curve", "group"), [("prime256v1", "secp256r1"), ("X25519", "x25519"), ("secp384r1", "secp384r1")]
)
def test_the_group_is_read_from_the_servers_hello_even_after_a_retry_request(curve: str, group: str) -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    server = context()
    if curve != "X25519":  # otherwise the default, which needs no retry
        server.set_ecdh_curve(curve)

    assert server_hello_group(_server_bytes(client, server)) == group


def _server_bytes(client: ssl.SSLContext, server: ssl.SSLContext) -> bytes:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one, other = client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)
    seen = b""
    for _ in range(4):
        for side in (one, other):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
            if side is other:
                said = to_client.read()
                seen += said
                to_client.write(said)
    return seen
