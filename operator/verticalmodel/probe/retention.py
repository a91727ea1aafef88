"""Evidence outlives its model for the retention time, then goes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import structlog

from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import ApiError
from verticalmodel.kube.resources import EVIDENCES, Key
from verticalmodel.probe.cluster import Cluster, Kept
from verticalmodel.probe.metrics import Metrics

__all__ = ["expired", "keep_retention"]

_log = structlog.get_logger(__name__)
_EVERY_SECONDS = 3600.0


def expired(kept: Mapping[Key, Kept], living: Iterable[str], now: datetime, retention: timedelta) -> list[Key]:
    """Objects whose model (by uid) lives no more and that nobody wrote to for the retention time."""
    alive = set(living)
    return sorted(key for key, one in kept.items() if one.model_uid not in alive and now - one.written > retention)


async def keep_retention(cluster: Cluster, api: ApiClient, metrics: Metrics, retention: timedelta) -> NoReturn:
    """Look every hour, the first time after the caches are filled."""
    await cluster.synced()
    while True:
        kept = dict(cluster.evidence.values)
        living = [wish.uid for wish in cluster.wishes.values.values()]
        for key in expired(kept, living, datetime.now(UTC), retention):
            try:
                await api.delete(EVIDENCES, key, uid=kept[key].uid, resource_version=kept[key].resource_version)
            except ApiError as error:
                _log.warning("evidence not removed", evidence=str(key), error=str(error))
                continue
            metrics.removed.inc()
            _log.info("evidence removed after its retention time", evidence=str(key), model_uid=kept[key].model_uid)
        await asyncio.sleep(_EVERY_SECONDS)
