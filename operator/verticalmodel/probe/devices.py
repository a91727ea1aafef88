"""ResourceClaims and the devices that drivers publish (resource.k8s.io/v1, KEP-4381), as the prober reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from verticalmodel.api import names
from verticalmodel.api.schema import parse_quantity
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.informer import Informer
from verticalmodel.kube.resources import RESOURCE_CLAIMS, RESOURCE_SLICES, Key

__all__ = ["Allotted", "Claim", "Device", "Devices", "Place", "Slice", "claim_from", "published", "slice_from"]

_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})\.\d{1,9}")

Place = tuple[str, str, str]
"""(driver, pool, device): what tells devices apart."""


@dataclass(frozen=True)
class Allotted:
    """A device that a claim was given."""

    place: Place
    share_bytes: int | None = None
    """Memory of the share of it, where the device is shared by capacity (KEP-5075); None: all of it."""


@dataclass(frozen=True)
class Claim:
    """A ResourceClaim that was allocated, or not yet."""

    uid: str
    reserved_for: frozenset[str]
    """Uids of the pods that may use it."""
    devices: tuple[Allotted, ...]
    """Given to work with; such as are only watched (admin access) are left out."""


@dataclass(frozen=True)
class Device:
    """A device as its driver publishes it."""

    memory_bytes: int | None
    """None where it publishes none: then it is no GPU, or one that says nothing of itself."""
    capability: str
    """CUDA compute capability, `8.9`; empty where nobody says."""
    product: str
    simulated: bool


@dataclass(frozen=True)
class Slice:
    """A part of a driver's pool."""

    driver: str
    pool: str
    generation: int
    devices: Mapping[str, Device]


class Devices:
    """Informers over claims and slices; both stay empty on a cluster that serves none."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        self.claims: Informer[Claim] = Informer(api, RESOURCE_CLAIMS, claim_from, namespace=namespace)
        self.slices: Informer[Slice] = Informer(api, RESOURCE_SLICES, slice_from, on_change=lambda *_: self._changed())
        self._published: Mapping[Place, Device] | None = None

    @property
    def informers(self) -> tuple[Informer[Any], ...]:
        """Both, to be run; that one is refused or not served is an answer, too."""
        return (self.claims, self.slices)

    def of(self, namespace: str, claims: Iterable[str]) -> dict[str, Claim]:
        """The claims of these names that are known."""
        found = {name: self.claims.get(Key(namespace, name)) for name in claims}
        return {name: claim for name, claim in found.items() if claim is not None}

    def published(self) -> Mapping[Place, Device]:
        """Every device by its place, of the newest generation of its pool; put together once for all models."""
        if self._published is None:
            self._published = published(self.slices.values.values())
        return self._published

    def _changed(self) -> None:
        self._published = None


def published(slices: Iterable[Slice]) -> dict[Place, Device]:
    """Every device by its place; what an older generation of a pool held is not there any more (KEP-4381)."""
    known = tuple(slices)
    newest: dict[tuple[str, str], int] = {}
    for one in known:
        pool = (one.driver, one.pool)
        newest[pool] = max(one.generation, newest.get(pool, one.generation))
    return {
        (one.driver, one.pool, name): device
        for one in known
        if one.generation == newest[one.driver, one.pool]
        for name, device in one.devices.items()
    }


def claim_from(raw: Mapping[str, Any]) -> Claim:
    """A ResourceClaim as it is served. Raises ValueError for a quantity that is none."""
    status = raw.get("status") or {}
    results = ((status.get("allocation") or {}).get("devices") or {}).get("results") or ()
    return Claim(
        uid=raw["metadata"]["uid"],
        reserved_for=frozenset(one["uid"] for one in status.get("reservedFor") or () if one["resource"] == "pods"),
        devices=tuple(
            Allotted((one["driver"], one["pool"], one["device"]), _bytes(one.get("consumedCapacity") or {}))
            for one in results
            if not one.get("adminAccess")
        ),
    )


def slice_from(raw: Mapping[str, Any]) -> Slice:
    """A ResourceSlice as it is served. Raises ValueError for a quantity that is none."""
    spec = raw["spec"]
    return Slice(
        driver=spec["driver"],
        pool=spec["pool"]["name"],
        generation=int(spec["pool"]["generation"]),
        devices={one["name"]: _device(spec["driver"], one) for one in spec.get("devices") or ()},
    )


def _device(driver: str, raw: Mapping[str, Any]) -> Device:
    # A name without a domain belongs to the driver; both ways of writing it are the same attribute.
    attributes = {name.removeprefix(f"{driver}/"): value for name, value in (raw.get("attributes") or {}).items()}
    capacity = {name.removeprefix(f"{driver}/"): one["value"] for name, one in (raw.get("capacity") or {}).items()}
    version = _VERSION.match((attributes.get("cudaComputeCapability") or {}).get("version") or "")
    return Device(
        memory_bytes=_bytes(capacity),
        capability=f"{int(version[1])}.{int(version[2])}" if version else "",
        product=(attributes.get("productName") or {}).get("string") or "",
        simulated=bool((attributes.get(names.LABEL_SIMULATED) or {}).get("bool")),
    )


def _bytes(capacity: Mapping[str, str]) -> int | None:
    return int(parse_quantity(capacity["memory"])) if "memory" in capacity else None
