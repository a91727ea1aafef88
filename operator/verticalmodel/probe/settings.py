"""Flags of the prober. Each has an environment variable of the same meaning; the flag wins."""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from verticalmodel.api import names

__all__ = ["Settings", "parse"]

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_DESCRIPTION = """\
Measures every VerticalModel from outside, and writes what it saw as Evidence: TLS versions of each pod and Service
(clause 13), live cgroups of each container (clause 30), and one harmless inference per pod (Ready).

It needs its own account (verticalmodel-prober): read models, runtimes, standards, pods, services and nodes; get
nodes/metrics; write evidences. Run one replica with strategy Recreate: a second one is not dangerous, each write names
the version it follows, but both would measure. Nothing is kept on disk: after a restart it goes on from the API.
"""


@dataclass(frozen=True)
class Settings:
    """How this prober runs. Durations in seconds."""

    kubeconfig: Path | None
    system_namespace: str
    namespace: str
    """Only models of this namespace are measured; empty: all."""
    ca_configmap: str
    identity: Path
    """Folder with `tls.crt` and `tls.key`, by which guards know us; it may be empty."""
    health_address: str | None
    """None: every address of the host, of both families."""
    health_port: int
    canary_interval: float
    default_lifetime: float
    spacing: float
    models_at_once: int
    targets_at_once: int
    node_interval: float
    kubelet_ca: Path | None
    retention: float
    log_level: str
    pod_ip: str
    source: str


def _seconds(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} must be a number from {least:g} to {most:g}")
        return value

    return parse


def _count(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from {least} to {most}")
        return int(text)

    return parse


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text!r} is not a file")
    return path


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} must be an IP address, for example 127.0.0.1") from error


def _level(text: str) -> str:
    if text.upper() not in _LEVELS:
        raise argparse.ArgumentTypeError(f"{text!r} must be one of {', '.join(_LEVELS)}")
    return text.upper()


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m verticalmodel.probe",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def flag(name: str, kind: Callable[[str], object], default: str | None, text: str) -> None:
        twin = name.upper().replace("-", "_")
        shown = f" (default: {default})" if default else ""
        # A string default goes through `type` as a flag would, so a bad environment variable is refused alike.
        parser.add_argument(
            f"--{name}",
            type=kind,
            default=environment.get(twin) or default,
            metavar="X",
            help=f"{text}{shown} [{twin}]",
        )

    flag("kubeconfig", _file, None, "how to reach the API server; without it, the pod's service account")
    flag("system-namespace", str, names.SYSTEM_NAMESPACE, "namespace of the operator's own objects")
    flag("namespace", str, "", "measure the models of this namespace only; without it, of all")
    flag("ca-configmap", str, names.CA_NAME, "ConfigMap there whose key ca.crt verifies the guards' certificates")
    flag("identity", Path, "/etc/prober/identity", "folder with tls.crt and tls.key, by which guards know the prober")
    flag("health-address", _address, None, "address of /livez, /readyz and /metrics; without it, all of the host's")
    flag("health-port", _count(0, 65535), "8082", "port of /livez, /readyz and /metrics; 0 picks a free one")
    flag("canary-interval", _seconds(1, 300), "15", "seconds between two canary requests to one pod")
    flag("default-lifetime", _seconds(10, 86400), "600", "seconds that evidence holds where the standard says nothing")
    flag("spacing", _seconds(0.1, 60), "1", "least seconds between two passes over one model")
    flag("models-at-once", _count(1, 256), "8", "models measured at the same time")
    flag("targets-at-once", _count(1, 1024), "16", "endpoints contacted at the same time, up to five connections each")
    flag("node-interval", _seconds(1, 30), "5", "least seconds between two scrapes of one node's kubelet")
    flag("kubelet-ca", _file, None, "CA of the kubelets' serving certificates, where it is not the cluster's own")
    flag("retention-days", _seconds(1, 3650), "90", "days that evidence outlives its model")
    flag("log-level", _level, "INFO", "DEBUG, INFO, WARNING or ERROR")
    flag("pod-name", str, socket.gethostname(), "who measured, as written into evidence")
    flag(
        "pod-ip", _address, None, "own address, which a stranger connects to as a control; without it, clause 34 waits"
    )
    flag("node-name", str, "unknown", "where that runs, as written into evidence")
    return parser


def parse(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the command line and the environment. Exits with status 2 and a message where they are wrong."""
    found = _parser(environment).parse_args(arguments)
    return Settings(
        kubeconfig=found.kubeconfig,
        system_namespace=found.system_namespace,
        namespace=found.namespace,
        ca_configmap=found.ca_configmap,
        identity=found.identity,
        health_address=found.health_address,
        health_port=found.health_port,
        canary_interval=found.canary_interval,
        default_lifetime=found.default_lifetime,
        spacing=found.spacing,
        models_at_once=found.models_at_once,
        targets_at_once=found.targets_at_once,
        node_interval=found.node_interval,
        kubelet_ca=found.kubelet_ca,
        retention=found.retention_days * 86400,
        log_level=found.log_level,
        pod_ip=found.pod_ip or "",
        source=f"pod {found.pod_name} on node {found.node_name}"[:253],
    )
