"""The status of an OperatingStandard: the clauses of the platform as a whole. One write, none when nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from pydantic import ValidationError

from verticalmodel.api import names
from verticalmodel.api.operatingstandard import OperatingStandard
from verticalmodel.judge.judge import judge_platform
from verticalmodel.judge.merge import merge_platform
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import Key

_LOG = structlog.get_logger(__name__)


class StandardStatus:
    """Judges the clauses of the platform once per OperatingStandard; for a work queue."""

    def __init__(self, api: ApiClient, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._clock = clock

    async def __call__(self, key: Key) -> None:
        """Write the status where it differs from the one that stands there. Raises ApiError.

        It is read live: no cache keeps it, because judging a model takes nothing from it. What this version cannot
        read, a newer one has written: it is left alone.
        """
        body = await self._api.find(resources.OPERATING_STANDARDS, key)
        if body is None:
            return
        try:
            standard = OperatingStandard.model_validate(body)
        except ValidationError:
            _LOG.warning("a standard that this version cannot read is not judged", standard=key.name)
            return
        generation = standard.metadata.generation
        now = self._clock()
        wanted = merge_platform(standard.status, judge_platform(standard, now), generation=generation, now=now)
        if wanted == standard.status:
            return
        await self._api.apply(
            resources.OPERATING_STANDARDS,
            {
                "apiVersion": names.API_VERSION,
                "kind": "OperatingStandard",
                "metadata": {"name": key.name, "uid": standard.metadata.uid},
                "status": wanted.wire(),
            },
            manager=names.MANAGER_STATUS,
            subresource="status",
        )
