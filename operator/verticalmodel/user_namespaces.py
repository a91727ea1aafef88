"""Whether a model's pods get users of their own (`hostUsers: false`), decision 6. Pure.

Root in such a pod is nobody on its node. A node without support refuses the pod, and a file system without id-mapped
mounts refuses its volume, so both have to be known before: nobody sees from a stopped model that it could have run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from verticalmodel.facts import Node

_DEFAULT_HANDLER = ""
_OS = "kubernetes.io/os"
# File systems whose mounts the kernel can id-map and which a volume names. NFS, SMB and most of FUSE cannot.
_ID_MAPPED = frozenset({"ext4", "xfs", "btrfs"})


def supported(nodes: Iterable[Node], node_selector: Mapping[str, str], *, runtime_class: bool) -> bool:
    """Whether every Linux node that the selector lets in can run such a pod; False where there is none.

    Taints and affinity are left out: they only keep further nodes away. With a runtime class each handler of a node has
    to support it, because which one the class means is not known here.
    """
    wanted = {_OS: "linux", **node_selector}
    possible = [node for node in nodes if wanted.items() <= node.labels.items()]
    return bool(possible) and all(_supports(node, runtime_class=runtime_class) for node in possible)


def _supports(node: Node, *, runtime_class: bool) -> bool:
    if runtime_class:
        return bool(node.handlers) and all(node.handlers.values())
    return node.handlers.get(_DEFAULT_HANDLER, False)


def id_mapped(volume: Mapping[str, Any]) -> bool:
    """Whether a PersistentVolume's file system is known to take id-mapped mounts: a folder of the node, or a disk."""
    spec = volume["spec"]
    disk = spec.get("csi")
    return "local" in spec or "hostPath" in spec or (disk is not None and disk.get("fsType") in _ID_MAPPED)
