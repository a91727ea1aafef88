"""Leadership by a Lease: keeps an `election` going against the API server."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.election import Election, Record, Timing
from verticalmodel.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from verticalmodel.kube.resources import LEASES, Key

__all__ = ["Leader", "LeadershipLost", "NotLeader", "Timing"]

_log = logging.getLogger(__name__)
_RETRY_RENEWAL_SECONDS = 0.25


class NotLeader(ApiError):  # noqa: N818 - beside the API's own refusals
    """A write was stopped here, before it was sent: this replica does not lead."""


class LeadershipLost(Exception):  # noqa: N818 - an event as much as an error
    """The lease could not be renewed in time, or somebody else holds it: stop everything and end the process."""


def _clock() -> float:
    """Seconds that also pass while the machine is suspended, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _wall() -> datetime:
    return datetime.now(UTC)


class Leader:
    """A candidate for, then the holder of one Lease. Use: `acquire`, then `hold` beside the work, then `release`.

    `api` should be on a connection of its own (`Connection.dedicated`), so that renewals never queue behind other
    requests, and must not have this leader's `check` as its guard. `identity` is unique per pod (its UID): a restarted
    container takes its own lease back at once. `on_change(leads)` is told of every change.
    """

    def __init__(  # noqa: PLR0913 - keyword-only choices with defaults
        self,
        api: ApiClient,
        lease: Key,
        *,
        identity: str,
        timing: Timing | None = None,
        on_change: Callable[[bool], None] | None = None,
        clock: Callable[[], float] = _clock,
        wall: Callable[[], datetime] = _wall,
    ) -> None:
        self._api = api
        self._lease = lease
        self._timing = timing or Timing()
        self._election = Election(identity, self._timing)
        self._on_change = on_change
        self._clock = clock
        self._wall = wall
        self._version = ""
        self._told = False
        self._beat_at = clock()

    @property
    def held(self) -> bool:
        """True while this replica leads; judged by the clock at every look, so a stalled process sees it too."""
        return self._election.leads(self._clock())

    @property
    def silent_seconds(self) -> float:
        """Seconds since the loop last came round; it does so every few seconds, as leader and as standby."""
        return self._clock() - self._beat_at

    def check(self) -> None:
        """Guard for writes. Raises NotLeader."""
        if not self.held:
            raise NotLeader("this replica does not lead")

    async def acquire(self) -> None:
        """Wait as a standby until this replica leads; failures of the API are waited out."""
        while True:
            self._beat_at = self._clock()
            try:
                async with asyncio.timeout(self._timing.request):
                    await self._look()
                    if self._election.may_take_in(self._clock()) == 0:
                        await self._claim()
            except (ApiError, TimeoutError) as error:
                _log.debug("lease not taken", extra={"lease": str(self._lease), "error": str(error)})
            if self.held:
                self._tell(leads=True)
                return
            # Not in step with other standbys, and not later than the moment the lease runs out.
            pause = self._timing.retry * random.uniform(0.8, 1.0)  # noqa: S311 - spreads load, guards nothing
            await asyncio.sleep(min(pause, self._election.may_take_in(self._clock()) or pause))

    async def hold(self) -> NoReturn:
        """Renew until cancelled. Raises LeadershipLost at the latest when the term ends; run the work beside it."""
        pause = self._timing.retry
        while True:
            await asyncio.sleep(min(pause, self._election.term_left(self._clock())))
            self._beat_at = self._clock()
            left = self._election.term_left(self._clock())
            if left <= 0:
                self._lost("it could not be renewed in time")
            try:
                async with asyncio.timeout(min(left, self._timing.request)):
                    await self._claim()
                pause = self._timing.retry
            except (Conflict, AlreadyExists, NotFound):
                await self._reconsider()
                pause = 0.0
            except (ApiError, TimeoutError) as error:
                _log.warning("lease not renewed yet", extra={"lease": str(self._lease), "error": str(error)})
                pause = _RETRY_RENEWAL_SECONDS

    async def release(self) -> bool:
        """Give the lease up, so that a standby takes over at its next look; True where the API server confirmed it.

        Call it after the last write: `held` is False from its first moment. Safe to call without leading.
        """
        record = self._election.resign()
        self._tell(leads=False)
        if record is None:
            return False
        try:
            async with asyncio.timeout(self._timing.request):
                try:
                    await self._write(record)
                except Conflict:
                    # A renewal that was cancelled on its way may have arrived after all.
                    await self._look()
                    record = self._election.resign()
                    if record is None:
                        return False
                    await self._write(record)
        except (ApiError, TimeoutError) as error:
            _log.warning("lease not released, it will run out", extra={"lease": str(self._lease), "error": str(error)})
            return False
        return True

    async def _look(self) -> None:
        found = await self._api.find(LEASES, self._lease)
        now = self._clock()
        self._version = found["metadata"]["resourceVersion"] if found else ""
        if found:
            self._election.observe(Record.parse(found.get("spec") or {}), now)

    async def _claim(self) -> None:
        sent_at = self._clock()
        written = await self._write(self._election.claim(self._wall()))
        self._election.claimed(written, sent_at, self._clock())

    async def _write(self, record: Record) -> Record:
        meta: dict[str, Any] = {"name": self._lease.name, "namespace": self._lease.namespace}
        body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": meta, "spec": record.wire()}
        if self._version:
            meta["resourceVersion"] = self._version
            answer = await self._api.replace(LEASES, body)
        else:
            answer = await self._api.create(LEASES, body)
        self._version = answer["metadata"]["resourceVersion"]
        return Record.parse(answer["spec"])

    async def _reconsider(self) -> None:
        """Somebody else wrote the lease: a rival, a person, or an earlier request of ours that was thought lost."""
        try:
            async with asyncio.timeout(min(self._timing.request, self._election.term_left(self._clock()))):
                await self._look()
        except (ApiError, TimeoutError) as error:
            _log.warning("lease not read", extra={"lease": str(self._lease), "error": str(error)})
            return
        if self._election.may_take_in(self._clock()) > 0:
            self._lost("another replica holds it")

    def _lost(self, why: str) -> NoReturn:
        self._election.resign()
        self._tell(leads=False)
        raise LeadershipLost(f"lease {self._lease}: {why}")

    def _tell(self, *, leads: bool) -> None:
        if leads != self._told:
            self._told = leads
            _log.info("leadership changed", extra={"lease": str(self._lease), "leads": leads})
            if self._on_change is not None:
                self._on_change(leads)
