"""Kubernetes Events about a model's conditions: for people who watch, never for decisions.

An Event is written after the status that it tells of, and at most once: one that is lost with a crash in between is
not made up for, because the status is the record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

import structlog

from verticalmodel.api import names
from verticalmodel.api.verticalmodel import OwnMeta
from verticalmodel.judge.transitions import Transition
from verticalmodel.judge.verdict import shortened
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import AlreadyExists, ApiError

_LOG = structlog.get_logger(__name__)
_CONTROLLER = f"{names.GROUP}/operator"
# Limits of events.k8s.io/v1.
_NOTE_LIMIT = 1024
_FIELD_LIMIT = 128


class EventRecorder:
    """Writes Events under one reporting instance (the replica's identity)."""

    def __init__(self, api: ApiClient, instance: str) -> None:
        self._api = api
        self._instance = _cut(instance, _FIELD_LIMIT)

    async def record(self, model: OwnMeta, changes: Iterable[Transition], now: datetime) -> None:
        """One Event per transition. Never raises ApiError: what cannot be told is logged."""
        for change in changes:
            try:
                await self._api.create(resources.EVENTS, self._event(model, change, now))
            except AlreadyExists:
                continue
            except ApiError as error:
                _LOG.warning("event not written", model=model.name, namespace=model.namespace, error=str(error))

    def _event(self, model: OwnMeta, change: Transition, now: datetime) -> dict[str, object]:
        condition = change.condition
        note = f"{condition.type} went from {change.before} to {condition.status}: {condition.message}".rstrip(": ")
        moment = f"{model.uid}/{condition.type}/{condition.status}/{condition.last_transition_time.isoformat()}"
        return {
            "apiVersion": resources.EVENTS.api_version,
            "kind": resources.EVENTS.kind,
            "metadata": {
                # The same transition twice is the same object.
                "name": f"{model.name}.{hashlib.sha256(moment.encode()).hexdigest()[:16]}",
                "namespace": model.namespace,
            },
            "eventTime": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "reportingController": _CONTROLLER,
            "reportingInstance": self._instance,
            "action": _cut(condition.type, _FIELD_LIMIT),
            "reason": _cut(condition.reason, _FIELD_LIMIT),
            "note": _cut(shortened(note, _NOTE_LIMIT), _NOTE_LIMIT),
            "type": "Warning" if change.is_bad else "Normal",
            "regarding": {
                "apiVersion": names.API_VERSION,
                "kind": "VerticalModel",
                "name": model.name,
                "namespace": model.namespace,
                "uid": model.uid,
            },
        }


def _cut(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, as the API server counts them."""
    return text.encode()[:limit].decode(errors="ignore")


__all__ = ["EventRecorder"]
