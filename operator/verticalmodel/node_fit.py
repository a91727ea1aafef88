"""Why no node fits a model's GPUs: what each of them lacks, in words. Pure.

The scheduler decides; this only explains, from what the nodes publish. A node that has what is needed and still gets no
pod is full or kept away by something else: that is said in the scheduler's own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from verticalmodel.facts import Node, NodeGpu
from verticalmodel.gpus import GpuRequest

_NODES_LISTED = 10
_FITS = "has what is needed, so it is full or kept away by taints, affinity, CPU or memory"


def lacks(request: GpuRequest, nodes: Iterable[Node]) -> str:
    """`node1: ...; node2, node3: ...`, nodes with the same lack together; empty where there is no node."""
    found: dict[str, list[str]] = {}
    for node in sorted(nodes, key=lambda one: one.name):
        found.setdefault(_lack(request, node), []).append(node.name)
    return "; ".join(f"{_listed(names)}: {lack}" for lack, names in found.items())


def fits_somewhere(request: GpuRequest, nodes: Iterable[Node]) -> bool:
    """Whether a node has the GPUs that are asked for, free or not."""
    return any(_lack(request, node) == _FITS for node in nodes)


def _lack(request: GpuRequest, node: Node) -> str:
    if not node.ready:
        return "not Ready"
    if node.cordoned:
        return "cordoned"
    devices, others = (node.devices, node.plugin_devices) if request.by_claim else (node.plugin_devices, node.devices)
    if not devices:
        way = "the device plugin" if request.by_claim else "dynamic resource allocation"
        return f"its GPUs are offered by {way} only" if others else "no GPU"
    fitting = [device for device in devices if request.fits(device)]
    if not fitting:
        return _too_small(request, devices)
    most = max(sum(one.product == device.product for one in fitting) for device in fitting)
    if most < request.count:
        return f"{most} of {request.count} GPUs that fit"
    return _FITS


def _too_small(request: GpuRequest, devices: Sequence[NodeGpu]) -> str:
    best = max(devices, key=lambda one: (one.memory_bytes, one.capability))
    if best.memory_bytes < request.memory_bytes:
        return f"largest GPU {best.product} has {_gigabytes(best.memory_bytes)} of {_gigabytes(request.memory_bytes)}"
    needed = request.capability or (0, 0)
    has = max(one.capability for one in devices if one.memory_bytes >= request.memory_bytes)
    return f"GPUs of compute capability {has[0]}.{has[1]}, needed {needed[0]}.{needed[1]}"


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:.2f} GB"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NODES_LISTED
    return ", ".join(names[:_NODES_LISTED]) + (f" and {more} more" if more > 0 else "")
