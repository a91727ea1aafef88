"""Clause 13, as the prober measures it: against real TLS servers on loopback."""

from __future__ import annotations

import ssl
import threading
import time
from dataclasses import replace

import pytest

from unit.probe_servers import (
    SERVER_NAME,
    Handler,
    authority,
    by_first_bytes,
    closing,
    context,
    hanging,
    listening,
    plain,
    resetting,
    tls,
)
from verticalmodel.api.evidence import Binding
from verticalmodel.probe.handshake import Handshake
from verticalmodel.probe.measurement import Measurement
from verticalmodel.probe.transport import Attempt, Limits, Look, Target, assemble, probe_transport
from verticalmodel.probe.trust import Trust

V = ssl.TLSVersion
BINDING = Binding(pod_uid="uid-1")
QUICK = Limits(control=0.4, gap=0.4)


def trust() -> Trust:
    return Trust.from_pem(authority().pem)


async def look(handle: Handler) -> Measurement:
    """A look with time to spare: this machine may be busy with other tests."""
    with listening(handle) as (host, port):
        target = Target("pod/a:8443", host, port, SERVER_NAME, BINDING, "c0ffee")
        return await probe_transport(target, trust(), Limits(control=10.0, gap=10.0))


def answers(found: Measurement) -> dict[str, str]:
    return {name: found.observations[name] for name in ("tls1.3", "tls1.2", "tls1.1", "tls1.0", "plain")}


async def test_a_server_that_speaks_tls_1_3_alone_is_measured_as_1_3() -> None:
    found = await look(tls(context()))

    volatile = {"control.gapSeconds", "certificate.sha256", "certificate.notAfter"}
    assert {name: text for name, text in found.observations.items() if name not in volatile} == {
        "tls1.3": "accepted TLS_AES_256_GCM_SHA384 x25519",
        "tls1.2": "refused alert protocol_version",
        "tls1.1": "refused alert protocol_version",
        "tls1.0": "refused alert protocol_version",
        "plain": "refused closed",
        "control.before": "accepted",
        "control.after": "accepted",
        "certificate.verified": "true",
        "container": "c0ffee",
    }
    assert volatile <= found.observations.keys()
    assert (found.value, found.unit, found.samples, found.binding) == (1.3, "TLS", 6, BINDING)
    assert found.window_seconds >= float(found.observations["control.gapSeconds"]) >= 0


@pytest.mark.parametrize(
    ("least", "most", "value"),
    [(V.TLSv1_2, V.TLSv1_3, 1.2), (V.TLSv1_1, V.TLSv1_3, 1.1), (V.TLSv1, V.TLSv1_3, 1.0), (V.TLSv1, V.TLSv1_1, 1.0)],
)
async def test_the_lowest_version_that_is_accepted_is_the_value(
    least: ssl.TLSVersion, most: ssl.TLSVersion, value: float
) -> None:
    found = await look(tls(context(least, most)))

    assert found.value == value
    assert answers(found)[f"tls{value}"].startswith(f"accepted TLS {value} ")


@pytest.mark.parametrize(
    "cipher", ["ECDHE-ECDSA-CAMELLIA128-SHA256", "ECDHE-ECDSA-ARIA256-GCM-SHA384", "ECDHE-ECDSA-AES128-CCM8"]
)
async def test_a_cipher_that_few_clients_know_does_not_hide_tls_1_2(cipher: str) -> None:
    found = await look(tls(context(V.TLSv1_2, V.TLSv1_3, ciphers=cipher)))

    assert (found.value, answers(found)["tls1.2"]) == (1.2, f"accepted TLS 1.2 {cipher}")


async def test_plain_text_that_is_answered_is_the_worst_value() -> None:
    found = await look(plain())

    assert (found.value, answers(found)["plain"]) == (0.0, "accepted HTTP 200")


async def test_plain_text_beside_tls_on_one_port_is_found() -> None:
    def choose(first: bytes) -> Handler:
        return plain(b"HTTP/1.1 400 Bad Request\r\n\r\n") if first.startswith(b"GET") else tls(context())

    found = await look(by_first_bytes(choose))

    assert (found.value, found.observations["control.after"], answers(found)["plain"]) == (
        0.0,
        "accepted",
        "accepted HTTP 400",
    )


async def test_http_2_without_tls_counts_as_plain_text() -> None:
    settings_frame = bytes.fromhex("000000040000000000")

    found = await look(
        by_first_bytes(lambda first: plain(settings_frame) if first.startswith(b"GET") else tls(context()))
    )

    assert (found.value, answers(found)["plain"]) == (0.0, "accepted HTTP/2")


