"""The cluster's network: one switch, one cable per machine, one cable to the root network namespace.

The bridge lives in a namespace of its own, so no firewall rule of this machine ever sees the traffic and none
has to be added. Machines have no default route: nothing leaks out, and nothing outside can be reached.
"""

from __future__ import annotations

import ipaddress
import json
from contextlib import suppress
from typing import Final

from testcluster.errors import CommandError
from testcluster.layout import SERVICE_RANGE, Layout, Machine
from testcluster.machines import Running
from testcluster.processes import run

BRIDGE: Final = "br0"
UPLINK: Final = "uplink"
_OWN_PACKETS: Final = 96
"""Number of the routing table for what a machine's own processes send."""


def routed() -> list[ipaddress.IPv4Network]:
    """The IPv4 ranges that the root network namespace has routes for; default routes do not count."""
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"]))
    return [
        ipaddress.IPv4Network(route["dst"], strict=False)
        for route in routes
        if route["dst"] != "default" and route.get("type", "unicast") in {"unicast", "local"}
    ]


def make_switch(layout: Layout, switch: Running, *, hold: int) -> None:
    """Lay the bridge and the cable to the root network namespace, with routes to every pod range."""
    pid = switch.init.pid
    run(["ip", "link", "add", layout.link, "type", "veth", "peer", "name", UPLINK, "netns", str(pid)], hold=hold)
    inside = [f"link add {BRIDGE} type bridge", f"link set {BRIDGE} up", *_plug_in(UPLINK)]
    _batch([*switch.enter(mounts=False)], inside, hold=hold)
    outside = [f"addr add {layout.gateway}/{layout.subnet.prefixlen} dev {layout.link}", f"link set {layout.link} up"]
    outside += [f"route add {node.pods} via {node.address}" for node in layout.nodes]
    _batch([], outside, hold=hold)


def connect(layout: Layout, switch: Running, running: Running, *, hold: int) -> None:
    """Lay a machine's cable and set its address and routes."""
    machine, port = running.machine, port_name(running.machine)
    cable = f"link add {port} type veth peer name eth0 netns {running.init.pid}"
    _batch([*switch.enter(mounts=False)], [cable, *_plug_in(port)], hold=hold)
    _batch([*running.enter(mounts=False)], _machine_side(layout, machine), hold=hold)


def unplug(switch: Running, machine: Machine, *, hold: int) -> None:
    """Take the machine's cable away, both ends; fine if there is none.

    To take it down only is not enough: a dead machine's unfinished TCP connections keep its network namespace for
    minutes, and with it the cable and the port's name.
    """
    with suppress(CommandError):
        run([*switch.enter(mounts=False), "ip", "link", "delete", port_name(machine)], hold=hold)


def port_name(machine: Machine) -> str:
    """The switch's port of a machine; at most 15 characters, a kernel limit."""
    return f"p-{machine.name}"[:15]


def _plug_in(port: str) -> list[str]:
    return [f"link set {port} master {BRIDGE}", f"link set {port} up"]


def _machine_side(layout: Layout, machine: Machine) -> list[str]:
    commands = [f"addr add {machine.address}/{layout.subnet.prefixlen} dev eth0", "link set eth0 up"]
    commands += [f"route add {peer.pods} via {peer.address}" for peer in layout.nodes if peer != machine]
    # What a host process sends is routed before kube-proxy translates it, so it needs a route for the Service range.
    # What pods send must have none: kube-router accepts before kube-proxy could reject a Service without endpoints, and
    # a packet that went out untranslated would leave a connection-tracking entry that swallows later ones for minutes.
    commands += [f"rule add pref 100 iif lo to {SERVICE_RANGE} lookup {_OWN_PACKETS}"]
    commands += [f"route add {SERVICE_RANGE} dev eth0 src {machine.address} table {_OWN_PACKETS}"]
    commands += ["route add unreachable default"]
    return commands


def _batch(prefix: list[str], commands: list[str], *, hold: int) -> None:
    run([*prefix, "ip", "-batch", "-"], text="\n".join(commands) + "\n", hold=hold)
