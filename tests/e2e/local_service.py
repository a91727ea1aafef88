"""The reference runtime behind its guard in a local pod, and a client that trusts the guard's certificate."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from e2e.local_pod import USER, Container, Pod, image, pod
from verticalmodel.api.modelruntime import ModelRuntimeSpec
from verticalmodel.render import guard_drain
from verticalmodel.render.guard_config import CERTIFICATE_DIR, CONFIG_DIR, guard_files
from verticalmodel.render.protocols import Endpoints, endpoints
from verticalmodel.shell.issuer import new_authority

MODEL = "breast-screening"
SERVER_NAME = f"{MODEL}.radiology.svc"
GUARD_PORT, SERVER_PORT = 8443, 8080
INFER = f"/v2/models/{MODEL}/infer"
# A guard reports ready within a second or two; on a busy machine, starting it can take many times that.
PATIENCE = 60.0
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
DRAIN_PATH = guard_drain.drain_path("uid-of-the-model")
PROBERS = new_authority(datetime.now(UTC))
"""Who signs the prober's certificate."""
SERVED = endpoints(
    ModelRuntimeSpec(image="serving", command=("python",), formats=("onnx",)),
    MODEL,
    prober_authority=PROBERS.certificate_pem.decode(),
)


@dataclass(frozen=True)
class Answer:
    """An HTTP response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body parsed."""
        return json.loads(self.body)


class Issuer:
    """A certificate authority of the test's own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._sign(self._name, self._key.public_key(), authority=True)

    def _sign(self, name: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        )
        if authority:
            usage = x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False,
                encipher_only=False, decipher_only=False,
            )  # fmt: skip
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self) -> tuple[int, dict[str, bytes]]:
        """A fresh serving certificate: its serial number, and the data of its Secret."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, MODEL)])
        certificate = self._sign(name, key.public_key(), authority=False)
        return certificate.serial_number, {
            "tls.crt": certificate.public_bytes(serialization.Encoding.PEM),
            "tls.key": key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        }

    def trust(self) -> ssl.SSLContext:
        """A client's context that trusts this authority only."""
        pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)


def write_volume(folder: Path, data: Mapping[str, bytes]) -> None:
    """Write or replace a Secret's volume the way the kubelet does: a new folder, then a rename of the `..data` link."""
    folder.mkdir(parents=True, exist_ok=True)
    version = folder / f"..{time.monotonic_ns()}"
    version.mkdir()
    for name, content in data.items():
        (version / name).write_bytes(content)
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}")
    current = folder / "..data"
    old = current.resolve() if current.is_symlink() else None
    fresh = folder / "..data_tmp"
    fresh.symlink_to(version.name)
    fresh.rename(current)
    if old is not None:
        shutil.rmtree(old)


