"""`python -m fakegpu.driver`: the fake GPU driver of the node that NODE_NAME names."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

from fakegpu.driver.names import MANAGER
from fakegpu.driver.node import NodeDriver, Settings
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # What an earlier container of this pod left says nothing about this one.
    settings.ready.unlink(missing_ok=True)
    async with Connection.open() as connection:
        await NodeDriver(settings, ApiClient(connection, manager=MANAGER)).run(stop)


def main() -> None:
    """Settings come from the environment; all of them are required."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(
        run(
            Settings(
                node=os.environ["NODE_NAME"],
                namespace=os.environ["POD_NAMESPACE"],
                config_map=os.environ["PROFILE"],
                kubelet=Path(os.environ["KUBELET_ROOT"]),
                cdi=Path(os.environ["CDI_DIRECTORY"]),
                readings=Path(os.environ["READINGS_DIRECTORY"]),
                ready=Path(os.environ["READY_FILE"]),
            )
        )
    )


if __name__ == "__main__":
    main()
