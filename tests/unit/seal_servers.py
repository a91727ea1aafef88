"""A real HTTPS server on loopback that serves a folder in ranges, and misbehaves as told."""

from __future__ import annotations

import http.server
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

from unit.probe_servers import authority


@dataclass
class Behaviour:
    """What goes wrong, for how many requests for bodies."""

    errors: int = 0
    """Answers with status 500."""
    cuts: int = 0
    """Bodies that break off in their middle."""
    stalls: int = 0
    """Answers that come only after `stall_seconds`."""
    stall_seconds: float = 0.0
    authorization: str | None = None
    """Wanted in each request, else 401."""
    etags: bool = True
    trickles: str = ""
    """Name of a file of whose body a byte comes every two seconds."""
    overstated: int = 0
    """How many bytes more than there are HEAD promises."""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    began: threading.Event = field(default_factory=threading.Event)
    """Set once a request has come."""

    def one_of(self, name: str) -> bool:
        """Take one of the misbehaviours `name` that are left."""
        with self.lock:
            left = getattr(self, name)
            setattr(self, name, max(0, left - 1))
            return bool(left)

    def ranges(self) -> list[str]:
        return [wanted for method, _, wanted in self.requests if method == "GET" and wanted]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path
    behaviour: Behaviour

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's signature)
        """The test's output is no place for it."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        wanted = self.headers.get("range")
        self.behaviour.requests.append((self.command, self.path, wanted))
        self.behaviour.began.set()
        if self.behaviour.authorization not in {None, self.headers.get("authorization")}:
            return self._empty(401)
        path = self.root / self.path.lstrip("/")
        if not path.is_file():
            return self._empty(404)
        if body and self.behaviour.one_of("errors"):
            return self._empty(500)
        if body and self.behaviour.one_of("stalls"):
            time.sleep(self.behaviour.stall_seconds)  # the misbehaviour itself: a server that answers late
        return self._file(path.read_bytes(), wanted, body=body)

    def _file(self, data: bytes, wanted: str | None, *, body: bool) -> None:
        start, end = 0, len(data)
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) + 1, len(data))
            if start >= len(data):
                return self._empty(416)
        self.send_response(206 if wanted else 200)
        self.send_header("content-length", str(end - start + (0 if body else self.behaviour.overstated)))
        if wanted:
            self.send_header("content-range", f"bytes {start}-{end - 1}/{len(data)}")
        if self.behaviour.etags:
            self.send_header("etag", f'"{len(data)}"')
        self.end_headers()
        if body and self.behaviour.one_of("cuts"):
            self.wfile.write(data[start : (start + end) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif body and self.behaviour.trickles and self.path.endswith(f"/{self.behaviour.trickles}"):
            for byte in data[start:end]:
                self.wfile.write(bytes([byte]))
                time.sleep(2)  # the misbehaviour itself
        elif body:
            self.wfile.write(data[start:end])
        return None

    def _empty(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is part of the tests."""


@contextmanager
def serving(root: Path, behaviour: Behaviour, address: str = "127.0.0.1") -> Iterator[str]:
    """`https://ADDRESS:PORT` of a server for `root`, signed by the tests' authority."""
    handler = type("Handler", (_Handler,), {"root": root, "behaviour": behaviour})
    context = SSLContext(PROTOCOL_TLS_SERVER)
    certificate, key = authority().issue(address)
    with tempfile.NamedTemporaryFile("w") as chain:
        chain.write(certificate + key)
        chain.flush()
        context.load_cert_chain(chain.name)
    with _Server((address, 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"https://{address}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
