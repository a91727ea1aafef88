"""Claims about hand-over between real processes on a real Lease: after a clean stop, and after kill -9.

The seconds show with `pytest -o log_cli=true -o log_cli_level=INFO`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from time import monotonic

import pytest

from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.leader import Timing
from verticalmodel.kube.resources import LEASES, Key

pytestmark = pytest.mark.apiserver
_log = logging.getLogger(__name__)
TIMING = Timing()

REPLICA = """
import asyncio, pathlib, signal, sys
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.leader import Leader, Timing
from verticalmodel.kube.resources import Key

async def main(kubeconfig, namespace, identity, *timing):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Connection.open(pathlib.Path(kubeconfig)) as connection:
        api, lease = ApiClient(connection, manager="test"), Key(namespace, "handover")
        leader = Leader(api, lease, identity=identity, timing=Timing(*map(float, timing)))
        print("ready", flush=True)
        await leader.acquire()
        print("leads", flush=True)
        holding = asyncio.create_task(leader.hold())
        await stop.wait()
        holding.cancel()
        await asyncio.wait({holding})
        print("released" if await leader.release() else "not released", flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@dataclass
class Replica:
    """A process that is a candidate for the Lease."""

    process: asyncio.subprocess.Process

    async def says(self, word: str, within: float = 30.0) -> float:
        """Wait for its next word; the moment it came."""
        assert self.process.stdout is not None
        async with asyncio.timeout(within):
            line = await self.process.stdout.readline()
        assert line.decode().strip() == word
        return monotonic()


@asynccontextmanager
async def replica(apiserver: Path, namespace: str, identity: str, timing: Timing = TIMING) -> AsyncIterator[Replica]:
    figures = [str(figure) for figure in astuple(timing)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", REPLICA, str(apiserver), namespace, identity, *figures, stdout=asyncio.subprocess.PIPE
    )
    try:
        made = Replica(process)
        await made.says("ready")
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def holder(api: ApiClient, namespace: str) -> str:
    lease = await api.get(LEASES, Key(namespace, "handover"))
    return str(lease["spec"]["holderIdentity"])


async def test_after_a_clean_stop_the_standby_leads_within_three_seconds(
    apiserver: Path, api: ApiClient, namespace: str
) -> None:
    async with replica(apiserver, namespace, "one") as first:
        await first.says("leads")
        async with replica(apiserver, namespace, "two") as second:
            await asyncio.sleep(1.5)  # at least one renewal
            assert await holder(api, namespace) == "one"
            began = monotonic()
            first.process.send_signal(signal.SIGTERM)
            await first.says("released")
            seconds = await second.says("leads") - began
            _log.info("hand-over after a clean stop: %.2f s", seconds)
            assert seconds <= 3.0
            assert await holder(api, namespace) == "two"


async def test_after_a_kill_the_standby_leads_after_the_lease_and_one_retry(
    apiserver: Path, api: ApiClient, namespace: str
) -> None:
    async with replica(apiserver, namespace, "one") as first:
        await first.says("leads")
        async with replica(apiserver, namespace, "two") as second:
            await asyncio.sleep(1.5)
            began = monotonic()
            first.process.kill()
            seconds = await second.says("leads") - began
            _log.info("hand-over after kill -9: %.2f s", seconds)
            # Not sooner than the killed one's word was good for, one renewal interval taken off.
            assert TIMING.lease_duration - TIMING.retry - TIMING.request <= seconds
            assert seconds <= TIMING.lease_duration + TIMING.retry + 0.5
            assert await holder(api, namespace) == "two"


async def test_a_leader_that_is_stopped_for_too_long_finds_out_before_it_writes(
    apiserver: Path, api: ApiClient, namespace: str
) -> None:
    quick = Timing(lease_duration=3.0, renew_deadline=2.0, retry=0.5, request=0.9)
    async with replica(apiserver, namespace, "one", quick) as first:
        await first.says("leads")
        async with replica(apiserver, namespace, "two", quick) as second:
            first.process.send_signal(signal.SIGSTOP)
            await second.says("leads")
            first.process.send_signal(signal.SIGCONT)
            await asyncio.sleep(1.5)  # three times the pause between renewals: time enough to steal it back
            assert await holder(api, namespace) == "two"
