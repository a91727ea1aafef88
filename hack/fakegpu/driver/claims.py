"""Claims prepared on this node: one CDI file each. The files are the only memory, so a restart forgets nothing."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakegpu.driver import cdi
from fakegpu.driver.names import DRIVER


class ClaimError(Exception):
    """The claim cannot be prepared; the kubelet shows the message at the pod and tries again."""


@dataclass(frozen=True)
class Prepared:
    """One allocated device as the kubelet is told about it."""

    request: str
    pool: str
    device: str
    cdi_ids: tuple[str, ...]


def prepare(
    claim: Mapping[str, Any], uid: str, devices: Mapping[str, str], folder: Path, refused: Collection[str] = ()
) -> list[Prepared]:
    """Write the CDI file of a claim and say which CDI device each allocated device brings. Repeating it is harmless.

    `claim` is the ResourceClaim, `uid` the one the kubelet asked for, `devices` the uuid of each device of this node,
    `refused` names the devices that fail on purpose.
    Raises ClaimError.
    """
    if claim["metadata"]["uid"] != uid:
        raise ClaimError(f"the claim was replaced: its uid is {claim['metadata']['uid']}, not {uid}")
    results = _results(claim)
    uuids: dict[str, list[str]] = {}
    prepared = []
    for result in results:
        if result["device"] not in devices:
            raise ClaimError(f"this node has no device {result['device']}; it has: {', '.join(devices) or 'none'}")
        if result["device"] in refused:
            raise ClaimError(f"device {result['device']} refuses claims: its profile says so")
        found = uuids.setdefault(result["request"], [])
        # One variable names all GPUs of a request, so the request's first device brings it and the others nothing.
        ids = () if found else (cdi.device_id(uid, result["request"]),)
        found.append(devices[result["device"]])
        prepared.append(Prepared(result["request"], result["pool"], result["device"], ids))
    replace_file(folder / cdi.file_name(uid), cdi.spec(uid, uuids))
    return prepared


def unprepare(uid: str, folder: Path) -> None:
    """Remove the CDI file of a claim, if there is one."""
    (folder / cdi.file_name(uid)).unlink(missing_ok=True)


def replace_file(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON so that a reader sees the old content or the new, never a part."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as partial:
        json.dump(document, partial, indent=1)
        os.fchmod(partial.fileno(), 0o644)
    Path(partial.name).replace(path)


def _results(claim: Mapping[str, Any]) -> list[dict[str, Any]]:
    allocation = (claim.get("status") or {}).get("allocation") or {}
    results = [
        result for result in (allocation.get("devices") or {}).get("results") or () if result["driver"] == DRIVER
    ]
    if not results:
        raise ClaimError(f"nothing of {DRIVER} is allocated to the claim")
    return results
