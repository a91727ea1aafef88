"""Live cgroups from the kubelets, each asked at most once in a while, however many models run on its node."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import structlog

from verticalmodel.kube.connection import Connection
from verticalmodel.kube.kubeconfig import Access
from verticalmodel.probe.cadvisor import parse_cadvisor
from verticalmodel.probe.metrics import Metrics
from verticalmodel.probe.sandbox import Scrape
from verticalmodel.probe.world import Node

__all__ = ["Kubelets"]

_SECONDS = 10.0
_BODY_LIMIT = 64 * 1024 * 1024
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Answer:
    began: float
    scrape: asyncio.Task[Scrape]


class Kubelets:
    """Scrapes, shared by all who ask within `interval` seconds of its beginning; failures are shared, too.

    The certificate of a kubelet is verified against `ca`, else against the cluster's CA, for the node's address.
    """

    def __init__(self, access: Access, *, ca: Path | None, interval: float, metrics: Metrics, at_once: int = 4) -> None:
        self._access = access if ca is None else replace(access, ca_file=ca, ca_pem=None)
        self._interval = interval
        self._metrics = metrics
        self._slots = asyncio.Semaphore(at_once)
        self._answers: dict[str, _Answer] = {}

    async def scrape(self, nodes: Iterable[Node]) -> dict[str, Scrape]:
        """What the nodes show, by name. Never raises for what the network or a kubelet does."""
        tasks = {node.name: self._shared(node) for node in nodes}
        # Shielded: an asker that goes away must not take the answer from the others.
        found = await asyncio.gather(*(asyncio.shield(task) for task in tasks.values()))
        return dict(zip(tasks, found, strict=True))

    def forget(self, known: Iterable[str]) -> None:
        """Drop what was kept of nodes that are not `known` any more."""
        names = set(known)
        self._answers = {name: answer for name, answer in self._answers.items() if name in names}

    def _shared(self, node: Node) -> asyncio.Task[Scrape]:
        now = time.monotonic()
        last = self._answers.get(node.name)
        if last is None or (last.scrape.done() and now - last.began >= self._interval):
            last = _Answer(now, asyncio.create_task(self._ask(node), name=f"scrape {node.name}"))
            self._answers[node.name] = last
        return last.scrape

    async def _ask(self, node: Node) -> Scrape:
        host = f"[{node.address}]" if ":" in node.address else node.address
        access = replace(self._access, server=f"https://{host}:{node.port}")
        try:
            async with self._slots, asyncio.timeout(_SECONDS), Connection.to(access, limit=1) as connection:
                scrape = await _fetch(connection)
        except aiohttp.ClientConnectorCertificateError:
            scrape = Scrape(datetime.now(UTC), failure="scrape-certificate")
        except TimeoutError:
            scrape = Scrape(datetime.now(UTC), failure="scrape-timeout")
        except (aiohttp.ClientError, OSError):
            scrape = Scrape(datetime.now(UTC), failure="scrape-connection")
        self._metrics.scrapes.labels(scrape.failure or "ok").inc()
        if scrape.failure:
            _log.warning("kubelet not scraped", node=node.name, failure=scrape.failure)
        return scrape


async def _fetch(connection: Connection) -> Scrape:
    url = f"{connection.server}/metrics/cadvisor"
    async with connection.session.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            return Scrape(datetime.now(UTC), failure=f"scrape-http-{answer.status}")
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > _BODY_LIMIT:
                return Scrape(datetime.now(UTC), failure="scrape-too-large")
        node_time = _date(answer.headers.get("Date"))
    now = datetime.now(UTC)
    return Scrape(now, node_time or now.timestamp(), parse_cadvisor(body.decode("utf-8", "replace")))


def _date(header: str | None) -> float | None:
    """The node's own clock: samples bear its stamps, and its clock need not be ours (RFC 9110 section 6.6.1)."""
    try:
        return email.utils.parsedate_to_datetime(header).timestamp() if header else None
    except ValueError:
        return None
