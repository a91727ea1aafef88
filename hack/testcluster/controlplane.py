"""The control plane's machine: its secrets, its configuration, its processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from testcluster import settings
from testcluster.layout import API_SERVICE_ADDRESS, Layout
from testcluster.machines import Running, spawn
from testcluster.pki import Authority, kubeconfig, signing_key, write_secret

# Who may talk to the API server, beside the nodes: file name -> user, groups.
_CLIENTS: Final = {
    "kube-controller-manager": ("system:kube-controller-manager", ()),
    "kube-scheduler": ("system:kube-scheduler", ()),
    "local-path-provisioner": ("local-path-provisioner", ()),
}


def write_files(layout: Layout, authority: Authority) -> None:
    """Everything that the control plane reads, the administrator's kubeconfig, and the CA certificate."""
    machine = layout.control_plane
    home = machine.var_lib / "kubernetes"
    pki = home / "pki"
    pki.mkdir(parents=True, exist_ok=True)
    authority.pair.write(pki, "ca")
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names += [f"kubernetes.default.svc.{settings.DNS_DOMAIN}", "localhost"]
    authority.server("kube-apiserver", names, [machine.address, API_SERVICE_ADDRESS]).write(pki, "apiserver")
    authority.client("kube-apiserver-kubelet-client").write(pki, "apiserver-kubelet-client")
    front_proxy = Authority("front-proxy-ca")
    (pki / "front-proxy-ca.crt").write_bytes(front_proxy.pair.certificate)
    front_proxy.client("front-proxy-client").write(pki, "front-proxy-client")
    private, public = signing_key()
    write_secret(pki / "service-account.key", private)
    (pki / "service-account.pub").write_bytes(public)
    for name, (user, groups) in _CLIENTS.items():
        write_kubeconfig(home / f"{name}.kubeconfig", layout, authority, user, *groups)
    (home / "local-path-provisioner.json").write_text(settings.provisioner_configuration(), encoding="utf-8")
    write_kubeconfig(layout.kubeconfig, layout, authority, "kubernetes-admin", "system:masters")
    (layout.directory / "ca.crt").write_bytes(authority.pair.certificate)


def write_kubeconfig(path: Path, layout: Layout, authority: Authority, user: str, *groups: str) -> None:
    """A kubeconfig for one user of the cluster, readable by root only."""
    client = authority.client(user, *groups)
    text = kubeconfig(layout.api_url, authority.pair.certificate, client, name=f"verticalmodel-test-{layout.name}")
    write_secret(path, text.encode())


def starter(layout: Layout, running: Running, *, hold: int) -> Callable[[str, list[str]], None]:
    """A function that starts a component on a machine of this cluster, with its log where `logs` looks."""

    def start(component: str, argv: list[str]) -> None:
        spawn(running, component, argv, log=log_path(layout, running.machine.name, component), hold=hold)

    return start


def log_path(layout: Layout, machine: str, component: str) -> Path:
    return layout.logs / machine / f"{component}.log"


def start_api(layout: Layout, running: Running, *, hold: int) -> None:
    """Start etcd and the API server, which waits for etcd itself."""
    start = starter(layout, running, hold=hold)
    start("etcd", settings.etcd())
    start("kube-apiserver", settings.kube_apiserver(layout))


def start_controllers(layout: Layout, running: Running, *, hold: int) -> None:
    """Start what needs an API server that is ready."""
    start = starter(layout, running, hold=hold)
    start("kube-controller-manager", settings.kube_controller_manager(layout))
    start("kube-scheduler", settings.kube_scheduler())