async def test_an_alert_that_declines_no_version_is_no_refusal() -> None:
    internal_error = bytes.fromhex("15030300020250")

    def choose(first: bytes) -> Handler:
        # Only a hello that offers TLS 1.3 has the supported_versions extension naming it.
        return tls(context()) if b"\x00\x2b" in first and b"\x03\x04" in first else plain(internal_error)

    found = await look(by_first_bytes(choose))

    assert (found.value, answers(found)["tls1.2"]) == (None, "inconclusive alert internal_error")


@pytest.mark.parametrize(
    ("handle", "kind"), [(resetting, "inconclusive reset"), (closing, "inconclusive reset")], ids=["reset", "close"]
)
async def test_a_server_that_drops_every_connection_is_inconclusive(handle: Handler, kind: str) -> None:
    found = await look(handle)

    assert (found.value, found.conclusive, found.unsettling) == (None, False, False)
    assert found.observations["control.before"] == kind
    assert answers(found)["tls1.2"].startswith("inconclusive ")


async def test_a_server_that_hangs_is_inconclusive_within_the_time_limits() -> None:
    release = threading.Event()
    begin = time.monotonic()
    with listening(hanging(release)) as (host, port):
        found = await probe_transport(Target("pod/a:8443", host, port, SERVER_NAME, BINDING), trust(), QUICK)
        release.set()

    assert answers(found) == dict.fromkeys(answers(found), "inconclusive timeout")
    assert found.value is None
    assert time.monotonic() - begin < 5 * QUICK.control


async def test_an_address_where_nothing_listens_is_asked_once_and_is_inconclusive() -> None:
    with listening(closing) as (host, port):
        pass

    found = await probe_transport(Target("pod/a:8443", host, port, SERVER_NAME, BINDING), trust(), QUICK)

    assert (found.value, found.samples) == (None, 2)
    assert found.observations["control.before"] == "inconclusive connection-refused"
    assert "tls1.2" not in found.observations


@pytest.mark.parametrize(
    ("pair", "kind"),
    [
        (authority("impostor").issue(), "certificate-unknown-authority"),
        (authority().issue("other.radiology.svc"), "certificate-other-host-name"),
        (authority().issue(days=-1), "certificate-expired"),
    ],
    ids=["wrong authority", "other name", "expired"],
)
async def test_refusals_of_a_server_with_a_bad_certificate_count_for_nothing(pair: tuple[str, str], kind: str) -> None:
    found = await look(tls(context(certificate=pair)))

    assert (found.value, found.unsettling) == (None, True)
    assert found.observations["certificate.verified"] == "false"
    assert found.observations["control.before"] == f"inconclusive {kind}"
    assert answers(found)["tls1.2"] == "refused alert protocol_version"
    assert {"certificate.sha256", "certificate.notAfter"} <= found.observations.keys()


async def test_an_old_version_is_a_finding_even_where_the_certificate_is_bad() -> None:
    found = await look(tls(context(V.TLSv1_2, V.TLSv1_3, certificate=authority("impostor").issue())))

    assert (found.value, found.unsettling) == (1.2, False)


async def test_a_legacy_server_without_tls_1_3_is_measured_not_excused() -> None:
    found = await look(tls(context(V.TLSv1_2, V.TLSv1_2)))

    assert (found.value, answers(found)["tls1.3"]) == (1.2, "inconclusive alert protocol_version")


REFUSED = {name: Attempt("refused", "alert protocol_version") for name in ("tls1.2", "tls1.1", "tls1.0")} | {
    "plain": Attempt("refused", "closed")
}
HELD = Handshake(ended=10.0, cipher="TLS_AES_128_GCM_SHA256", group="x25519")
GOOD = Look(started=9.9, before=HELD, attempts=REFUSED, after=replace(HELD, ended=10.5), certificate=b"")


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ({}, 1.3),
        ({"after": replace(HELD, ended=11.0)}, 1.3),
        ({"after": replace(HELD, ended=11.01)}, None),
        ({"after": replace(HELD, ended=10.5, failure="timeout")}, None),
        ({"before": replace(HELD, failure="reset")}, None),
        ({"attempts": {**REFUSED, "plain": Attempt("inconclusive", "timeout")}}, None),
        ({"attempts": {**REFUSED, "tls1.0": Attempt("inconclusive", "alert internal_error")}}, None),
        ({"attempts": {**REFUSED, "tls1.0": Attempt("accepted", "TLS 1.0 X", 1.0)}}, 1.0),
        ({"attempts": {}}, None),
    ],
    ids=["good", "gap of one second", "gap too long", "no control after", "no control before", "plain unknown",
         "1.0 unknown", "1.0 accepted", "nothing offered"],
)  # fmt: skip
def test_refusals_count_only_as_a_whole_and_between_two_controls(
    change: dict[str, object], value: float | None
) -> None:
    target = Target("pod/a:8443", "127.0.0.1", 1, SERVER_NAME, BINDING)

    assert assemble(target, replace(GOOD, **change), Limits()).value == value  # type: ignore[arg-type]
