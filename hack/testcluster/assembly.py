"""Builds a cluster up from nothing, as parallel as its dependencies allow."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from testcluster import addons, controlplane, images, network, settings, workers
from testcluster.api import Api, Object, collection
from testcluster.errors import ClusterError
from testcluster.health import not_ready
from testcluster.layout import Layout, Machine
from testcluster.machines import Running, boot, find, power_off
from testcluster.pki import Authority

# Limits for a machine that is busy with other things; on an idle one the waits are 3 s and 1 s.
API_SECONDS: Final = 180.0
NODES_SECONDS: Final = 180.0
DNS_REPLICAS: Final = 2

Report = Callable[[str], None]


def assemble(layout: Layout, bundle: Path, *, hold: int, report: Report) -> Api:
    """Start every machine and component; returns when all nodes take pods. Raises TimedOutError, ClusterError."""
    started = time.monotonic()

    def done(what: str) -> None:
        report(f"{time.monotonic() - started:5.1f} s  {what}")

    authority = Authority(f"verticalmodel-test-{layout.name}")
    controlplane.write_files(layout, authority)
    switch = boot(layout.switch, bundle, hold=hold)
    network.make_switch(layout, switch, hold=hold)
    etcd_data = layout.etcd_data if layout.shape.etcd == "tmpfs" else None
    control = boot(layout.control_plane, bundle, hold=hold, etcd_data=etcd_data)
    network.connect(layout, switch, control, hold=hold)
    controlplane.start_api(layout, control, hold=hold)
    done("namespaces, network and certificates; etcd and API server started")
    api = Api.from_kubeconfig(layout.kubeconfig)

    def bring_up(machine: Machine, ready: Future[None]) -> Running:
        workers.write_files(layout, machine, authority)
        running = boot(machine, bundle, hold=hold)
        network.connect(layout, switch, running, hold=hold)
        workers.start_runtime(layout, running, hold=hold)
        images.load([machine], sorted((bundle / "images").glob("*.tar")), bundle)
        ready.result()
        workers.start_kubelet(layout, running, hold=hold)
        return running

    with ThreadPoolExecutor(max_workers=1 + len(layout.nodes)) as pool:
        ready = pool.submit(api.wait_ready, timeout=API_SECONDS)
        nodes = [pool.submit(bring_up, node, ready) for node in layout.nodes]
        ready.result()
        done("API server ready")
        controlplane.start_controllers(layout, control, hold=hold)
        for manifest in (*addons.rights(), *(addons.storage() if layout.nodes else ())):
            api.apply(manifest)
        running = [node.result() for node in nodes]
    if running:
        done("containerd up, images imported, kubelets started")
        start = controlplane.starter(layout, control, hold=hold)
        start("local-path-provisioner", settings.local_path_provisioner())
        _complete_nodes(api, layout, running, hold)
        done(f"{len(running)} nodes Ready")
        # Not earlier: a pod that finds no node yet is tried again after a back-off of seconds.
        for manifest in addons.dns(min(DNS_REPLICAS, len(running))):
            api.apply(manifest)
    return api


def _complete_nodes(api: Api, layout: Layout, running: list[Running], hold: int) -> None:
    """Give each node its pod range and network agents as soon as it has registered; wait until all take pods."""
    expected = {node.machine.name: node for node in running}
    completed: set[str] = set()

    def look(nodes: list[Object]) -> bool | None:
        names = {node["metadata"]["name"] for node in nodes} & expected.keys()
        for name in sorted(names - completed):
            pods = str(expected[name].machine.pods)
            api.patch(f"{collection('Node')}/{name}", {"spec": {"podCIDR": pods, "podCIDRs": [pods]}})
            workers.start_network_agents(layout, expected[name], hold=hold)
            completed.add(name)
        tainted = any(node["spec"].get("taints") for node in nodes)
        return True if completed == expected.keys() and not not_ready(nodes) and not tainted else None

    api.wait(collection("Node"), look, timeout=NODES_SECONDS, what="all nodes Ready and without taints")


def power_on(layout: Layout, machine: Machine, bundle: Path, *, hold: int) -> None:
    """Start a node that was switched off: same disk, new boot id, empty /run; returns when it is Ready.

    Raises ClusterError, TimedOutError.
    """
    switch = find(layout.switch)
    if switch is None:
        raise ClusterError(f"cluster {layout.name!r} has lost its switch: `up` replaces it")
    power_off(machine)  # what an interrupted attempt has started
    network.unplug(switch, machine, hold=hold)
    running = boot(machine, bundle, hold=hold)
    network.connect(layout, switch, running, hold=hold)
    workers.start_runtime(layout, running, hold=hold)
    workers.start_kubelet(layout, running, hold=hold)
    workers.start_network_agents(layout, running, hold=hold)
    boot_id = (machine.directory / "boot-id").read_text(encoding="ascii").strip()

    def look(nodes: list[Object]) -> bool | None:
        # Ready may still be said of the last boot: the control plane takes 50 s to notice that a node is gone.
        booted = [node for node in nodes if node["status"].get("nodeInfo", {}).get("bootID") == boot_id]
        return True if booted and not not_ready(booted) else None

    api = Api.from_kubeconfig(layout.kubeconfig)
    api.wait(collection("Node"), look, timeout=NODES_SECONDS, what=f"{machine.name} Ready after its new boot")
