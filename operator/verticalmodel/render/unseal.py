"""The init container that delivers the parameters, alone with their key, and the volumes it works between.

Its memory limit equals the server's: the pages of the memory volume are charged to who writes them and stay with the
pod. Key and credentials are mounted here only, and optional, so that a missing one is reported instead of a hang.
"""

from __future__ import annotations

from typing import Any

from verticalmodel.api import names
from verticalmodel.api.schema import parse_quantity
from verticalmodel.plan import MODEL_MOUNT, PARAMETERS, Plan

SOURCE_DIR = "/mnt/source"
KEY_DIR = "/etc/unseal/key"
CREDENTIALS_DIR = "/etc/unseal/credentials"
VOLUME = "parameters"
DISK = "ephemeral-storage"
_UNSEAL_DISK = "64Mi"


def check(plan: Plan, *, confined: dict[str, Any]) -> dict[str, Any]:
    """The init container of a pre-flight: as `unseal`, but it fetches and writes nothing."""
    found = unseal(plan, confined=confined)
    amount = {"cpu": "100m", "memory": "256Mi", DISK: _UNSEAL_DISK}
    return {**found, "args": [*found["args"], "--check"], "resources": {"requests": amount, "limits": dict(amount)}}


def unseal(plan: Plan, *, confined: dict[str, Any]) -> dict[str, Any]:
    """The init container. Its report is the termination message; its exit status says whether it may go on."""
    amount = {"cpu": plan.cpu, "memory": plan.memory, DISK: _UNSEAL_DISK}
    mounts: list[dict[str, Any]] = [{"name": VOLUME, "mountPath": MODEL_MOUNT}]
    for name, path, wanted in (
        ("source", SOURCE_DIR, bool(plan.claim)),
        ("key", KEY_DIR, plan.source.key is not None),
        ("credentials", CREDENTIALS_DIR, plan.source.secret_ref is not None),
    ):
        if wanted:
            mounts.append({"name": name, "mountPath": path, "readOnly": True})
    return {
        "name": names.CONTAINER_UNSEAL,
        "image": plan.platform.unseal_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "verticalmodel.seal"],
        "args": _arguments(plan),
        "resources": {"requests": dict(amount), "limits": dict(amount)},
        "securityContext": confined,
        "terminationMessagePolicy": "File",
        "volumeMounts": [*mounts, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a memory volume of this pod alone
    }


def _arguments(plan: Plan) -> list[str]:
    source = plan.source
    given = {
        "source": source.uri,
        "target": PARAMETERS,
        "memory-limit": str(plan.memory_bytes),
        "size-limit": str(plan.parameters_bytes),
        "cpus": str(max(1, int(parse_quantity(plan.cpu)))),
        "digest": source.digest,
        "key": f"{KEY_DIR}/{source.key.key}" if source.key else None,
        "mount": SOURCE_DIR if plan.claim else None,
        "credentials": CREDENTIALS_DIR if source.secret_ref else None,
    }
    return [f"--{name}={value}" for name, value in given.items() if value is not None]


def volumes(plan: Plan) -> list[dict[str, Any]]:
    """What the init container reads from, and the memory volume that the server reads."""
    found = [memory_volume(VOLUME, str(plan.parameters_bytes))]
    if plan.claim:
        found.append({"name": "source", "persistentVolumeClaim": {"claimName": plan.claim, "readOnly": True}})
    if plan.source.key is not None:
        entry = plan.source.key.key
        found.append({"name": "key", "secret": _secret(plan.source.key.name, items=[{"key": entry, "path": entry}])})
    if plan.source.secret_ref is not None:
        found.append({"name": "credentials", "secret": _secret(plan.source.secret_ref.name)})
    return found


def memory_volume(name: str, size: str) -> dict[str, Any]:
    """A volume in memory, which counts against the limits of those who write to it; `size` is a quantity."""
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": size}}


def _secret(name: str, **more: Any) -> dict[str, Any]:
    return {"secretName": name, "defaultMode": 0o440, "optional": True, **more}
