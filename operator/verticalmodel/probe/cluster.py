"""The cluster as the prober sees it: small caches of what can be measured, and who has to be looked at again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from verticalmodel.api import names
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.informer import Informer
from verticalmodel.kube.resources import (
    CONFIG_MAPS,
    EVIDENCES,
    MODEL_RUNTIMES,
    NODES,
    OPERATING_STANDARDS,
    PODS,
    SERVICES,
    VERTICAL_MODELS,
    Key,
)
from verticalmodel.probe.devices import Devices
from verticalmodel.probe.measurement import MEASURES
from verticalmodel.probe.model import Model
from verticalmodel.probe.projection import (
    lifetimes_from,
    node_from,
    pod_from,
    service_from,
    speaks_from,
    stranger_from,
    wish_from,
)
from verticalmodel.probe.restarts import Restarts
from verticalmodel.probe.settings import Settings
from verticalmodel.probe.starts import Starts
from verticalmodel.probe.trust import Trust, trusted
from verticalmodel.probe.world import Node, Pod, Service, Speaks, Stranger, Wish

__all__ = ["Cluster", "Kept"]

_log = structlog.get_logger(__name__)
_RELIST_SECONDS = 1800.0


@dataclass(frozen=True)
class Kept:
    """An Evidence object of ours, by its metadata alone."""

    model: str
    model_uid: str
    uid: str
    resource_version: str
    written: datetime
    """When the API server last accepted a write."""


class Cluster:
    """Informers over everything that is read.

    `touch(key)` is called for each model whose world changed, `lost(key, uid)` for each Evidence object of ours that
    is gone, with the key of its model.
    """

    def __init__(
        self, api: ApiClient, settings: Settings, touch: Callable[[Key], None], lost: Callable[[Key, str], None]
    ) -> None:
        self._settings = settings
        self.starts = Starts()
        self.restarts = Restarts()
        self._touch = touch
        self._lost = lost
        labelled = names.LABEL_MODEL
        self.wishes: Informer[Wish] = Informer(
            api,
            VERTICAL_MODELS,
            wish_from,
            namespace=settings.namespace,
            on_change=lambda key, *_: touch(key),
            relist_seconds=_RELIST_SECONDS,
        )
        self.pods: Informer[Pod] = Informer(
            api,
            PODS,
            pod_from,
            namespace=settings.namespace,
            labels=labelled,
            index_by=lambda key, pod: (key.namespace, pod.model),
            on_change=self._pod_changed,
            relist_seconds=_RELIST_SECONDS,
        )
        self.services: Informer[Service] = Informer(
            api,
            SERVICES,
            service_from,
            namespace=settings.namespace,
            labels=labelled,
            on_change=lambda key, *_: touch(key),
        )
        # A change of theirs wakes nobody: what has no stranger yet is tried again anyway.
        self.strangers: Informer[Stranger] = Informer(
            api,
            PODS,
            stranger_from,
            namespace=names.STRANGER_NAMESPACE,
            labels={names.LABEL_NAME: names.STRANGER_NAMESPACE},
            on_change=lambda *_: self._place_strangers(),
        )
        self._strangers_by_node: Mapping[str, Stranger] = {}
        self.nodes: Informer[Node] = Informer(api, NODES, node_from)
        self.devices = Devices(api, settings.namespace)
        self.standards: Informer[dict[str, float]] = Informer(
            api, OPERATING_STANDARDS, lifetimes_from, on_change=lambda key, *_: self._touch_all("standard", key.name)
        )
        self.runtimes: Informer[Speaks] = Informer(
            api, MODEL_RUNTIMES, speaks_from, on_change=lambda key, *_: self._touch_all("runtime", key.name)
        )
        self.authorities: Informer[Trust] = Informer(
            api,
            CONFIG_MAPS,
            _trust,
            namespace=settings.system_namespace,
            fields=f"metadata.name={settings.ca_configmap}",
            on_change=lambda *_: self._touch_all(),
        )
        self.evidence: Informer[Kept] = Informer(
            api,
            EVIDENCES,
            _kept,
            namespace=settings.namespace,
            labels={names.LABEL_MEASURER: names.MANAGER_PROBER},
            metadata_only=True,
            on_change=self._evidence_changed,
        )

    @property
    def identity(self) -> Path:
        """The folder with the certificate by which guards know the prober."""
        return self._settings.identity

    @property
    def informers(self) -> tuple[Informer[Any], ...]:
        """All of them, to be run."""
        return (
            self.wishes,
            self.pods,
            self.services,
            self.strangers,
            self.nodes,
            self.standards,
            self.runtimes,
            self.authorities,
            self.evidence,
            *self.devices.informers,
        )

    async def synced(self) -> None:
        """Wait until every cache is filled."""
        await asyncio.gather(*(self._filled(informer).wait() for informer in self.informers))

    def unfilled(self) -> str:
        """Which caches are not filled yet; empty once all are."""
        waiting = [one.resource.plural for one in self.informers if not self._filled(one).is_set()]
        return f"waiting for {', '.join(waiting)}" if waiting else ""

    def _filled(self, informer: Informer[Any]) -> asyncio.Event:
        """What there is to wait for: a cluster without dynamic resource allocation serves no claims and no slices."""
        return informer.answered if informer in self.devices.informers else informer.synced

    def trust_in(self, namespace: str, name: str) -> Trust | None:
        """What verifies a model's guards: its own spec.certificate.caBundle alone, else the installation's bundle.

        None while that holds no certificate.
        """
        wish = self.wishes.get(Key(namespace, name))
        if wish is not None and wish.ca_bundle:
            return trusted(wish.ca_bundle)
        return self.authorities.get(Key(self._settings.system_namespace, self._settings.ca_configmap))

    def model(self, key: Key) -> Model | None:
        """One model with all of it that can be measured now; None where it is gone or going."""
        wish = self.wishes.get(key)
        if wish is None:
            return None
        default = dict.fromkeys(MEASURES, self._settings.default_lifetime)
        return Model(
            namespace=wish.namespace,
            name=wish.name,
            uid=wish.uid,
            pods=tuple(sorted(self.pods.group(key).values(), key=lambda pod: pod.name)),
            service=self.services.get(key),
            lifetimes=default | (self.standards.get(Key("", wish.standard)) or {}),
            speaks=self.runtimes.get(Key("", wish.runtime)) or Speaks(),
            asked_at=wish.asked_at,
            begun=self.starts.seen(),
            restarted=self.restarts.over(),
            strangers=self._strangers_by_node,
        )

    def nodes_of(self, model: Model) -> tuple[Node, ...]:
        """The nodes that its pods run on, as far as they are known."""
        found = (self.nodes.get(Key("", name)) for name in sorted({pod.node for pod in model.pods}))
        return tuple(node for node in found if node is not None)

    def kept(self, model: Model) -> Kept | None:
        """Our Evidence object about this model, as the API server last reported it."""
        name = names.evidence_name(model.name, model.uid, names.MANAGER_PROBER)
        return self.evidence.get(Key(model.namespace, name))

    def _place_strangers(self) -> None:
        """Kept for all models: each of their passes asks for it."""
        self._strangers_by_node = {one.node: one for one in self.strangers.values.values()}

    def _pod_changed(self, key: Key, old: Pod | None, new: Pod | None) -> None:
        if old is not None and (new is None or new.uid != old.uid):
            self.starts.gone(old.uid)
            self.restarts.gone(old.uid)
        now, clock = datetime.now(UTC), time.monotonic()
        # What the first list shows was there before us.
        if new is not None and (old is None or old.uid != new.uid) and self.pods.synced.is_set():
            self.starts.appeared(new, now=now, clock=clock)
        if new is not None:
            self.restarts.seen(new, now=now, clock=clock)
        for name in {pod.model for pod in (old, new) if pod is not None}:
            self._touch(Key(key.namespace, name))

    def _evidence_changed(self, key: Key, old: Kept | None, new: Kept | None) -> None:
        if old is not None and (new is None or new.uid != old.uid):
            self._lost(Key(key.namespace, old.model), old.uid)
        for kept in (old, new):
            if kept is not None:
                self._touch(Key(key.namespace, kept.model))

    def _touch_all(self, field: str = "", name: str = "") -> None:
        for key, wish in self.wishes.values.items():
            if not field or getattr(wish, field) == name:
                self._touch(key)


def _trust(raw: Mapping[str, Any]) -> Trust | None:
    try:
        return Trust.from_pem((raw.get("data") or {}).get("ca.crt") or "")
    except ValueError as error:
        _log.error("no endpoint can be verified", configmap=raw["metadata"]["name"], error=str(error))
        return None


def _kept(raw: Mapping[str, Any]) -> Kept:
    meta = raw["metadata"]
    labels = meta.get("labels") or {}
    times = [one["time"] for one in meta.get("managedFields") or () if one.get("time")]
    written = max(datetime.fromisoformat(text) for text in [*times, meta["creationTimestamp"]])
    return Kept(
        model=labels.get(names.LABEL_MODEL) or "",
        model_uid=labels.get(names.LABEL_MODEL_UID) or "",
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        written=written,
    )
