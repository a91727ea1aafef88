"""Claims about finding and ending processes: never the wrong one, and really gone."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from testcluster.cgroups import Hierarchies
from testcluster.errors import ClusterError, CommandError, TimedOutError
from testcluster.locks import locked
from testcluster.processes import Process, end, run

VERSION_1 = """\
23 1 254:0 / / rw,relatime - ext4 /dev/vda rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
VERSION_2 = """\
23 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw
41 31 0:38 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_process_is_itself_until_it_ends(sleeper: subprocess.Popen[bytes]) -> None:
    process = Process.of(sleeper.pid)
    assert process is not None
    assert process.command == "sleep"
    end([process])
    assert Process.of(sleeper.pid) is None, "a zombie counts as ended"
    assert not process.alive


def test_a_recycled_id_is_not_killed(sleeper: subprocess.Popen[bytes]) -> None:
    process = Process.of(sleeper.pid)
    assert process is not None
    predecessor = replace(process, started=process.started - 1)
    assert not predecessor.alive
    assert predecessor.kill() is None
    assert process.alive


def test_ending_what_has_ended_is_fine(sleeper: subprocess.Popen[bytes]) -> None:
    process = Process.of(sleeper.pid)
    assert process is not None
    end([process])
    end([process])


def test_a_helper_that_fails_says_what_it_said() -> None:
    with pytest.raises(CommandError, match="sh -c echo no >&2; exit 3 ended with status 3: no") as failure:
        run(["sh", "-c", "echo no >&2; exit 3"])
    assert failure.value.status == 3


def test_a_helper_that_hangs_is_given_up() -> None:
    with pytest.raises(TimedOutError, match="sleep 60 did not end within 0 s"):
        run(["sleep", "60"], timeout=0.05)


def test_helpers_do_not_inherit_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's KUBECONFIG or proxy settings must not reach a component."""
    monkeypatch.setenv("KUBECONFIG", "/elsewhere")
    names = {line.partition("=")[0] for line in run(["env"]).splitlines()}
    assert names == {"PATH", "HOME", "LC_ALL"}


def test_hierarchies_of_version_1_are_tracked_by_the_freezer() -> None:
    parsed = Hierarchies.parse(VERSION_1)
    folder = Path("/sys/fs/cgroup")
    mounts = (folder / "cpu,cpuacct", folder / "freezer", folder / "unified")
    assert parsed == Hierarchies(mounts, folder / "freezer", unified=False)


def test_version_2_is_one_hierarchy() -> None:
    folder = Path("/sys/fs/cgroup")
    assert Hierarchies.parse(VERSION_2) == Hierarchies((folder,), folder, unified=True)


def test_a_machine_without_cgroups_is_told_so() -> None:
    with pytest.raises(ClusterError, match="no cgroup hierarchy is mounted"):
        Hierarchies.parse(VERSION_1.splitlines()[0])


def test_a_new_cpuset_inherits_and_a_delegated_controller_is_passed_on(tmp_path: Path) -> None:
    """An empty cpuset takes no process; version 2 shows a controller only where the parent passes it on."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu memory misc\n")
    (tmp_path / "cgroup.subtree_control").write_text("")
    Hierarchies((tmp_path,), tmp_path, unified=True).make("/demo")
    assert (tmp_path / "demo").is_dir()
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +cpuset +memory"


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (2, {"memory.max": "67108864", "cpu.max": "50000 100000", "pids.max": "512"}),
        (
            1,
            {
                "memory/memory.limit_in_bytes": "67108864",
                "cpu/cpu.cfs_quota_us": "50000",
                "cpu/cpu.cfs_period_us": "100000",
                "pids/pids.max": "512",
            },
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_limits_read_the_same_from_both_versions(version: int, files: dict[str, str], tmp_path: Path) -> None:
    for name, content in files.items():
        path = tmp_path / Path(name).parent / "pod" / Path(name).name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(f"{content}\n")
    tracking = tmp_path if version == 2 else tmp_path / "freezer"
    groups = Hierarchies((tmp_path,), tracking, unified=version == 2)
    assert groups.limits("/pod") == {"memory": 64 * 2**20, "cpu": 0.5, "pids": 512}


def test_no_limit_is_infinite(tmp_path: Path) -> None:
    for name, content in {"memory.max": "max", "cpu.max": "max 100000", "pids.max": "max"}.items():
        (tmp_path / name).write_text(content)
    infinite = Hierarchies((tmp_path,), tmp_path, unified=True).limits("/")
    assert infinite == {"memory": math.inf, "cpu": math.inf, "pids": math.inf}


def test_removing_a_cgroup_that_is_gone_is_fine(tmp_path: Path) -> None:
    groups = Hierarchies((tmp_path,), tmp_path, unified=False)
    (tmp_path / "demo" / "node1" / "host").mkdir(parents=True)
    groups.remove("/demo")
    groups.remove("/demo")
    assert groups.folders("/demo") == []
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_held_by_one_only(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "vm.lock"
    with (
        locked(path, timeout=1),
        pytest.raises(TimedOutError, match=rf"still held after 0 s by process {os.getpid()} \("),
        locked(path, timeout=0),
    ):
        pytest.fail("two holders")


def test_an_orphaned_helper_still_holds_the_lock(tmp_path: Path) -> None:
    """So `down` does not start while a helper of a killed `up` is at work."""
    path = tmp_path / "vm.lock"
    program = textwrap.dedent(
        f"""
        import os, signal, subprocess, sys
        from pathlib import Path
        from testcluster.locks import locked
        with locked(Path({str(path)!r}), timeout=5) as hold:
            helper = subprocess.Popen(["sleep", "60"], pass_fds=(hold,), stdout=-3, stderr=-3)
            print(helper.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    helper = Process.of(int(done.stdout))
    assert helper is not None, done.stderr
    with pytest.raises(TimedOutError, match="a child of a process that has ended"), locked(path, timeout=0):
        pytest.fail("the helper is still at work")
    end([helper])
    with locked(path, timeout=5, remove=True):
        pass
    assert not path.exists()


def test_a_lock_file_that_was_removed_meanwhile_is_not_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "vm.lock"
    with locked(path, timeout=1, remove=True):
        pass
    assert not path.parent.exists()
    with locked(path, timeout=1), pytest.raises(TimedOutError), locked(path, timeout=0):
        pytest.fail("two holders")
