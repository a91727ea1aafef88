"""The operator's flags, each with an environment twin."""

from __future__ import annotations

import argparse
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from verticalmodel.api import names
from verticalmodel.facts import IngressController
from verticalmodel.shell.ingress_controllers import parse_controllers

DESCRIPTION = """The VerticalModel operator: reconciles VerticalModels into sandboxed, TLS-1.3-only serving and judges
each clause of their standard from measured evidence. One replica leads by Lease; the others stand by."""


@dataclass(frozen=True)
class Settings:
    """How this process was started."""

    guard_image: str
    unseal_image: str
    kubeconfig: Path | None
    system_namespace: str
    cluster_domain: str
    ingress_controllers: tuple[IngressController, ...]
    health_port: int
    workers: int
    resync_seconds: float
    authority_overlap_seconds: float
    identity: str
    log_level: str


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the command line, else the environment, else the default. Exits with a usage message."""
    parser = argparse.ArgumentParser(
        prog="python -m verticalmodel.shell",
        description=DESCRIPTION,
        epilog="Each flag may also be set by the environment variable named in its help.",
    )

    def flag(name: str, variable: str, default: str, text: str, kind: type = str) -> None:
        value = environment.get(variable, default)
        shown = f" (default: {default})" if default else ""
        parser.add_argument(f"--{name}", default=value, type=kind, help=f"{text} [{variable}]{shown}")

    flag("guard-image", "GUARD_IMAGE", "", "image of the guard sidecar (Envoy); required")
    flag("unseal-image", "UNSEAL_IMAGE", "", "image of the init container that delivers parameters; required")
    flag("kubeconfig", "KUBECONFIG", "", "kubeconfig to use outside a cluster; inside, the pod's account is used")
    flag("system-namespace", "SYSTEM_NAMESPACE", names.SYSTEM_NAMESPACE, "namespace of the Lease and the built-in CA")
    flag("cluster-domain", "CLUSTER_DOMAIN", "cluster.local", "DNS domain of the cluster, for certificates")
    flag(
        "ingress-controllers",
        "INGRESS_CONTROLLERS",
        "",
        "JSON list of {controller, namespaceSelector, cidrs}: who may reach the guards of exposed models",
    )
    flag("health-port", "HEALTH_PORT", "8081", "port of /livez, /readyz and /metrics", int)
    flag("workers", "WORKERS", "16", "models reconciled at the same time", int)
    flag("resync-seconds", "RESYNC_SECONDS", "1800", "each model is looked at at least this often", float)
    flag(
        "authority-overlap-seconds",
        "AUTHORITY_OVERLAP_SECONDS",
        "86400",
        "how long a new built-in CA stands in the trust bundle before it signs: the time that clients get to take it",
        float,
    )
    flag("identity", "POD_UID", "", "unique name of this replica; in a pod, its UID")
    flag("log-level", "LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR")
    given = parser.parse_args(arguments)
    if not given.guard_image:
        parser.error("--guard-image (GUARD_IMAGE) is required: the image of the guard sidecar")
    if not given.unseal_image:
        parser.error("--unseal-image (UNSEAL_IMAGE) is required: the image of the init container")
    if given.workers < 1 or given.resync_seconds <= 0:
        parser.error("--workers must be at least 1 and --resync-seconds above 0")
    if given.authority_overlap_seconds < 0:
        parser.error("--authority-overlap-seconds (AUTHORITY_OVERLAP_SECONDS) must be 0 or more")
    try:
        controllers = parse_controllers(given.ingress_controllers)
    except ValueError as error:
        parser.error(f"--ingress-controllers (INGRESS_CONTROLLERS): {error}")
    return Settings(
        guard_image=given.guard_image,
        unseal_image=given.unseal_image,
        kubeconfig=Path(given.kubeconfig) if given.kubeconfig else None,
        system_namespace=given.system_namespace,
        cluster_domain=given.cluster_domain,
        ingress_controllers=controllers,
        health_port=given.health_port,
        workers=given.workers,
        resync_seconds=given.resync_seconds,
        authority_overlap_seconds=given.authority_overlap_seconds,
        identity=given.identity or uuid.uuid4().hex,
        log_level=given.log_level,
    )
