"""What the commands of hack/cluster do. Progress goes to standard error, results to standard output."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from typing import Any

from testcluster import cluster as clusters
from testcluster import health, records
from testcluster.cluster import Cluster
from testcluster.errors import UsageError
from testcluster.layout import Shape
from testcluster.packages import PACKAGES


def up(arguments: argparse.Namespace) -> None:
    """Bring a cluster up; the last line on standard error names its kubeconfig."""
    started = time.monotonic()
    shape = Shape(arguments.nodes, arguments.etcd, arguments.kubernetes_version)
    cluster = Cluster.up(arguments.name, shape, report=say)
    say(f"{time.monotonic() - started:5.1f} s  cluster {cluster.name} is up: export KUBECONFIG={cluster.kubeconfig}")


def down(arguments: argparse.Namespace) -> None:
    """Take one cluster or all of them away."""
    for name in clusters.names() if arguments.all else [arguments.name]:
        clusters.down(name)
        say(f"cluster {name} is gone")


def status(arguments: argparse.Namespace) -> None:
    """Print what `health` finds, for people or as a JSON list."""
    names = [arguments.name] if arguments.name else clusters.names()
    documents = [_describe(name) for name in names]
    if arguments.output == "json":
        print(json.dumps(documents, indent=1))
        return
    if not documents:
        print("no clusters")
    for document in documents:
        print(f"{document['name']}: {'healthy' if document['healthy'] else '; '.join(document['problems'])}")
        for machine in document.get("machines", ()):
            state = "powered off" if not machine["powered"] else ", ".join(machine["missing"]) or "running"
            print(f"  {machine['name']:<14} {machine['address']:<13} {state}")


def _describe(name: str) -> dict[str, Any]:
    record = records.Record.load(name)
    if record is None:
        here = name in clusters.names()
        problem = "left half-made: `up` or `down` removes it" if here else "does not exist"
        return {"name": name, "healthy": False, "problems": [problem]}
    condition = health.look(record)
    return {
        "name": name,
        "healthy": not condition.problems,
        "problems": list(condition.problems),
        "kubeconfig": str(record.layout.kubeconfig),
        "shape": asdict(record.layout.shape),
        "machines": [asdict(machine) for machine in condition.machines],
    }


def kubeconfig(arguments: argparse.Namespace) -> None:
    """Print the path of the kubeconfig, or the kubeconfig."""
    path = Cluster.find(arguments.name).kubeconfig
    print(path.read_text(encoding="utf-8") if arguments.show else path, end="" if arguments.show else "\n")


def load_image(arguments: argparse.Namespace) -> None:
    """Import archives and say for each node and archive whether that was needed."""
    started = time.monotonic()
    for name, imported in Cluster.find(arguments.name).load_image(*arguments.archives).items():
        say(f"{'imported' if imported else 'there already'}  {name}")
    say(f"{time.monotonic() - started:5.1f} s")


def logs(arguments: argparse.Namespace) -> None:
    """Copy a log file to standard output, or list what there is."""
    cluster = Cluster.of_any_state(arguments.name)
    if arguments.component is None:
        print(*cluster.logs(), sep="\n")
        return
    with cluster.log(arguments.component, arguments.machine).open("rb") as log:
        while block := log.read(1 << 20):
            sys.stdout.buffer.write(block)
    sys.stdout.flush()


def node(arguments: argparse.Namespace) -> None:
    """Switch a node's power, or become a command that runs on it."""
    cluster = Cluster.find(arguments.name)
    if arguments.action == "exec":
        words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
        if not words:
            raise UsageError("node exec: say what to run, e.g. `hack/cluster node exec node1 -- ip route`")
        entered = cluster.enter(arguments.node, words)
        os.execvp(entered[0], entered)  # noqa: S606  # our process becomes the command, its status becomes ours
    started = time.monotonic()
    switch = cluster.power_off if arguments.action == "poweroff" else cluster.power_on
    switch(arguments.node)
    say(f"{time.monotonic() - started:5.2f} s  {arguments.node} is {'off' if arguments.action == 'poweroff' else 'on'}")


def build(arguments: argparse.Namespace) -> None:
    """Print the folder of the built programs."""
    print(clusters.build(arguments.kubernetes_version, report=say))


def packages(_: argparse.Namespace) -> None:
    """Print the Debian packages."""
    print(*PACKAGES, sep="\n")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
