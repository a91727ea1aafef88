"""A node's machine: its secrets, its configuration, its processes."""

from __future__ import annotations

import time
from typing import Final

from testcluster import nodesettings
from testcluster.controlplane import starter, write_kubeconfig
from testcluster.errors import TimedOutError
from testcluster.layout import Layout, Machine
from testcluster.machines import Running
from testcluster.pki import Authority

CONTAINERD_SECONDS: Final = 90.0


def write_files(layout: Layout, machine: Machine, authority: Authority) -> None:
    """Everything that a node reads: only its own secrets."""
    kubelet, kubernetes = machine.var_lib / "kubelet", machine.var_lib / "kubernetes"
    network = machine.var_lib / "cni" / "net.d"
    for folder in (kubelet / "pki", kubelet / "manifests", kubernetes, network, machine.var_lib / "containerd"):
        folder.mkdir(parents=True, exist_ok=True)
    (kubelet / "pki" / "ca.crt").write_bytes(authority.pair.certificate)
    authority.server(f"system:node:{machine.name}", [machine.name], [machine.address]).write(kubelet / "pki", "kubelet")
    write_kubeconfig(kubelet / "kubeconfig", layout, authority, f"system:node:{machine.name}", "system:nodes")
    write_kubeconfig(kubernetes / "kube-proxy.kubeconfig", layout, authority, "system:kube-proxy")
    write_kubeconfig(kubernetes / "kube-router.kubeconfig", layout, authority, "kube-router")
    (kubelet / "config.json").write_text(nodesettings.kubelet_configuration(machine), encoding="utf-8")
    # Pods inherit this one: no search domain and no server of the machine that we run on.
    (kubelet / "resolv.conf").write_text("", encoding="utf-8")
    (kubernetes / "kube-proxy.json").write_text(
        nodesettings.kube_proxy_configuration(layout, machine), encoding="utf-8"
    )
    (machine.var_lib / "containerd.toml").write_text(nodesettings.containerd_configuration(), encoding="utf-8")
    (network / "10-pods.conflist").write_text(nodesettings.cni_configuration(machine), encoding="utf-8")


def start_runtime(layout: Layout, running: Running, *, hold: int) -> None:
    """Start containerd and wait until it takes connections. Raises TimedOutError."""
    starter(layout, running, hold=hold)("containerd", nodesettings.containerd())
    deadline = time.monotonic() + CONTAINERD_SECONDS
    while not running.machine.containerd_socket.is_socket():
        if time.monotonic() > deadline:
            raise TimedOutError(f"containerd on {running.machine.name} is not up after {CONTAINERD_SECONDS:.0f} s")
        time.sleep(0.02)


def start_kubelet(layout: Layout, running: Running, *, hold: int) -> None:
    """Start the kubelet; it needs an API server that is ready."""
    starter(layout, running, hold=hold)("kubelet", nodesettings.kubelet(running.machine))


def start_network_agents(layout: Layout, running: Running, *, hold: int) -> None:
    """Start kube-proxy and kube-router; both look for their Node object, and kube-router ends without one."""
    start = starter(layout, running, hold=hold)
    start("kube-proxy", nodesettings.kube_proxy())
    start("kube-router", nodesettings.kube_router(running.machine))
