"""cert-manager's own CRD of Certificate, out of its Go module: pinned by version and digest, fetched once."""

from __future__ import annotations

import hashlib
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from testcluster.build import Toolchain

__all__ = ["NAME", "certificate_crd"]

NAME = "certificates.cert-manager.io"
MODULE = "github.com/cert-manager/cert-manager@v1.21.1"
FILE = "deploy/crds/cert-manager.io_certificates.yaml"
SHA256 = "7ad91029c00ec959d54215b19d3b1a9b7e0247eaa60f987151c2b70d8661f8af"


@cache
def path() -> Path:
    """The unchanged file. Raises AssertionError where it is another one than was looked at."""
    go = Toolchain.find().command
    done = subprocess.run(
        [go, "mod", "download", "-json", MODULE], capture_output=True, text=True, check=False, timeout=300, cwd="/"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = Path(json.loads(done.stdout)["Dir"]) / FILE
    assert hashlib.sha256(found.read_bytes()).hexdigest() == SHA256
    return found


def certificate_crd() -> dict[str, Any]:
    """The CRD as an object."""
    crd: dict[str, Any] = yaml.safe_load(path().read_text(encoding="utf-8"))
    return crd
