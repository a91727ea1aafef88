"""The command line of hack/cluster."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from testcluster import cluster as clusters
from testcluster.build import kubernetes_versions
from testcluster.cluster import Cluster
from testcluster.errors import ClusterError, UsageError
from testcluster.layout import Shape
from testcluster.packages import PACKAGES


def say(text: str) -> None:
    """Progress goes to standard error: standard output is for what the next program reads."""
    print(text, file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0, 1 for a failure or 2 for a request that cannot be met."""
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except UsageError as wrong:
        say(f"hack/cluster: {wrong}")
        return 2
    except ClusterError as failure:
        say(f"hack/cluster: {failure}")
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="hack/cluster", description=__doc__)
    commands = top.add_subparsers(required=True)
    up = commands.add_parser("up")
    up.add_argument("--name", default="vm")
    up.add_argument("--nodes", type=int, default=3)
    up.add_argument("--etcd", choices=("tmpfs", "disk"), default="tmpfs")
    up.add_argument("--kubernetes-version", choices=kubernetes_versions(), default=kubernetes_versions()[-1])
    up.set_defaults(run=_up)
    down = commands.add_parser("down")
    down.add_argument("--name", default="vm")
    down.set_defaults(run=lambda a: clusters.down(a.name))
    kubeconfig = commands.add_parser("kubeconfig")
    kubeconfig.add_argument("--name", default="vm")
    kubeconfig.set_defaults(run=lambda a: print(Cluster.find(a.name).kubeconfig))
    load = commands.add_parser("load-image")
    load.add_argument("archives", nargs="+", type=Path)
    load.add_argument("--name", default="vm")
    load.set_defaults(run=lambda a: Cluster.find(a.name).load_image(*a.archives))
    build = commands.add_parser("build")
    build.add_argument("--kubernetes-version", choices=kubernetes_versions(), default=kubernetes_versions()[-1])
    build.set_defaults(run=lambda a: print(clusters.build(a.kubernetes_version, report=say)))
    packages = commands.add_parser("packages")
    packages.set_defaults(run=lambda _: print(*PACKAGES, sep="\n"))
    return top


def _up(arguments: argparse.Namespace) -> None:
    started = time.monotonic()
    shape = Shape(arguments.nodes, arguments.etcd, arguments.kubernetes_version)
    Cluster.up(arguments.name, shape, report=say)
    say(f"{time.monotonic() - started:5.1f} s  up")
