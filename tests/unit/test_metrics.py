"""Claims about the metrics, and about the server that shows them beside the health checks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from verticalmodel.kube.health import not_silent, serve_health
from verticalmodel.kube.resources import Key
from verticalmodel.shell.metrics import Metrics
from verticalmodel.shell.queue import WorkQueue

A, B = Key("d", "a"), Key("d", "b")


def series(metrics: Metrics, prefix: str) -> dict[str, float]:
    """Value by series, of one family."""
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if line.startswith(f"verticalmodel_{prefix}"))
    }


def test_conditions_are_one_number_each() -> None:
    metrics = Metrics("1")
    metrics.conditions(A, {"Ready": "True", "Compliant": "Unknown", "TransportEncrypted": "False"})
    assert series(metrics, "condition_status") == {
        'verticalmodel_condition_status{condition="Ready",name="a",namespace="d"}': 1.0,
        'verticalmodel_condition_status{condition="Compliant",name="a",namespace="d"}': -1.0,
        'verticalmodel_condition_status{condition="TransportEncrypted",name="a",namespace="d"}': 0.0,
    }


def test_a_condition_that_went_away_loses_its_series() -> None:
    metrics = Metrics("1")
    metrics.conditions(A, {"Ready": "True", "Exposed": "True"})
    metrics.conditions(A, {"Ready": "False"})
    assert series(metrics, "condition_status") == {
        'verticalmodel_condition_status{condition="Ready",name="a",namespace="d"}': 0.0
    }


def test_a_deleted_model_loses_its_series_and_others_keep_theirs() -> None:
    metrics = Metrics("1")
    for model in (A, B):
        metrics.conditions(model, {"Ready": "True"})
    metrics.forget(A)
    assert list(series(metrics, "condition_status")) == [
        'verticalmodel_condition_status{condition="Ready",name="b",namespace="d"}'
    ]


def test_a_replica_that_no_longer_leads_tells_nothing_of_models() -> None:
    metrics = Metrics("1")
    metrics.leads(leads=True)
    metrics.conditions(A, {"Ready": "True"})
    metrics.clear()
    metrics.leads(leads=False)
    assert series(metrics, "condition_status") == {}
    assert series(metrics, "leader") == {"verticalmodel_leader": 0.0}


def test_work_and_requests_are_counted() -> None:
    metrics = Metrics("1")
    metrics.worked(0.02, "success")
    metrics.worked(0.02, "error")
    metrics.waited(0.001)
    metrics.retried()
    metrics.requested("get", "pods", "200", 0.01)
    metrics.requested("watch", "pods", "200", 400.0)
    assert series(metrics, "reconcile_duration_seconds_count") == {
        'verticalmodel_reconcile_duration_seconds_count{outcome="success"}': 1.0,
        'verticalmodel_reconcile_duration_seconds_count{outcome="error"}': 1.0,
    }
    assert series(metrics, "reconcile_retries") == {"verticalmodel_reconcile_retries_total": 1.0}
    assert series(metrics, "api_request_duration_seconds_count") == {
        'verticalmodel_api_request_duration_seconds_count{code="200",resource="pods",verb="get"}': 1.0
    }


async def test_queue_depth_is_read_at_the_scrape() -> None:
    metrics = Metrics("1")

    async def work(_key: Key) -> None:
        return None

    queue: WorkQueue[Key] = WorkQueue(work)
    metrics.watch_queue(queue)
    queue.add(A)
    queue.add_after(B, 60)
    assert series(metrics, "queue_depth") == {
        'verticalmodel_queue_depth{state="ready"}': 1.0,
        'verticalmodel_queue_depth{state="running"}': 0.0,
        'verticalmodel_queue_depth{state="delayed"}': 1.0,
    }
    await queue.stop()


def test_both_text_formats_can_be_written() -> None:
    metrics = Metrics("1.2.3")
    metrics.conditions(A, {"Ready": "True"})
    for write in (generate_latest, generate_openmetrics):
        text: bytes = write(metrics.registry)
        assert b'verticalmodel_condition_status{condition="Ready",name="a",namespace="d"} 1.0' in text
        assert b'verticalmodel_build_info{version="1.2.3"} 1.0' in text


def test_two_processes_in_one_interpreter_do_not_share_series() -> None:
    first, second = Metrics("1"), Metrics("2")
    first.retried()
    assert series(second, "reconcile_retries") == {"verticalmodel_reconcile_retries_total": 0.0}


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def test_a_failing_check_turns_its_path_bad_and_names_itself() -> None:
    state = {"leader": ""}
    checks: dict[str, Any] = {"loop": lambda: "", "leader": lambda: state["leader"]}
    async with serve_health(0, live=checks, ready={}, registry=CollectorRegistry(), host="127.0.0.1") as port:
        assert await get(port, "/livez") == (200, "[+]loop\n[+]leader\n")
        state["leader"] = "stuck"
        assert await get(port, "/livez") == (503, "[+]loop\n[-]leader: stuck\n")
        assert (await get(port, "/readyz"))[0] == 200


async def test_metrics_are_served_as_the_scraper_asks() -> None:
    metrics = Metrics("1")
    async with serve_health(0, live={}, ready={}, registry=metrics.registry, host="127.0.0.1") as port:
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/metrics", headers=accept) as response:
                assert (await response.text()).endswith("# EOF\n")
            async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
                assert response.headers["Content-Type"].startswith("text/plain")


async def test_the_port_is_free_again_afterwards() -> None:
    for _ in range(2):
        async with serve_health(0, live={}, ready={}, registry=CollectorRegistry(), host="127.0.0.1") as port:
            pass
        with pytest.raises(aiohttp.ClientConnectionError):
            await get(port, "/livez")


async def test_a_stuck_event_loop_does_not_answer() -> None:
    client = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 0.2); s.settimeout(0.2)"
    request = "s.sendall(b'GET /livez HTTP/1.0\\r\\n\\r\\n'); s.recv(1)"
    async with serve_health(0, live={}, ready={}, registry=CollectorRegistry(), host="127.0.0.1") as port:
        command = [sys.executable, "-I", "-S", "-c", f"{client}; {request}", str(port)]
        # Waiting for the client without a thread is what sticks the loop.
        stuck = subprocess.run(command, capture_output=True, check=False)  # noqa: ASYNC221
        assert b"TimeoutError" in stuck.stderr
        answered = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
        assert answered.returncode == 0


def test_silence_beyond_its_limit_is_named() -> None:
    silent = [3.0]
    check = not_silent("the leader loop", lambda: silent[0], 15.0)
    assert check() == ""
    silent[0] = 20.4
    assert check() == "the leader loop has been silent for 20 s, allowed are 15 s"
