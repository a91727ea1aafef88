"""The command line of hack/cluster."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testcluster import commands
from testcluster.build import kubernetes_versions
from testcluster.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # argparse has no public name for it

_DESCRIPTION: Final = """\
Real Kubernetes clusters on this Linux machine, as root, in seconds: no Docker, no systemd, no image registry.
Every machine is a set of namespaces; the components are upstream's, built from the Go module proxy.

  hack/cluster up                              three nodes named node1..node3, and a control plane without kubelet
  export KUBECONFIG=$(hack/cluster kubeconfig)
  kubectl get nodes
  hack/cluster load-image app.tar              a docker-archive or OCI archive, into every node
  hack/cluster node poweroff node2             pull the plug; `poweron` brings it back
  hack/cluster down                            nothing is left
"""
_UP: Final = """\
Bring a cluster up and prove it: memory volumes are memory, limits are in the live cgroups, DNS answers, host processes
reach Services, kubelets are guarded, user namespaces work, a NetworkPolicy denies while its control passes.

A healthy cluster of the same shape is kept. One that was killed or is half dead is removed and made anew. One that
fails its proofs is left for a look at its logs. With --nodes 0 there is a control plane only (etcd, API server,
controller manager, scheduler), in about half the time.

Inside: CoreDNS, enforced NetworkPolicy, a default StorageClass, dynamic resource allocation, Pod Security admission.
Reachable from this machine: the API server, nodes and pods; not the Service range (use a NodePort or a port-forward).
Not reachable from inside: anything else. Images come from `load-image`; every node has verticalmodel-test/busybox:1.
"""
_NODE: Final = """\
  poweroff NODE       everything on it dies at once and its link goes down; the API server is not told
  poweron NODE        the same disk, a new boot id; pods that belong to it are started again
  exec NODE -- CMD    run CMD on the machine (also: control-plane), e.g. `hack/cluster node exec node1 -- ip route`
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0, 1 for a failure or 2 for a request that cannot be met."""
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except UsageError as wrong:
        commands.say(f"hack/cluster: {wrong}")
        return 2
    except ClusterError as failure:
        commands.say(f"hack/cluster: {failure}")
        return 1
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def parser() -> argparse.ArgumentParser:
    """The whole command line; `--help` of each command teaches its use."""
    top = argparse.ArgumentParser(
        prog="hack/cluster",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    into = top.add_subparsers(metavar="COMMAND", required=True)
    _add_life(into)
    _add_views(into)
    _add_work(into)
    return top


def _add_life(into: Commands) -> None:
    up = _add(into, commands.up, "bring a cluster up and prove it", _UP)
    up.add_argument("--nodes", type=int, default=3, help="number of kubelets, 0 to 20 (default: %(default)s)")
    where = "where etcd keeps its data (default: %(default)s)"
    up.add_argument("--etcd", choices=("tmpfs", "disk"), default="tmpfs", help=where)
    _add_version(up)
    down = _add(into, commands.down, "take a cluster away, whatever state it is in; nothing is left")
    down.add_argument("--all", action="store_true", help="every cluster of this provider on this machine")


def _add_views(into: Commands) -> None:
    status = _add(into, commands.status, "show clusters, machines and what is wrong with them", named=False)
    status.add_argument("--name", help="only this cluster")
    status.add_argument("-o", "--output", choices=("text", "json"), default="text")
    config = _add(into, commands.kubeconfig, "print the path of the administrator's kubeconfig")
    config.add_argument("--show", action="store_true", help="print its content instead")
    logs = _add(into, commands.logs, "print a component's log; without a component, list the logs")
    logs.add_argument("component", nargs="?", help="e.g. kube-apiserver, kubelet, containerd, kube-router")
    logs.add_argument("--machine", default="", help="e.g. node1; needed where several machines run the component")


def _add_work(into: Commands) -> None:
    load = _add(into, commands.load_image, "import image archives into every node, where they are not yet")
    load.add_argument("archives", nargs="+", type=Path, metavar="FILE.tar", help="docker-archive or OCI archive")
    node = _add(into, commands.node, "switch a node off or on, or run a command on it", _NODE)
    node.add_argument("action", choices=("poweroff", "poweron", "exec"))
    node.add_argument("node", metavar="NODE")
    node.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD", help="for exec")
    build = _add(into, commands.build, "build what is missing and print the folder of the programs", named=False)
    _add_version(build)
    _add(into, commands.packages, "print the Debian packages that this machine needs", named=False)


def _add(
    into: Commands,
    run: Callable[[argparse.Namespace], None],
    summary: str,
    detail: str = "",
    *,
    named: bool = True,
) -> argparse.ArgumentParser:
    command = into.add_parser(
        run.__name__.replace("_", "-"),
        help=summary,
        description=detail or f"{summary[0].upper()}{summary[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    if named:
        command.add_argument("--name", default="vm", help="which cluster (default: %(default)s)")
    return command


def _add_version(command: argparse.ArgumentParser) -> None:
    known = kubernetes_versions()
    which = "minor version (default: %(default)s)"
    command.add_argument("--kubernetes-version", choices=known, default=known[-1], help=which)
