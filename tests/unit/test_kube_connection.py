"""Claims about reaching the API server: credentials, trust, and where they come from."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from unit.kube_stub import connected, stub_api
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.errors import Unreachable
from verticalmodel.kube.kubeconfig import Access, ConfigError, from_kubeconfig, in_cluster
from verticalmodel.kube.resources import PODS


class Authority:
    """A certificate authority for one test."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key, x509.BasicConstraints(ca=True, path_length=None))
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """Certificate and key in PEM, good for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
        certificate = self._sign(subject, key, address)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate.public_bytes(serialization.Encoding.PEM), private

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: Any) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(extension, critical=False)
            .sign(self.key, hashes.SHA256())
        )


@asynccontextmanager
async def tls_server(authority: Authority, folder: Path) -> AsyncIterator[tuple[str, list[str]]]:
    """URL of a server that demands a client certificate of the same authority, and the subjects it met."""
    certificate, key = authority.issue("server")
    (folder / "server.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.pem)
    met: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        assert request.transport is not None
        subject = request.transport.get_extra_info("peercert")["subject"]
        met.append(subject[0][0][1])
        return web.json_response({"metadata": {}, "items": []})

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}", met
    finally:
        await runner.cleanup()


def kubeconfig(folder: Path, cluster: Mapping[str, Any], user: Mapping[str, Any], **more: Any) -> Path:
    path = folder / "config"
    config = {
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "ns"}},
            {"name": "there", "context": {"cluster": "c2", "user": "u"}},
        ],
        "clusters": [
            {"name": "c", "cluster": {"server": "https://127.0.0.1:6443/", **cluster}},
            {"name": "c2", "cluster": {"server": "https://127.0.0.2:6443"}},
        ],
        "users": [{"name": "u", "user": dict(user)}],
        **more,
    }
    path.write_text(yaml.safe_dump(config))
    return path


def encoded(data: bytes | str) -> str:
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def test_a_kubeconfig_with_data_inside(tmp_path: Path) -> None:
    user = {"client-certificate-data": encoded("CERT"), "client-key-data": encoded("KEY")}
    path = kubeconfig(tmp_path, {"certificate-authority-data": encoded("CA")}, user)
    assert from_kubeconfig(path) == Access(
        "https://127.0.0.1:6443", namespace="ns", ca_pem="CA", certificate_pem=b"CERT", key_pem=b"KEY"
    )


def test_a_kubeconfig_with_files_beside_it(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text(name.upper())
    user = {"client-certificate": "cert", "client-key": "key", "tokenFile": "token"}
    access = from_kubeconfig(kubeconfig(tmp_path, {"certificate-authority": "ca"}, user))
    assert (access.ca_pem, access.certificate_pem, access.key_pem) == ("CA", b"CERT", b"KEY")
    assert access.token_file == tmp_path / "token"


def test_another_context_can_be_named(tmp_path: Path) -> None:
    access = from_kubeconfig(kubeconfig(tmp_path, {}, {"token": "t"}), "there")
    assert (access.server, access.namespace, access.token) == ("https://127.0.0.2:6443", "default", "t")


def test_secrets_do_not_show_in_repr() -> None:
    access = Access("https://x", token="t0ken", ca_pem="CA", certificate_pem=b"CERT", key_pem=b"K3Y")
    assert not any(secret in repr(access) for secret in ("t0ken", "K3Y"))


@pytest.mark.parametrize(
    ("cluster", "user", "more", "named"),
    [
        ({"insecure-skip-tls-verify": True}, {}, {}, "insecure-skip-tls-verify"),
        ({"proxy-url": "http://p"}, {}, {}, "proxy-url"),
        ({"server": "ftp://x"}, {}, {}, "cluster.server"),
        ({"certificate-authority-data": "%%%"}, {}, {}, "certificate-authority-data"),
        ({"certificate-authority": "missing"}, {}, {}, "certificate-authority"),
        ({}, {"exec": {"command": "x"}}, {}, "exec"),
        ({}, {"username": "u", "password": "p"}, {}, "username, password"),
        ({}, {"client-certificate-data": encoded("C")}, {}, "client-key"),
        ({}, {}, {"current-context": "nowhere"}, "nowhere"),
        ({}, {}, {"current-context": None}, "current-context"),
        ({}, {}, {"users": []}, "users"),
        ({}, {}, {"clusters": []}, "clusters"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], more: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        from_kubeconfig(kubeconfig(tmp_path, cluster, user, **more))
    assert named in str(refused.value)
    assert str(tmp_path) in str(refused.value)


@pytest.mark.parametrize("content", ["- a\n- b", "token: [", ""])
def test_a_file_that_is_no_kubeconfig_is_refused_without_quoting_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "config").write_text(content)
    with pytest.raises(ConfigError) as refused:
        from_kubeconfig(tmp_path / "config")
    assert "token" not in str(refused.value)


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        from_kubeconfig(tmp_path / "nowhere")


def account(folder: Path) -> Path:
    for name, content in (("token", "t1\n"), ("ca.crt", "CA"), ("namespace", "system\n")):
        (folder / name).write_text(content)
    return folder


def test_in_cluster_access_follows_the_account(tmp_path: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    assert in_cluster(environment, account(tmp_path)) == Access(
        "https://[fd00::1]:443", namespace="system", ca_file=tmp_path / "ca.crt", token_file=tmp_path / "token"
    )


def test_outside_a_pod_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="kubeconfig"):
        in_cluster({}, tmp_path)
    with pytest.raises(ConfigError, match="automountServiceAccountToken"):
        in_cluster({"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "1"}, tmp_path)


async def test_a_rotated_token_is_used_by_the_next_request(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    async with connected(token_file=token) as (stub, connection):
        api = ApiClient(connection)
        await api.list(PODS)
        # As the kubelet does it: the new file takes the old one's place.
        (tmp_path / "next").write_text("two")
        (tmp_path / "next").replace(token)
        await api.list(PODS)
        # Absent for a moment: the last one stays.
        token.unlink()
        await api.list(PODS)
        assert [headers["Authorization"] for headers in stub.headers] == ["Bearer one", "Bearer two", "Bearer two"]


async def test_the_token_goes_to_the_api_server_only() -> None:
    async with connected(token="t0ken") as (stub, connection), stub_api() as elsewhere:
        async with connection.session.get(f"{elsewhere.url}/api"), connection.session.get(f"{stub.url}/api"):
            pass
        assert "Authorization" not in elsewhere.headers[0]
        assert stub.headers[0]["Authorization"] == "Bearer t0ken"


async def test_a_lent_session_may_be_closed_by_its_borrower() -> None:
    async with connected(token="t") as (stub, connection):
        async with connection.lend_session() as lent, lent.get(f"{stub.url}/api") as response:
            await response.read()
        await ApiClient(connection).list(PODS)
        assert [headers["Authorization"] for headers in stub.headers] == ["Bearer t", "Bearer t"]


async def test_connections_are_bounded() -> None:
    async with stub_api() as stub, Connection.to(Access(stub.url), limit=3) as connection:
        peers: set[object] = set()

        async def slow(request: web.Request) -> None:
            assert request.transport is not None
            peers.add(request.transport.get_extra_info("peername"))
            await asyncio.sleep(0.01)

        stub.fault = slow
        api = ApiClient(connection)
        await asyncio.gather(*(api.list(PODS) for _ in range(20)))
        assert len(peers) <= 3


async def test_a_client_certificate_from_a_kubeconfig_is_shown_and_the_server_verified(tmp_path: Path) -> None:
    authority = Authority("ours")
    certificate, key = authority.issue("somebody")
    user = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
    async with tls_server(authority, tmp_path) as (url, met):
        cluster = {"server": url, "certificate-authority-data": encoded(authority.pem)}
        async with Connection.open(kubeconfig(tmp_path, cluster, user)) as connection:
            await ApiClient(connection).list(PODS)
    assert met == ["somebody"]


async def test_a_server_of_another_authority_is_not_trusted(tmp_path: Path) -> None:
    ours, theirs = Authority("ours"), Authority("theirs")
    certificate, key = theirs.issue("somebody")
    async with tls_server(theirs, tmp_path) as (url, met):
        access = Access(url, ca_pem=ours.pem, certificate_pem=certificate, key_pem=key)
        async with Connection.to(access) as connection:
            with pytest.raises(Unreachable, match="Certificate"):
                await ApiClient(connection).list(PODS)
    assert met == []


async def test_a_rotated_authority_is_trusted_without_a_restart(tmp_path: Path) -> None:
    old, new = Authority("old"), Authority("new")
    (tmp_path / "ca.crt").write_text(old.pem)
    certificate, key = new.issue("somebody")
    async with tls_server(new, tmp_path) as (url, met):
        access = Access(url, ca_file=tmp_path / "ca.crt", certificate_pem=certificate, key_pem=key)
        async with Connection.to(access) as connection:
            with pytest.raises(Unreachable):
                await ApiClient(connection).list(PODS)
            (tmp_path / "ca.crt").write_text(new.pem)
            os.utime(tmp_path / "ca.crt", ns=(1, 1))
            await ApiClient(connection).list(PODS)
    assert met == ["somebody"]
