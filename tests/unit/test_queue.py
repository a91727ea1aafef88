"""Claims about the work queue, in virtual time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.virtual_time import now, run
from verticalmodel.kube.backoff import Backoff
from verticalmodel.kube.errors import TooManyRequests
from verticalmodel.shell.queue import Outcome, WorkQueue

STEADY = Backoff(base=10.0, cap=40.0, floor=10.0)


@dataclass
class Hooks:
    """What the queue told."""

    waits: list[float] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    retries: int = 0

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)

    def worked(self, _seconds: float, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def retried(self) -> None:
        self.retries += 1


@dataclass
class Worker:
    """Work that takes `seconds`, records its runs, and plays back results: numbers are returned, errors raised."""

    seconds: float = 0.0
    results: list[float | Exception | None] = field(default_factory=list)
    runs: list[tuple[str, float]] = field(default_factory=list)
    active: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    most_active: int = 0

    async def __call__(self, key: str) -> float | None:
        assert not self.active[key], f"{key} runs twice at once"
        self.active[key] += 1
        self.most_active = max(self.most_active, sum(self.active.values()))
        self.runs.append((key, now() - 1000.0))
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.active[key] -= 1
        result = self.results.pop(0) if self.results else None
        if isinstance(result, Exception):
            raise result
        return result


def with_queue(worker: Worker, script: Callable[[WorkQueue[str]], Awaitable[None]], **options: object) -> None:
    """Run `script` beside a working queue, then stop the queue."""

    async def main() -> None:
        queue = WorkQueue(worker, **{"workers": 4, "backoff": STEADY, **options})  # type: ignore[arg-type]
        running = asyncio.create_task(queue.run())
        await script(queue)
        await queue.stop()
        await running

    run(main())


def test_a_key_added_many_times_runs_once() -> None:
    worker = Worker()

    async def script(queue: WorkQueue[str]) -> None:
        for _ in range(5):
            queue.add("a")
        await queue.settled()

    with_queue(worker, script)
    assert worker.runs == [("a", 0)]


def test_adds_during_a_run_cause_exactly_one_more() -> None:
    worker = Worker(seconds=10)

    async def script(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await asyncio.sleep(5)
        for _ in range(3):
            queue.add("a")
        await queue.settled()

    with_queue(worker, script)
    assert worker.runs == [("a", 0), ("a", 10)]


def test_workers_are_bounded_and_keys_run_beside_each_other() -> None:
    worker = Worker(seconds=1)

    async def script(queue: WorkQueue[str]) -> None:
        for number in range(10):
            queue.add(str(number))
        await queue.settled()

    with_queue(worker, script, workers=3)
    assert worker.most_active == 3
    assert [when for _, when in worker.runs] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]


def test_a_failure_is_retried_with_growing_pauses_until_it_succeeds() -> None:
    worker, hooks = Worker(results=[ValueError("x")] * 4), Hooks()

    async def script(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await asyncio.sleep(1000)

    # A draw of chance between floor and ceiling is left out: floor equals base, so the first pause is exact.
    with_queue(worker, script, hooks=hooks, backoff=Backoff(base=10.0, cap=10.0, floor=10.0))
    assert [when for _, when in worker.runs] == [0, 10, 20, 30, 40]
    assert hooks.outcomes == ["error"] * 4 + ["success"]
    assert hooks.retries == 4


def test_a_success_forgets_earlier_failures() -> None:
    worker = Worker(results=[ValueError("x"), ValueError("x"), None, ValueError("x")])
    backoff = Backoff(base=1.0, cap=1000.0, floor=0.0)
    asked: list[int] = []

    class Recording(Backoff):
        def delay(self, failures: int, _draw: float | None = None) -> float:
            asked.append(failures)
            return backoff.delay(failures, 0.9)

    async def script(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await asyncio.sleep(100)
        queue.add("a")
        await asyncio.sleep(100)

    with_queue(worker, script, backoff=Recording())
    assert asked == [1, 2, 1]


def test_the_servers_own_wish_is_respected() -> None:
    worker = Worker(results=[TooManyRequests("busy", retry_after=77)])

    async def script(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await asyncio.sleep(1000)

    with_queue(worker, script)
    assert worker.runs == [("a", 0), ("a", 77)]


def test_one_keys_failure_leaves_the_others_alone() -> None:
    worker = Worker(results=[ValueError("first"), None, None])

    async def script(queue: WorkQueue[str]) -> None:
        for key in "abc":
            queue.add(key)
        await queue.settled()

    with_queue(worker, script)
    assert worker.runs == [("a", 0), ("b", 0), ("c", 0)]


def test_a_result_asks_for_another_look() -> None:
    worker, hooks = Worker(results=[30.0, 5.0]), Hooks()

    async def script(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await asyncio.sleep(1000)

    with_queue(worker, script, hooks=hooks)
    assert worker.runs == [("a", 0), ("a", 30), ("a", 35)]
    assert hooks.outcomes == ["requeued", "requeued", "success"]


@pytest.mark.parametrize("waits", [(20, 7, 50), (7, 20, 50), (50, 20, 7)])
def test_the_earliest_timer_wins(waits: tuple[int, ...]) -> None:
    worker = Worker()

    async def script(queue: WorkQueue[str]) -> None:
        for seconds in waits:
            queue.add_after("a", seconds)
        await asyncio.sleep(1000)

    with_queue(worker, script)
    assert worker.runs == [("a", 7)]


def test_a_run_takes_the_timer_away() -> None:
    worker = Worker()

    async def script(queue: WorkQueue[str]) -> None:
        queue.add_after("a", 50)
        await asyncio.sleep(10)
        queue.add("a")
        await asyncio.sleep(1000)

    with_queue(worker, script)
    assert worker.runs == [("a", 10)]


def test_an_event_does_not_wait_for_a_back_off() -> None:
    worker = Worker(results=[ValueError("x")])

    async def script(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await asyncio.sleep(2)
        queue.add("a")
        await asyncio.sleep(1000)

    with_queue(worker, script)
    assert worker.runs == [("a", 0), ("a", 2)]


def test_a_forgotten_key_has_no_timer() -> None:
    worker = Worker()

    async def script(queue: WorkQueue[str]) -> None:
        queue.add_after("a", 50)
        queue.forget("a")
        assert queue.delayed == 0
        await asyncio.sleep(1000)

    with_queue(worker, script)
    assert worker.runs == []


def test_a_run_that_hangs_is_cancelled_and_retried() -> None:
    worker, hooks = Worker(seconds=10_000), Hooks()

    async def script(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await asyncio.sleep(75)

    with_queue(worker, script, run_seconds=60.0, hooks=hooks)
    assert (worker.runs, hooks.retries) == ([("a", 0), ("a", 70)], 1)


def test_stop_lets_a_run_finish_within_its_grace() -> None:
    worker = Worker(seconds=3)
    finished: list[float] = []

    async def main() -> None:
        queue = WorkQueue(worker, workers=2)
        running = asyncio.create_task(queue.run())
        queue.add("a")
        queue.add_after("b", 1)
        await asyncio.sleep(0.5)
        await queue.stop(grace_seconds=10)
        finished.append(now() - 1000)
        queue.add("c")
        await running

    run(main())
    assert (worker.runs, finished) == ([("a", 0)], [3])


def test_stop_without_grace_cancels_at_once() -> None:
    worker, hooks = Worker(seconds=3), Hooks()

    async def main() -> None:
        queue = WorkQueue(worker, workers=2, hooks=hooks)
        running = asyncio.create_task(queue.run())
        queue.add("a")
        await asyncio.sleep(1)
        await queue.stop()
        await running
        assert now() == 1001

    run(main())
    assert hooks.outcomes == []


def test_keys_added_before_run_wait_for_it() -> None:
    worker = Worker()

    async def main() -> None:
        queue = WorkQueue(worker)
        queue.add("a")
        await asyncio.sleep(5)
        running = asyncio.create_task(queue.run())
        await queue.settled()
        await queue.stop()
        await running

    run(main())
    assert worker.runs == [("a", 5)]


def test_resync_spreads_every_known_key_over_the_period() -> None:
    worker = Worker()
    keys = [str(number) for number in range(10)]

    async def script(queue: WorkQueue[str]) -> None:
        resync = asyncio.create_task(queue.resync(lambda: keys, 100))
        await asyncio.sleep(101)
        resync.cancel()

    with_queue(worker, script)
    assert sorted(key for key, _ in worker.runs) == keys
    assert [round(when) for _, when in worker.runs] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]


def test_resync_of_nothing_waits_for_something() -> None:
    worker = Worker()
    keys: list[str] = []

    async def script(queue: WorkQueue[str]) -> None:
        resync = asyncio.create_task(queue.resync(lambda: keys, 100))
        await asyncio.sleep(50)
        keys.append("late")
        await asyncio.sleep(160)
        resync.cancel()

    with_queue(worker, script)
    assert worker.runs == [("late", 200)]


PLANS = st.lists(
    st.tuples(st.floats(0, 100), st.sampled_from("abc"), st.sampled_from(["add", "after"])), min_size=1, max_size=40
)


@given(plan=PLANS, seconds=st.floats(0, 20), failures=st.integers(0, 5), workers=st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_whatever_the_order_no_add_is_lost_and_no_key_runs_twice_at_once(
    plan: list[tuple[float, str, str]], seconds: float, failures: int, workers: int
) -> None:
    worker = Worker(seconds=seconds, results=[ValueError("x")] * failures)
    added: dict[str, float] = {}

    async def script(queue: WorkQueue[str]) -> None:
        for when, key, how in sorted(plan):
            await asyncio.sleep(max(0.0, when + 1000 - now()))
            if how == "add":
                queue.add(key)
                added[key] = now() - 1000
            else:
                queue.add_after(key, 7)
        await asyncio.sleep(10_000)
        assert (queue.ready, queue.running, queue.delayed) == (0, 0, 0)

    with_queue(worker, script, workers=workers)
    for key, when in added.items():
        # A run that began at or after the last add has seen it.
        assert max(began for name, began in worker.runs if name == key) >= when
