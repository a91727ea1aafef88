"""Real servers on loopback for the prober's tests: a certificate authority, TLS of chosen versions, and worse."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import ssl
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SERVER_NAME = "breast-screening.radiology.svc"
_PEM = serialization.Encoding.PEM
Handler = Callable[[socket.socket], None]


@dataclass(frozen=True)
class Authority:
    """A certificate authority made for a test run."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """Its certificate."""
        return self.certificate.public_bytes(_PEM).decode()

    def issue(self, name: str = SERVER_NAME, *, days: float = 1.0) -> tuple[str, str]:
        """Certificate and key as PEM for a server of this name or address; negative `days`: expired so long ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(name, key, self, days=days)
        private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return certificate.public_bytes(_PEM).decode(), private.decode()


@cache
def authority(name: str = "test authority") -> Authority:
    """One authority per name and run."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Authority(_sign(name, key, None, days=1), key)


def _sign(name: str, key: ec.EllipticCurvePrivateKey, issuer: Authority | None, *, days: float) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    end = datetime.now(UTC) + timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=2))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(name)]), critical=False)
    return builder.sign(issuer.key if issuer else key, hashes.SHA256())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def context(
    least: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    *,
    certificate: tuple[str, str] | None = None,
    ciphers: str = "ALL",
) -> ssl.SSLContext:
    """A server's context that speaks these versions, the ones OpenSSL discourages included."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TLS 1.0 and 1.1, which is the point
        made.minimum_version, made.maximum_version = least, most
    pair = certificate or authority().issue()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pair.pem"
        file.write_text("".join(pair))
        made.load_cert_chain(file)
    return made


@contextlib.contextmanager
def listening(handle: Handler, host: str = "127.0.0.1", port: int = 0) -> Iterator[tuple[str, int]]:
    """A server that gives each connection to `handle` in a thread; yields its address. Broken connections are fine."""
    listener = socket.create_server((host, port), backlog=64)
    stopping = threading.Event()
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            handle(connection)

    def accept() -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=serve, args=(connection,), daemon=True)
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield listener.getsockname()
    finally:
        stopping.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        for thread in threads:
            thread.join(5)


def tls(made: ssl.SSLContext) -> Handler:
    """Shake hands as the context says, and answer a request with a short page. Alerts reach the peer."""

    def handle(connection: socket.socket) -> None:
        with made.wrap_socket(connection, server_side=True) as shaken:
            if shaken.recv(1024):
                shaken.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    return handle


def plain(answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") -> Handler:
    """Answer whatever comes with these bytes, without TLS."""

    def handle(connection: socket.socket) -> None:
        if connection.recv(65536):
            connection.sendall(answer)

    return handle


def resetting(connection: socket.socket) -> None:
    """Drop the connection by RST as soon as something was said."""
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def closing(connection: socket.socket) -> None:
    """Close in an orderly way once something was said."""
    connection.recv(65536)


def hanging(release: threading.Event) -> Handler:
    """Say nothing until released."""

    def handle(_connection: socket.socket) -> None:
        release.wait(30)

    return handle


def by_first_bytes(choose: Callable[[bytes], Handler]) -> Handler:
    """Let the first bytes decide who handles the connection; they stay in the socket."""

    def handle(connection: socket.socket) -> None:
        choose(connection.recv(2048, socket.MSG_PEEK))(connection)

    return handle


Page = Callable[[str, str, bytes], tuple[int, bytes]]
"""Answers method, path and body of a request with a status and a body."""


def web(made: ssl.SSLContext, page: Page, *, token: Callable[[str], bool] = lambda _: True) -> Handler:
    """HTTP/1.1 over TLS: one request after the other until the peer closes.

    Who sends an Authorization that `token` does not accept (empty where there is none) gets 401.
    """

    def handle(connection: socket.socket) -> None:
        with made.wrap_socket(connection, server_side=True) as shaken, shaken.makefile("rb") as lines:
            while request := lines.readline():
                method, path, _ = request.decode().split(" ", 2)
                headers = dict(_header(line) for line in iter(lines.readline, b"\r\n") if line)
                status, body = page(method, path, lines.read(int(headers.get("content-length", 0))))
                if not token(headers.get("authorization", "")):
                    status, body = 401, b""
                date = formatdate(usegmt=True)
                head = f"HTTP/1.1 {status} Status\r\nDate: {date}\r\nContent-Length: {len(body)}\r\n\r\n"
                shaken.sendall(head.encode() + body)

    return handle


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode().partition(":")
    return name.strip().lower(), value.strip()


METADATA = {
    "name": "breast-screening",
    "versions": ["1"],
    "platform": "onnx",
    "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
}


def open_inference(model: str = "breast-screening") -> Page:
    """A model server that follows Open Inference v2 and counts its inputs' elements."""

    def page(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if (method, path) == ("GET", f"/v2/models/{model}"):
            return 200, json.dumps({**METADATA, "name": model}).encode()
        if (method, path) == ("POST", f"/v2/models/{model}/infer"):
            request = json.loads(body)
            output = {"name": "label", "datatype": "INT64", "shape": [1], "data": [len(request["inputs"][0]["data"])]}
            return 200, json.dumps({"model_name": model, "id": request["id"], "outputs": [output]}).encode()
        return 403, b'{"error": "not allowed"}'

    return page