@dataclass(frozen=True)
class Service:
    """A pod with the runtime and its guard."""

    pod: Pod
    guard: Container
    server: Container
    issuer: Issuer
    certificates: Path
    context: ssl.SSLContext = field(repr=False)

    def connect(self, timeout: float = 10.0) -> http.client.HTTPSConnection:
        """A connection to the guard, verified, by the name in its certificate."""
        connection = http.client.HTTPSConnection(SERVER_NAME, GUARD_PORT, timeout=timeout, context=self.context)
        connection.sock = self.context.wrap_socket(
            socket.create_connection((self.pod.address, GUARD_PORT), timeout=timeout), server_hostname=SERVER_NAME
        )
        return connection

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        over: http.client.HTTPSConnection | None = None,
    ) -> Answer:
        """One request, the path sent as it stands; over a connection of its own unless one is given."""
        connection = over or self.connect()
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        finally:
            if over is None:
                connection.close()

    def infer(self, content: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """One inference; `content` is sent as JSON unless it is bytes."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.request("POST", INFER, body, {"content-type": "application/json", **(headers or {})})

    def serial(self) -> int:
        """Serial number of the certificate that a new connection is shown."""
        connection = self.connect()
        try:
            shown = connection.sock.getpeercert()
        finally:
            connection.close()
        return int(shown["serialNumber"], 16)


def http2_request(method: str, path: str) -> bytes:
    """The frame of a connection's first request, without a body (RFC 9113); HTTP2_PREFACE goes before it."""
    fields = ((":method", method), (":scheme", "https"), (":authority", "x"), (":path", path))
    headers = b"".join(_literal(name.encode(), value.encode()) for name, value in fields)
    return len(headers).to_bytes(3, "big") + b"\x01\x05" + (1).to_bytes(4, "big") + headers


def _literal(name: bytes, value: bytes) -> bytes:
    return bytes([0x00, len(name)]) + name + bytes([len(value)]) + value


def until(what: str, look: Callable[[], Any], timeout: float = PATIENCE) -> Any:
    """The first truthy answer of `look`; a refused connection counts as none yet."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            answer = look()
        except OSError as error:
            answer = None
            last: object = error
        else:
            last = answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout:.0f} s; last: {last!r}")
        time.sleep(0.02)  # the pause between two looks


def model_folder(into: Path) -> Path:
    """A folder with the sample model as its image delivers it."""
    into.mkdir(parents=True, exist_ok=True)
    shutil.copy(image("sample-model").rootfs / f"models/{MODEL}/model.onnx", into / "model.onnx")
    return into


@contextmanager
def running_server(
    inside: Pod, model: Path, log: Path, *arguments: str, user: int = USER, cpu_limit: str = "1"
) -> Iterator[Container]:
    """The runtime with `model` (a folder) mounted read-only, and a folder for its termination message by its log."""
    messages = log.with_suffix(".messages")
    messages.mkdir(exist_ok=True)
    messages.chmod(0o777)
    with inside.run(
        image("serving"),
        *("--model-name", MODEL, "--model-path", "/mnt/model", "--port", str(SERVER_PORT)),
        *("--termination-log", "/mnt/target/reason", *arguments),
        log=log,
        environment={"CPU_LIMIT": cpu_limit},
        mounts=[(model, "/mnt/model", "ro"), (messages, "/mnt/target", "rw")],
        user=user,
    ) as container:
        yield container


@contextmanager
def running_guard(inside: Pod, certificates: Path, log: Path, served: Endpoints = SERVED) -> Iterator[Container]:
    """The guard with the rendered configuration, as the pod template starts it."""
    config = log.with_suffix(".config")
    files = guard_files(served=served, server_port=SERVER_PORT, drain_path=DRAIN_PATH)
    data = {name: text.encode() for name, text in files.items()}
    write_volume(config, data)
    run = log.with_suffix(".run")
    run.mkdir(exist_ok=True)
    run.chmod(0o777)
    with inside.run(
        image("guard"),
        *("--config-path", f"{CONFIG_DIR}/bootstrap.json", "--disable-hot-restart"),
        *("--concurrency", "1", "--log-level", "warning", *guard_drain.arguments()),
        log=log,
        mounts=[(config, CONFIG_DIR, "ro"), (certificates, CERTIFICATE_DIR, "ro"), (run, guard_drain.RUN_DIR, "rw")],
    ) as container:
        yield container


@contextmanager
def service(
    folder: Path, *, model: Path | None = None, user: int = USER, served: Endpoints = SERVED
) -> Iterator[Service]:
    """A running service, ready; of the sample model unless the folder of another is given."""
    issuer, certificates = Issuer(), folder / "certificates"
    write_volume(certificates, issuer.issue()[1])
    files = model or model_folder(folder / "model")
    with ExitStack() as running:
        inside = running.enter_context(pod())
        container = running.enter_context(running_server(inside, files, folder / "server.log", user=user))
        guard = running.enter_context(running_guard(inside, certificates, folder / "guard.log", served))
        started = Service(inside, guard, container, issuer, certificates, issuer.trust())
        until("the service is ready", lambda: started.request("GET", "/healthz/ready").status == 200)
        yield started
