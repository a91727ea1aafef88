"""The init container as the kubelet sees it: arguments in, an exit status, a bounded report, a folder or none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from unit.probe_servers import authority
from unit.seal_artifacts import MIB, OTHER_KEY, World, content
from unit.seal_servers import Behaviour, serving
from verticalmodel.seal.__main__ import main
from verticalmodel.seal.reasons import Reason
from verticalmodel.seal.report import MAX_REPORT_BYTES, Report, Seconds, encode, parse

FILES = {"model.onnx": content(3 * MIB, "m")}


class Container:
    """The entry point as a process of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = world.root / "termination-log"
        self.target = world.root / "volume" / "artifact"
        self.target.parent.mkdir()

    def command(self, *more: object, source: str = "pvc://claim/sealed") -> list[str]:
        fixed = ["--source", source, "--mount", self.world.root, "--target", self.target, "--report", self.log]
        return [sys.executable, "-P", "-m", "verticalmodel.seal", *map(str, [*fixed, *more])]

    def run(self, *more: object, source: str = "pvc://claim/sealed") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*more, source=source), capture_output=True, text=True, check=False, env=_environment()
        )

    def report(self) -> Report:
        report = parse(self.log.read_text())
        assert report is not None
        return report


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "operator")}


@pytest.fixture
def container(tmp_path: Path) -> Container:
    world = World(tmp_path)
    world.seal(FILES)
    return Container(world)


def test_a_check_exits_as_a_delivery_would_and_makes_nothing(container: Container) -> None:
    world = container.world
    assert container.run("--key", world.key(), "--check").returncode == 0
    assert container.report().reason is Reason.FOUND
    assert container.run("--key", world.key(), "--check", source="pvc://claim/absent").returncode == 1
    assert container.report().reason is Reason.SOURCE_NOT_FOUND
    assert not container.target.exists()


def test_a_delivery_exits_0_with_a_report(container: Container) -> None:
    world = container.world
    done = container.run("--key", world.key(), "--digest", world.digest, "--memory-limit", 2**30, "--cpus", 2)

    report = container.report()
    assert (done.returncode, report.reason, report.sealed) == (0, Reason.UNSEALED, True), done.stdout + done.stderr
    assert (report.digest, report.artifact, report.bytes) == (world.digest, world.manifest.artifact, 3 * MIB)
    assert json.loads(container.log.read_text())["outcome"] == "Succeeded"
    assert world.delivered() == FILES
    assert report.seconds.total >= report.seconds.fetched + report.seconds.unsealed - 0.002 > 0


def test_a_refusal_exits_1_with_a_report(container: Container) -> None:
    done = container.run("--key", container.world.key(OTHER_KEY))

    assert (done.returncode, container.report().reason) == (1, Reason.KEY_WRONG)
    assert json.loads(container.log.read_text())["outcome"] == "Refused"
    assert not container.target.exists()


def test_logs_are_json_lines_without_the_key(container: Container) -> None:
    key = container.world.key()
    done = container.run("--key", key)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in lines][-1] == "finished"
    assert all({"ts", "level"} <= line.keys() for line in lines)
    assert key.read_bytes().hex() not in done.stdout + done.stderr + container.log.read_text()


@pytest.mark.parametrize(
    "wrong",
    [["--digest", "sha256:abc"], ["--memory-limit", "1Gi"], ["--cpus", "0"], ["--size-limit", "-1"], ["--unknown"]],
)
def test_wrong_arguments_exit_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--source", "pvc://claim/sealed", "--target", "/nowhere/artifact", *wrong])

    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_a_signal_is_reported_and_leaves_nothing(container: Container) -> None:
    """Stopped while a server keeps it waiting."""
    behaviour = Behaviour(stalls=1, stall_seconds=1.0)
    secret = container.world.root / "secret"
    secret.mkdir()
    with serving(container.world.root, behaviour) as url:
        (secret / "ca.crt").write_text(authority().pem)
        command = container.command("--key", container.world.key(), "--credentials", secret, source=f"{url}/sealed")
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment()) as process:
            assert behaviour.began.wait(20)
            process.send_signal(signal.SIGTERM)
            status = process.wait(30)

    assert (status, container.report().reason) == (1, Reason.INTERRUPTED)
    assert list(container.target.parent.iterdir()) == []


def test_an_unforeseen_failure_is_reported_by_its_kind_only(container: Container) -> None:
    (container.world.root / "file").write_text("")
    container.target = container.world.root / "file" / "artifact"

    done = container.run("--key", container.world.key())

    assert (done.returncode, container.report().reason) == (1, Reason.INTERNAL_ERROR)
    assert "NotADirectoryError" in container.report().message


def test_a_report_never_exceeds_what_the_kubelet_keeps() -> None:
    """Also with a message of characters that take many bytes each."""
    report = Report(reason=Reason.CORRUPTED, message="\N{GRINNING FACE}\x01" * 512, seconds=Seconds(total=1))

    assert len(encode(report)) <= MAX_REPORT_BYTES
    again = parse(encode(report).decode())
    assert again is not None
    assert again.message
    assert again.reason is Reason.CORRUPTED


@pytest.mark.parametrize(
    "text", ["", "Killed", "{}", '{"reason": "Fine"}', "[]", '{"reason": "Unsealed", "files": -1}']
)
def test_what_is_no_report_is_none(text: str) -> None:
    assert parse(text) is None


def test_a_report_of_a_later_version_is_still_read() -> None:
    report = parse('{"reason": "Unsealed", "sealed": true, "bytes": 5, "novelty": [1]}')

    assert report is not None
    assert (report.succeeded, report.bytes) == (True, 5)
