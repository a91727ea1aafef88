"""A real S3 server (Versity's gateway) on loopback over TLS: its buckets are the folders of a folder."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
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


@contextmanager
def s3(folder: Path) -> Iterator[S3]:
    """A server that keeps its state in `folder`; ends with the block."""
    buckets, credentials = folder / "buckets", folder / "credentials"
    buckets.mkdir()
    credentials.mkdir()
    certificate, key = authority().issue("127.0.0.1")
    (folder / "tls.crt").write_text(certificate)
    (folder / "tls.key").write_text(key)
    port = _free_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_ENDPOINT_URL": f"https://127.0.0.1:{port}",
        "ca.crt": authority().pem,
    }.items():
        (credentials / name).write_text(value + "\n")
    files = ["--cert", folder / "tls.crt", "--key", folder / "tls.key"]
    command = [
        _program(),
        "--port",
        f"127.0.0.1:{port}",
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
            _await(port, process)
            yield S3(buckets, credentials)
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # the pause between two looks: nothing tells when a port listens
        else:
            return
