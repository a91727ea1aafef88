"""The endless round: each model at its time, soon after a change, and never more at once than is good for anybody.

Every pass starts from the observed world and the recorded chain and would be right if it were the first one.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

import structlog

from verticalmodel.kube.backoff import Backoff
from verticalmodel.kube.errors import ApiError
from verticalmodel.kube.resources import Key
from verticalmodel.probe.agenda import REFRESH, agenda, doubtful, gone, wait_seconds, worth_writing
from verticalmodel.probe.cluster import Cluster
from verticalmodel.probe.doubts import Doubts
from verticalmodel.probe.measurement import CANARY, ISOLATION, Measurement
from verticalmodel.probe.measurement import Key as Instance
from verticalmodel.probe.metrics import Metrics
from verticalmodel.probe.model import Model
from verticalmodel.probe.record import Record, Recorder
from verticalmodel.probe.schedule import Schedule
from verticalmodel.probe.survey import Survey

__all__ = ["Rounds"]

_log = structlog.get_logger(__name__)
_FAILURES = Backoff(base=1.0, cap=60.0, floor=0.5)
_BEAT_SECONDS = 5.0
_SECOND_ASKING = 0.5
_CRASHED_SECONDS = 60.0
# Chance keeps the subject from knowing the hour, so it is the operating system's.
_random = random.SystemRandom()


@dataclass
class _Turns:
    """What one model's passes leave for the next."""

    uid: str
    record: Record
    share: float
    """Share of the lifetime at which evidence is renewed."""
    next_canary: float = 0.0
    turn: int = 0
    doubts: Doubts = field(default_factory=Doubts)
    asked_at: datetime | None = None
    """The last request to measure that was seen."""
    failures: int = 0


