"""A real S3 server (Versity's gateway) over TLS, on loopback or on a test machine: buckets are a folder's folders."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from testcluster.build import S3_SERVER, Builder, Toolchain, cache_folder
from unit.probe_servers import authority

ACCESS_KEY = "reader-of-the-test"
SECRET_KEY = "secret-of-the-test"


@cache
def _program() -> Path:
    return Builder(cache_folder(), Toolchain.find()).alone(S3_SERVER) / "versitygw"


@dataclass(frozen=True)
class S3:
    """Where it listens, and the folder with credentials that a model's Secret would hold."""

    buckets: Path
    credentials: Path
    address: str
    port: int


@contextmanager
def s3(folder: Path, address: str = "127.0.0.1", port: int = 0, enter: Sequence[str] = ()) -> Iterator[S3]:
    """A server that keeps its state in `folder`; ends with the block.

    `enter` is the command prefix that runs it where the address is; then the port is to be chosen too.
    """
    port = port or _free_port()
    buckets, credentials = folder / "buckets", folder / "credentials"
    buckets.mkdir()
    credentials.mkdir()
    certificate, key = authority().issue(address)
    (folder / "tls.crt").write_text(certificate)
    (folder / "tls.key").write_text(key)
    for name, value in {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_ENDPOINT_URL": f"https://{address}:{port}",
        "ca.crt": authority().pem,
    }.items():
        (credentials / name).write_text(value + "\n")
    files = ["--cert", folder / "tls.crt", "--key", folder / "tls.key"]
    command = [
        *enter,
        _program(),
        "--port",
        f"{address}:{port}",
        "--quiet",
        "--keep-alive",
        *files,
        "posix",
        "--nometa",
        buckets,
    ]
    environment = os.environ | {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    ) as process:
        try:
            _await((address, port), process)
            yield S3(buckets, credentials, address, port)
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _await(listener: tuple[str, int], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(listener, timeout=1).close()
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # the pause between two looks: nothing tells when a port listens
        else:
            return
