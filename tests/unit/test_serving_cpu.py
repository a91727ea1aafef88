"""Inference runs on as many threads as the container may use cores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from verticalmodel.serving import cpu
from verticalmodel.serving.cpu import CPULimitError, cgroup_quota, thread_count


@pytest.fixture(autouse=True)
def sixty_four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))


def written(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_the_declared_limit_counts(tmp_path: Path) -> None:
    """The downward API's whole cores win over whatever the cgroup says."""
    assert thread_count({"CPU_LIMIT": "3"}, written(tmp_path, cpu_DOT_max="100000 100000\n")) == 3


def test_a_declared_limit_beyond_the_machine_is_the_machine(tmp_path: Path) -> None:
    """More threads than cores only wait for each other."""
    assert thread_count({"CPU_LIMIT": "128"}, tmp_path) == 64


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "500m", "two", "²"])
def test_a_limit_that_is_no_whole_number_is_refused(value: str, tmp_path: Path) -> None:
    """The message names the variable, the value and what is allowed."""
    with pytest.raises(CPULimitError, match=r"CPU_LIMIT is .*whole cores, 1 or more"):
        thread_count({"CPU_LIMIT": value}, tmp_path)


@pytest.mark.parametrize(
    ("files", "quota", "threads"),
    [
        ({"cpu_DOT_max": "150000 100000\n"}, 1.5, 2),
        ({"cpu_DOT_max": "10000 100000\n"}, 0.1, 1),
        ({"cpu_DOT_max": "max 100000\n"}, None, 64),
        ({"cpu__cpu_DOT_cfs_quota_us": "200000\n", "cpu__cpu_DOT_cfs_period_us": "100000\n"}, 2.0, 2),
        ({"cpu__cpu_DOT_cfs_quota_us": "-1\n", "cpu__cpu_DOT_cfs_period_us": "100000\n"}, None, 64),
        ({}, None, 64),
    ],
    ids=["v2", "v2 under a core", "v2 unlimited", "v1", "v1 unlimited", "none"],
)
def test_without_a_declaration_the_cgroup_counts(
    files: dict[str, str], quota: float | None, threads: int, tmp_path: Path
) -> None:
    """Both cgroup versions, rounded up to whole threads; no limit means the cores we may run on."""
    root = written(tmp_path, **files)
    assert (cgroup_quota(root), thread_count({}, root)) == (quota, threads)


def test_the_default_is_this_containers_own_cgroup() -> None:
    """The mount that every container runtime provides."""
    assert Path("/sys/fs/cgroup") == cpu.CGROUP_ROOT
