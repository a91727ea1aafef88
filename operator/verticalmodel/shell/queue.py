"""A level-triggered work queue: one entry per key, bounded workers, retries with back-off."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, Literal, NoReturn, Protocol, TypeVar

from verticalmodel.kube.backoff import Backoff
from verticalmodel.kube.errors import ApiError

__all__ = ["Outcome", "QueueHooks", "WorkQueue"]

K = TypeVar("K", bound=Hashable)
Outcome = Literal["success", "requeued", "error"]

_log = logging.getLogger(__name__)
_BACKOFF = Backoff(base=0.5, cap=60.0)


class QueueHooks(Protocol):
    """What the queue tells the metrics."""

    def waited(self, seconds: float) -> None:
        """One key went from `add` to the start of its run."""

    def worked(self, seconds: float, outcome: Outcome) -> None:
        """One run ended; `requeued` means that it asked for another look."""

    def retried(self) -> None:
        """A failed run was put back, to be tried again."""


class WorkQueue(Generic[K]):
    """Runs `work(key)` for every added key, never twice at once for the same key.

    - A key that is added again before its run starts is one entry; added during its run, exactly one more run follows.
    - `work` returns None, or the seconds after which it wants to look again. What it raises is logged and retried with
      exponential back-off and full jitter, not sooner than an ApiError's `retry_after`. A run that takes longer than
      `run_seconds` is cancelled and counts as failed.
    - A key has one timer at most, the earliest asked for. The start of a run takes it away: the run sees whatever there
      is to see, and its result says when to look again. An explicit `add` never waits for a back-off.

    Keys may be added before `run`; nothing starts before it. One event loop, not thread-safe.
    """

    def __init__(
        self,
        work: Callable[[K], Awaitable[float | None]],
        *,
        workers: int = 16,
        run_seconds: float = 120.0,
        backoff: Backoff = _BACKOFF,
        hooks: QueueHooks | None = None,
    ) -> None:
        self._work = work
        self._workers = workers
        self._run_seconds = run_seconds
        self._backoff = backoff
        self._hooks = hooks
        self._ready: asyncio.Queue[K | None] = asyncio.Queue()
        self._added_at: dict[K, float] = {}
        self._running: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def ready(self) -> int:
        """Keys that wait for a worker."""
        return len(self._added_at)

    @property
    def running(self) -> int:
        """Keys that are worked on."""
        return len(self._running)

    @property
    def delayed(self) -> int:
        """Keys that wait for their time."""
        return len(self._timers)

    def add(self, key: K) -> None:
        """Ask for a run as soon as a worker is free."""
        if self._stopping or key in self._added_at:
            return
        if key in self._running:
            self._again.add(key)
            return
        self._added_at[key] = asyncio.get_running_loop().time()
        self._settled.clear()
        self._ready.put_nowait(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Ask for a run in `seconds`, or sooner where the key already has an earlier timer."""
        if self._stopping:
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        timer = self._timers.get(key)
        if timer is None or when < timer.when():
            self._drop_timer(key)
            self._timers[key] = loop.call_at(when, self._ring, key)

    def forget(self, key: K) -> None:
        """Drop what is remembered of a key that no longer exists: its timer and its failures."""
        self._drop_timer(key)
        self._failures.pop(key, None)

    async def run(self) -> None:
        """Work until `stop`; cancelling this cancels the runs under way. Once only."""
        if self._stopping:
            return
        try:
            async with asyncio.TaskGroup() as group:
                self._tasks = [group.create_task(self._worker(), name=f"worker {n}") for n in range(self._workers)]
        finally:
            self._close()

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """Start nothing more, give the runs under way `grace_seconds`, cancel the rest. On return nothing runs."""
        self._close()
        for _ in self._tasks:
            self._ready.put_nowait(None)
        pending = {task for task in self._tasks if not task.done()}
        if pending and grace_seconds > 0:
            _, pending = await asyncio.wait(pending, timeout=grace_seconds)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)

    async def settled(self) -> None:
        """Wait until no key is ready or running; timers may be pending."""
        await self._settled.wait()

    async def resync(self, known: Callable[[], Iterable[K]], period: float) -> NoReturn:
        """Add every known key once per `period` seconds, evenly spread, so that nothing depends on events alone."""
        while True:
            keys = list(known())
            random.shuffle(keys)
            for key in keys:
                await asyncio.sleep(period / len(keys))
                self.add(key)
            if not keys:
                await asyncio.sleep(period)

    async def _worker(self) -> None:
        while (key := await self._ready.get()) is not None and not self._stopping:
            started = asyncio.get_running_loop().time()
            waited = started - self._added_at.pop(key)
            self._drop_timer(key)
            self._running.add(key)
            try:
                if self._hooks is not None:
                    self._hooks.waited(waited)
                outcome = await self._attempt(key)
                if self._hooks is not None:
                    self._hooks.worked(asyncio.get_running_loop().time() - started, outcome)
            finally:
                self._finish(key)

    async def _attempt(self, key: K) -> Outcome:
        try:
            async with asyncio.timeout(self._run_seconds):
                again = await self._work(key)
        except Exception as error:  # noqa: BLE001 - one model's failure, whatever it is, must not end the others' worker
            failures = self._failures.get(key, 0) + 1
            self._failures[key] = failures
            expected = isinstance(error, ApiError)
            delay = max(self._backoff.delay(failures), error.retry_after if isinstance(error, ApiError) else 0.0)
            _log.warning(
                "run failed, will be retried",
                extra={"key": str(key), "failures": failures, "delay": round(delay, 3), "error": _told(error)},
                exc_info=None if expected else error,
            )
            self.add_after(key, delay)
            if self._hooks is not None:
                self._hooks.retried()
            return "error"
        self._failures.pop(key, None)
        if again is None:
            return "success"
        self.add_after(key, again)
        return "requeued"

    def _finish(self, key: K) -> None:
        self._running.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        if not self._running and not self._added_at:
            self._settled.set()

    def _ring(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _drop_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _close(self) -> None:
        self._stopping = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
