"""Threads that share a queue of tasks: what they call releases the interpreter's lock for nearly all of its time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

__all__ = ["each"]

T = TypeVar("T")


def each(tasks: Iterable[T], start: Callable[[], Callable[[T], None]], *, workers: int) -> None:
    """Handle every task, `workers` at a time; each worker makes its handler, with buffers of its own, by `start()`.

    Raises the first failure once every worker has stopped; after a failure, or an exception in the waiting thread (a
    signal), no worker takes another task.
    """
    queue = _Queue(iter(tasks))

    def work() -> None:
        handle = start()
        try:
            while (task := queue.take()) is not None:
                handle(task[0])
        except BaseException:
            queue.stop()
            raise

    with ThreadPoolExecutor(workers, thread_name_prefix="transfer") as pool:
        running = [pool.submit(work) for _ in range(workers)]
        try:
            for worker in running:
                worker.result()
        finally:
            queue.stop()


class _Queue(Generic[T]):
    def __init__(self, tasks: Iterator[T]) -> None:
        self._tasks = tasks
        self._stopped = False
        self._lock = threading.Lock()

    def take(self) -> tuple[T] | None:
        with self._lock:
            return None if self._stopped else next(((task,) for task in self._tasks), None)

    def stop(self) -> None:
        self._stopped = True
