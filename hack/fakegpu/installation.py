"""The driver on a cluster, and its profile as a running cluster holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from fakegpu.driver import profile
from fakegpu.driver.feature_labels import LABELS
from fakegpu.driver.names import DRIVER
from installation import kubectl, manifests

NAMESPACE: Final = "verticalmodel-fake-gpu"
PROFILE: Final = "fake-gpu-profile"
KUBELET_ROOT: Final = "/var/lib/kubelet"
FOLDERS: Final = ("hack/fakegpu/manifests",)


class UnknownDeviceError(Exception):
    """The profile has no such device; the message says which there are."""


def install(kubeconfig: Path, references: Mapping[str, str], kubelet_root: str = KUBELET_ROOT) -> None:
    """Apply the driver with the profile of the manifests and wait until it is ready on every node.

    Dynamic resource allocation offers its devices by then; a kubelet tells of its device plugin's up to 10 s later.
    Raises CalledProcessError.
    """
    stream = manifests(FOLDERS, references).replace(KUBELET_ROOT, kubelet_root)
    kubectl(kubeconfig, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=stream)
    kubectl(kubeconfig, "rollout", "status", "daemonset/fake-gpu", "-n", NAMESPACE, "--timeout=120s")


def uninstall(kubeconfig: Path) -> None:
    """Take the driver away, then what it published: slices and node labels outlive its pods on purpose.

    Raises CalledProcessError.
    """
    kubectl(kubeconfig, "delete", "--ignore-not-found", "--wait", "-f", "-", stdin=manifests(FOLDERS, {}))
    kubectl(kubeconfig, "delete", "resourceslices", f"--field-selector=spec.driver={DRIVER}")
    kubectl(kubeconfig, "label", "nodes", "--all", *(f"{label}-" for label in LABELS))


def change_state(kubeconfig: Path, node: str, index: int, changes: Mapping[str, Any]) -> None:
    """Change what a device reports. Raises CalledProcessError, UnknownDeviceError and profile.ProfileError."""
    at = ("configmap", PROFILE, "-n", NAMESPACE)
    data = json.loads(kubectl(kubeconfig, "get", *at, "-o", "json")).get("data") or {}
    patch = json.dumps({"data": {node: with_state(data, node, index, changes)}})
    kubectl(kubeconfig, "patch", *at, "--type=merge", "-p", patch)


def with_state(data: Mapping[str, str], node: str, index: int, changes: Mapping[str, Any]) -> str:
    """The text of a node's own key with one device's state changed; a node on `default` gets a copy of it first.

    Raises UnknownDeviceError, and profile.ProfileError where the result is not a profile.
    """
    document = yaml.safe_load(data.get(node, data.get(profile.DEFAULT, ""))) or {}
    devices = document.get("devices") or []
    if not 0 <= index < len(devices):
        raise UnknownDeviceError(f"{node} has no device {index}; it has {len(devices)}, counted from 0")
    devices[index]["state"] = {**(devices[index].get("state") or {}), **changes}
    text = yaml.safe_dump(document, sort_keys=False)
    profile.parse({node: text}, node)
    return text