class Rounds:
    """Runs the passes. `touch` and `lost` are to be called by the caches."""

    def __init__(self, schedule: Schedule[Key], recorder: Recorder, metrics: Metrics, canary_interval: float) -> None:
        self._schedule = schedule
        self._recorder = recorder
        self._metrics = metrics
        self._canary_interval = canary_interval
        self._turns: dict[Key, _Turns] = {}
        self._awake = asyncio.Event()
        self._beat = time.monotonic()

    @property
    def silent_seconds(self) -> float:
        """Seconds since the loop last went round: it does so every few seconds, with or without work."""
        return time.monotonic() - self._beat

    def touch(self, key: Key) -> None:
        """The world of this model changed."""
        self._schedule.touch(key, time.monotonic())
        self._awake.set()

    def lost(self, key: Key, uid: str) -> None:
        """The Evidence object with this uid is gone."""
        if key in self._turns:
            self._turns[key].record.lost(uid)

    async def run(self, cluster: Cluster, survey: Survey) -> NoReturn:
        """Go round until cancelled; starts once the caches are filled."""
        await cluster.synced()
        async with asyncio.TaskGroup() as passes:
            while True:
                now = self._beat = time.monotonic()
                for key, late in self._schedule.take(now):
                    self._metrics.lateness.observe(late)
                    passes.create_task(self._pass(cluster, survey, key), name=f"pass {key}")
                self._metrics.models.set(len(self._turns))
                self._awake.clear()
                # Not wait_for: until Python 3.12 it can swallow a cancellation that comes with the event.
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(self._schedule.idle_seconds(now), _BEAT_SECONDS)):
                        await self._awake.wait()

    async def _pass(self, cluster: Cluster, survey: Survey, key: Key) -> None:
        model = cluster.model(key)
        if model is None:
            # Its evidence stays as it is: it outlives the model for the retention time.
            self._turns.pop(key, None)
            self._schedule.forget(key)
            return
        turns = self._turns.get(key)
        if turns is None or turns.uid != model.uid:
            turns = self._turns[key] = _Turns(model.uid, Record(self._recorder), _random.uniform(*REFRESH))
        try:
            wait = await self._look(cluster, survey, model, turns)
            turns.failures = 0
            self._metrics.passes.labels("ok").inc()
        except ApiError as error:
            turns.failures += 1
            wait = max(_FAILURES.delay(turns.failures), error.retry_after)
            self._metrics.passes.labels(type(error).__name__).inc()
            _log.warning("pass failed", model=str(key), failures=turns.failures, error=str(error))
        except Exception:  # noqa: BLE001  one model's defect must not stop the others; it is counted, told, tried again
            turns.failures += 1
            wait = max(_FAILURES.delay(turns.failures), _CRASHED_SECONDS)
            self._metrics.passes.labels("crashed").inc()
            _log.exception("pass crashed", model=str(key), failures=turns.failures)
        self._schedule.finish(key, time.monotonic(), wait)
        self._awake.set()

    async def _look(self, cluster: Cluster, survey: Survey, model: Model, turns: _Turns) -> float:
        """Look, record, and say in how many seconds to come again. Raises ApiError."""
        record = turns.record
        await record.refresh(model, cluster.kept(model))
        todo = agenda(model, record.entries, datetime.now(UTC), turns.share)
        tried = todo.wanted - self._too_early(model, turns)
        keys = tried | self._canaries(model, turns)
        looks = await survey.look(model, keys, turns.turn)
        looks = await self._ask_again(cluster, survey, model, turns, looks)
        now_model = cluster.model(Key(model.namespace, model.name))
        if now_model is None or now_model.uid != model.uid:
            return 0.0  # gone while we looked: leave its evidence as it is
        model = now_model
        clock, now = time.monotonic(), datetime.now(UTC)
        turns.doubts.note(tried, looks, clock, _random.random())
        turns.doubts.keep(todo.wanted)
        doubted = turns.doubts.seconds(clock)
        news = worth_writing(model, looks, record.entries, now, renewal=todo.renewal, doubted=doubted)
        dead = gone(model, record.entries)
        if news or dead or record.dirty:
            await record.write(model, news, dead)
            if todo.renewal:
                turns.share = _random.uniform(*REFRESH)
        return self._wait(model, turns)

    def _too_early(self, model: Model, turns: _Turns) -> frozenset[Instance]:
        if turns.asked_at != model.asked_at:
            turns.asked_at = model.asked_at
            turns.doubts.hurry()
        return turns.doubts.waiting(time.monotonic())

    def _canaries(self, model: Model, turns: _Turns) -> frozenset[Instance]:
        now = time.monotonic()
        if now < turns.next_canary:
            return frozenset()
        turns.next_canary = now + self._canary_interval * _random.uniform(0.9, 1.1)
        turns.turn += 1
        # Where a stranger got through, nobody waits for the renewal to learn that he does not any more.
        broken = {key for key, entry in turns.record.entries.items() if key[0] == ISOLATION and entry.value}
        return frozenset(key for key in model.expected() if key[0] == CANARY or key in broken)

    async def _ask_again(
        self, cluster: Cluster, survey: Survey, model: Model, turns: _Turns, looks: tuple[Measurement, ...]
    ) -> tuple[Measurement, ...]:
        """The looks, with a second one in the place of each sudden bad answer of a pod that is still there."""
        again = doubtful(looks, turns.record.entries)
        if not again:
            return looks
        await asyncio.sleep(_SECOND_ASKING)
        now = cluster.model(Key(model.namespace, model.name))
        second = await survey.look(now, again & now.expected().keys(), turns.turn + 1) if now else ()
        return (*(look for look in looks if look.key not in again), *second)

    def _wait(self, model: Model, turns: _Turns) -> float:
        waits = []
        if any(key[0] == CANARY for key in model.expected()):
            waits.append(max(turns.next_canary - time.monotonic(), 0.0))
        retry = turns.doubts.next_in(time.monotonic())
        if retry is not None:
            waits.append(retry)
        else:
            waits.append(wait_seconds(model, turns.record.entries, datetime.now(UTC), turns.share))
        return min(waits)
