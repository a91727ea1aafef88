"""Claim: Prometheus' own linter has nothing to say about our metrics. In this tier because promtool is fetched."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from verticalmodel.kube.resources import Key
from verticalmodel.shell.metrics import Metrics
from verticalmodel.shell.queue import WorkQueue

pytestmark = pytest.mark.apiserver

ROOT = Path(__file__).resolve().parents[2]


def lint(exposition: bytes) -> tuple[int, str]:
    promtool = subprocess.run([ROOT / "hack/promtool"], capture_output=True, text=True, check=True).stdout.strip()
    finished = subprocess.run([promtool, "check", "metrics"], input=exposition, capture_output=True, check=False)
    return finished.returncode, (finished.stdout + finished.stderr).decode()


def test_promtool_accepts_every_metric() -> None:
    async def work(_key: Key) -> None:
        return None

    metrics = Metrics("1")
    metrics.watch_queue(WorkQueue(work))
    metrics.worked(0.1, "success")
    metrics.waited(0.1)
    metrics.retried()
    metrics.requested("get", "pods", "200", 0.1)
    metrics.conditions(Key("d", "a"), {"Ready": "True"})
    assert lint(generate_latest(metrics.registry)) == (0, "")


def test_the_linter_does_find_faults() -> None:
    code, found = lint(b"# HELP requests Requests.\n# TYPE requests counter\nrequests 1\n")
    assert code != 0
    assert "_total" in found
