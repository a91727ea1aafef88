"""The Evidence object of one model: read once, extended, applied as a whole; nothing is written without a reason.

Two probers that run by mistake do no harm: each apply names the resourceVersion it follows, so the later one is
refused (409), reads what is there, and goes on from that head. A first write has no version to follow; there the
Deployment's strategy (Recreate, one replica) is what keeps two apart.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from verticalmodel.api import names
from verticalmodel.api.evidence import Entry
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound, ServerError, Unreachable
from verticalmodel.kube.resources import EVIDENCES, Key
from verticalmodel.probe.chain import Chain, adopt, body_of, extended, read, subject_of
from verticalmodel.probe.cluster import Kept
from verticalmodel.probe.measurement import Key as Instance
from verticalmodel.probe.measurement import Measurement
from verticalmodel.probe.metrics import Metrics
from verticalmodel.probe.model import Model

__all__ = ["Record", "Recorder"]

_log = structlog.get_logger(__name__)
# After these the object may or may not be what we last knew: look before the next write.
_DOUBTFUL = (Conflict, AlreadyExists, NotFound, Invalid, Unreachable, ServerError)


class Recorder:
    """What all records share: the client, who measures, and the counters."""

    def __init__(self, api: ApiClient, source: str, metrics: Metrics) -> None:
        self.api = api
        self.source = source
        self.metrics = metrics

    def drafts(self, model: Model, looks: Iterable[Measurement]) -> list[dict[str, Any]]:
        """Entries in wire form, still without their place in the chain."""
        load = os.getloadavg()[0] / (os.cpu_count() or 1)
        return [look.draft(source=self.source, load=load, lifetime=model.lifetimes[look.measure]) for look in looks]


class Record:
    """The chain of one model. Used by one task at a time."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._chain: Chain | None = None
        self._pending: tuple[Chain, tuple[Entry, ...]] | None = None
        self._known = False

    @property
    def entries(self) -> Mapping[Instance, Entry]:
        """What is recorded, by (measure, instance)."""
        return self._chain.by_key if self._chain else {}

    @property
    def dirty(self) -> bool:
        """The API does not hold what is held here."""
        return self._chain is not None and self._chain.dirty

    async def refresh(self, model: Model, kept: Kept | None) -> None:
        """Read the object where it is not known: after a start, a failed write or another's write. Raises ApiError."""
        if self._known and not self._foreign(kept):
            return
        key = Key(model.namespace, names.evidence_name(model.name, model.uid, names.MANAGER_PROBER))
        raw = await self._recorder.api.find(EVIDENCES, key)
        found, fault = (None, "") if raw is None else read(raw, subject_of(model))
        if fault:
            self._strange(model, "not-believed", reason=fault)
        pending = self._pending[0] if self._pending else None
        chain, finding = adopt(self._chain, found, pending)
        if finding:
            self._strange(model, finding)
        if self._pending and found is not None and found.head == self._pending[0].head:
            self._log_entries(model, self._pending[1])
        self._chain, self._pending, self._known = chain, None, True

    async def write(self, model: Model, looks: Iterable[Measurement], gone: Iterable[Instance]) -> None:
        """Extend the chain by `looks`, drop what is `gone`, and apply all of it. Raises ApiError."""
        metrics = self._recorder.metrics
        chain, fresh = extended(self._chain or Chain(), self._recorder.drafts(model, looks), gone)
        body, crowded_out = body_of(chain, model)
        try:
            answer = await self._recorder.api.apply(EVIDENCES, body)
        except _DOUBTFUL as error:
            self._known, self._pending = False, (chain, fresh)
            metrics.writes.labels(type(error).__name__).inc()
            raise
        except ApiError as error:
            metrics.writes.labels(type(error).__name__).inc()
            raise
        metrics.writes.labels("ok").inc()
        if crowded_out:
            metrics.crowded_out.inc(crowded_out)
            _log.error("evidence has no room for all entries", **_who(model), crowded_out=crowded_out)
        meta = answer["metadata"]
        self._chain = Chain(chain.head, chain.entries, meta["uid"], meta["resourceVersion"])
        self._log_entries(model, fresh)

    def _foreign(self, kept: Kept | None) -> bool:
        """Whether somebody else wrote or removed the object, as far as the watch has told."""
        if kept is None:
            return False  # the watch lags behind our own create; of a removal `lost` tells
        if self._chain is None or kept.uid != self._chain.uid:
            return True
        return _newer(kept.resource_version, self._chain.resource_version)

    def lost(self, uid: str) -> None:
        """The watch saw the object with this uid go: read before the next write."""
        if self._chain is not None and self._chain.uid == uid:
            self._known = False

    def _strange(self, model: Model, finding: str, **more: str) -> None:
        self._recorder.metrics.findings.labels(finding).inc()
        _log.error("evidence is not as it was left", finding=finding, **_who(model), **more)

    def _log_entries(self, model: Model, entries: Iterable[Entry]) -> None:
        """The full history lives in the logs: one line per entry, once it is known to be recorded."""
        for entry in entries:
            _log.info("evidence", **_who(model), entry=entry.wire())


def _who(model: Model) -> dict[str, str]:
    return {"namespace": model.namespace, "model": model.name, "model_uid": model.uid}


def _newer(one: str, other: str) -> bool:
    """Resource versions of one resource compare as numbers (KEP-5504); where they are none, any other one is newer."""
    if one.isdecimal() and other.isdecimal():
        return int(one) > int(other)
    return one != other
