"""Servers that models get their parameters from, on the control plane's machine: neither a pod nor this machine.

Pods reach its address as they would any server of the company's network, if their network policy lets them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.s3_server import s3
from installation import ROOT
from testcluster import Cluster as LocalCluster
from testcluster.layout import CONTROL_PLANE

S3_PORT = 7443
TOKEN = "token-of-the-test"
SLOW = "slow.onnx"
"""A name under which the website serves a byte every two seconds."""
_HTTPS = """
import json, os, signal, sys
from pathlib import Path
from unit.probe_servers import authority
from unit.seal_servers import Behaviour, serving
folder, address = sys.argv[1:]
behaviour = Behaviour(authorization="Bearer " + os.environ["TOKEN"], trickles=os.environ["SLOW"])
with serving(Path(folder), behaviour, address) as url:
    print(json.dumps({"url": url, "ca.crt": authority().pem}), flush=True)
    signal.pause()
"""


@dataclass(frozen=True)
class RemoteSource:
    """A server and what a model needs to reach it."""

    origin: str
    """What a source's URI begins with."""
    files: Path
    """What is in this folder can be asked for."""
    address: str
    port: int
    secret: dict[str, str]
    """Content of the Secret for `source.secretRef`."""

    @property
    def egress(self) -> list[dict[str, Any]]:
        """`source.egress` that opens this server and nothing else."""
        return [{"cidr": f"{self.address}/32", "port": self.port}]


@contextmanager
def bucket(cluster: LocalCluster, folder: Path) -> Iterator[RemoteSource]:
    """A bucket of a real S3 server."""
    address = cluster.addresses[CONTROL_PLANE]
    with s3(folder, address, S3_PORT, cluster.enter(CONTROL_PLANE, [], mounts=False)) as server:
        files = server.buckets / "models"
        files.mkdir()
        secret = {path.name: path.read_text().strip() for path in server.credentials.iterdir()}
        yield RemoteSource("s3://models", files, address, S3_PORT, secret)


@contextmanager
def website(cluster: LocalCluster, folder: Path) -> Iterator[RemoteSource]:
    """An HTTPS server with a certificate authority of its own, which asks for a token."""
    address = cluster.addresses[CONTROL_PLANE]
    command = cluster.enter(CONTROL_PLANE, [sys.executable, "-c", _HTTPS, str(folder), address], mounts=False)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(ROOT / "hack"))),
        "TOKEN": TOKEN,
        "SLOW": SLOW,
    }
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            secret = {"ca.crt": said["ca.crt"], "token": TOKEN}
            yield RemoteSource(said["url"], folder, address, int(said["url"].rpartition(":")[2]), secret)
        finally:
            process.terminate()
