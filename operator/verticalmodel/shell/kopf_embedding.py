"""How kopf lives inside a process of ours: no writes, no posts, and its hands off our tasks and signals."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import kopf

__all__ = ["IDENTITY", "EveryTask", "end_strays", "quiet_settings", "take_signals"]

IDENTITY: Any = "verticalmodel-operator"
"""Given, because kopf would else look up the name of a user that a numeric uid does not have."""


class EveryTask(Collection[Any]):
    """All tasks of the loop, as the set that kopf must not wait for or cancel when it stops.

    kopf takes every task born after its start for its own. What it forgets of its own ones ends in `end_strays`.
    """

    def __contains__(self, _task: object) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(asyncio.all_tasks())

    def __len__(self) -> int:
        return len(asyncio.all_tasks())


class _NoDiffBase(kopf.DiffBaseStorage):
    """Event handlers have no past to compare with; building one costs half of kopf's time per event."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Event handlers have no progress."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


def quiet_settings() -> kopf.OperatorSettings:
    """Settings of a kopf that watches and does nothing else."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.queueing.idle_timeout = 0.3
    settings.watching.chunk_size = 500
    settings.watching.connect_timeout = 5.0
    settings.networking.error_backoffs = (0.5, 1, 2, 3, 5, 5, 5, 5, 5, 5)
    # It would kill the thread minutes after a cancellation; how this process ends is ours to say.
    settings.process.ultimate_exiting_timeout = None
    return settings


async def end_strays() -> None:
    """Cancel what is left of kopf: stopped in the middle of its discovery, it forgets tasks."""
    home = str(Path(kopf.__file__).parent)
    strays = {task for task in asyncio.all_tasks() if _code_of(task).startswith(home)}
    for task in strays:
        task.cancel()
    if strays:
        await asyncio.wait(strays)


def _code_of(task: asyncio.Task[Any]) -> str:
    code = getattr(task.get_coro(), "cr_code", None)
    return code.co_filename if code is not None else ""


def take_signals(on_signal: Callable[[], None] | None) -> None:
    """Put our handler back in the place of the one that kopf installs when it is spawned."""
    if on_signal is not None and threading.current_thread() is threading.main_thread():
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
