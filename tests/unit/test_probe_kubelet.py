"""Scrapes of kubelets: verified, shared, and harmless where they fail."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from unit.probe_servers import Handler, Page, authority, context, listening, plain, web
from verticalmodel.kube.kubeconfig import Access
from verticalmodel.probe.kubelet import Kubelets
from verticalmodel.probe.metrics import Metrics
from verticalmodel.probe.sandbox import Scrape
from verticalmodel.probe.world import Node

RECORDED = (Path(__file__).parent / "probe_data/cadvisor_cgroupv1.txt").read_bytes()
GUARD = "fb667a7724d8ae8845a1019a374c3c7a6fb94fb38da49f5a7f18e169495f1e21"


def serving(page: Page, name: str = "127.0.0.1") -> Handler:
    return web(context(certificate=authority().issue(name)), page)


def kubelets(metrics: Metrics | None = None, *, interval: float = 60.0, ca: Path | None = None) -> Kubelets:
    access = Access("https://unused.invalid", ca_pem=authority().pem, token="secret-token")
    return Kubelets(access, ca=ca, interval=interval, metrics=metrics or Metrics())


async def scraped(handle: Handler) -> Scrape:
    with listening(handle) as (host, port):
        return (await kubelets().scrape([Node("n", host, port)]))["n"]


async def test_the_cgroups_of_a_node_are_read_with_our_token_and_the_nodes_clock() -> None:
    asked: list[tuple[str, str]] = []

    def page(method: str, path: str, _body: bytes) -> tuple[int, bytes]:
        asked.append((method, path))
        return 200, RECORDED

    found = await scraped(serving(page))

    assert asked == [("GET", "/metrics/cadvisor")]
    assert found.failure == ""
    assert GUARD in found.cgroups.containers
    assert abs(found.node_time - found.taken.timestamp()) < 60


async def test_one_scrape_serves_all_who_ask_at_the_same_time_and_soon_after() -> None:
    count = 0

    def page(*_: object) -> tuple[int, bytes]:
        nonlocal count
        count += 1
        return 200, RECORDED

    metrics = Metrics()
    with listening(serving(page)) as (host, port):
        shared = kubelets(metrics)
        node = Node("n", host, port)
        found = await asyncio.gather(*(shared.scrape([node]) for _ in range(10)))
        again = await shared.scrape([node])

    assert count == 1
    assert all(one["n"] is again["n"] for one in found)
    assert metrics.registry.get_sample_value("verticalmodel_prober_scrapes_total", {"outcome": "ok"}) == 1


async def test_an_asker_that_gives_up_does_not_take_the_answer_from_the_others() -> None:
    release = threading.Event()

    def page(*_: object) -> tuple[int, bytes]:
        release.wait(30)
        return 200, RECORDED

    with listening(serving(page)) as (host, port):
        shared, node = kubelets(), Node("n", host, port)
        impatient = asyncio.create_task(shared.scrape([node]))
        patient = asyncio.create_task(shared.scrape([node]))
        await asyncio.sleep(0.1)  # until both wait; were it shorter, the claim would only be weaker
        impatient.cancel()
        release.set()
        found = await patient

    assert found["n"].failure == ""
    assert impatient.cancelled()


@pytest.mark.parametrize(
    ("handle", "failure"),
    [
        (serving(lambda *_: (403, b"no")), "scrape-http-403"),
        (serving(lambda *_: (302, b"")), "scrape-http-302"),
        (serving(lambda *_: (200, b""), name="127.0.0.9"), "scrape-certificate"),
        (
            web(context(certificate=authority("impostor").issue("127.0.0.1")), lambda *_: (200, b"")),
            "scrape-certificate",
        ),
        (plain(), "scrape-connection"),
    ],
    ids=["forbidden", "redirect", "another address", "another authority", "no TLS"],
)
async def test_what_is_not_the_kubelets_verified_answer_is_a_failure(handle: Handler, failure: str) -> None:
    found = await scraped(handle)

    assert (found.failure, found.cgroups.containers) == (failure, {})


async def test_a_kubelet_of_another_authority_is_trusted_where_it_is_named(tmp_path: Path) -> None:
    ca = tmp_path / "kubelet-ca.crt"
    ca.write_text(authority("kubelets").pem)
    handle = web(context(certificate=authority("kubelets").issue("127.0.0.1")), lambda *_: (200, RECORDED))
    with listening(handle) as (host, port):
        found = await kubelets(ca=ca).scrape([Node("n", host, port)])

    assert found["n"].failure == ""


async def test_nodes_that_are_gone_are_forgotten_and_asked_anew_when_they_return() -> None:
    with listening(serving(lambda *_: (200, RECORDED))) as (host, port):
        shared, node = kubelets(), Node("n", host, port)
        first = await shared.scrape([node])
        shared.forget(["other"])
        second = await shared.scrape([node])

    assert first["n"] is not second["n"]


def test_metrics_of_two_probers_in_one_process_do_not_collide() -> None:
    assert isinstance(Metrics().registry, CollectorRegistry)
    assert Metrics().registry is not Metrics().registry
