"""Claims about the command line, the records on disk and what health means; no cluster is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testcluster import cli, cluster, layout, limits, packages, records, subjects
from testcluster.errors import UsageError
from testcluster.health import not_ready
from testcluster.layout import Layout, Shape
from testcluster.records import Record

NODES = Layout("demo", 7, Shape(nodes=2)).nodes


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State folders of the test's own: the machine's real clusters must not show."""
    for name in ("STATE_ROOT", "MEMORY_ROOT", "LOCK_ROOT"):
        monkeypatch.setattr(layout, name, tmp_path / name)
    return tmp_path / "STATE_ROOT"


def status(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert cli.main(["status", "-o", "json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "command",
    [
        [],
        *([name] for name in ("up", "down", "status", "kubeconfig", "load-image", "logs", "node", "build", "packages")),
    ],
    ids=lambda command: " ".join(command) or "top",
)
def test_every_command_teaches_its_use(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) > 4
    assert "%(default)s" not in said


def test_packages_are_printed_one_a_line_for_apt(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["packages"]) == 0
    assert capsys.readouterr().out.split() == list(packages.PACKAGES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["up", "--name", "No"], "cluster name 'No': use 1 to 20 of"),
        (["up", "--nodes", "99"], "nodes: 99 is not in 0..20"),
        (["kubeconfig"], "there is no cluster 'vm': `hack/cluster up --name vm` makes one"),
        (["node", "poweroff", "node1"], "there is no cluster 'vm'"),
        (["load-image", "x.tar"], "there is no cluster 'vm'"),
        (["logs"], "there is no cluster 'vm'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_request_that_cannot_be_met_is_one_line_and_status_2(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.splitlines()) == 1


def test_someone_else_than_root_is_told_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert cli.main(["down"]) == 2
    assert capsys.readouterr().err == (
        "hack/cluster: root is needed for namespaces, mounts and cgroups: run `sudo hack/cluster ...`\n"
    )


def test_a_machine_without_the_packages_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_PROOFS", {"no-such-program": "b-package", "/no/such/file": "a-package"})
    with pytest.raises(UsageError, match="run `apt-get install --no-install-recommends a-package b-package`"):
        packages.check_installed()


def test_status_of_nothing_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(capsys) == []


def test_what_was_left_half_made_is_shown_with_its_remedy(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (state / "demo").mkdir(parents=True)
    expected = {"name": "demo", "healthy": False, "problems": ["left half-made: `up` or `down` removes it"]}
    assert status(capsys) == [expected]


def test_a_record_survives_the_disk(state: Path) -> None:
    record = Record(Layout("demo", 7, Shape(2, "disk", "1.37")), "creating", "/bundle").up().switched("node2", on=False)
    record.save()
    assert Record.load("demo") == record
    assert [path.name for path in (state / "demo").iterdir()] == ["cluster.json"]
    assert record.switched("node2", on=False).switched("node2", on=True).powered_off == ()


@pytest.mark.parametrize("content", ["", "{", None])
def test_a_torn_record_is_no_record(content: str | None, state: Path) -> None:
    (state / "demo").mkdir(parents=True)
    if content is not None:
        (state / "demo" / "cluster.json").write_text(content)
    assert Record.load("demo") is None
    assert records.names() == ["demo"]


def test_two_clusters_get_two_slots() -> None:
    def first_free(taken: set[int]) -> int:
        return min(set(range(9)) - taken)

    slots = [records.reserve(name, Shape(), "/bundle", first_free).layout.slot for name in ("a", "b", "a")]
    assert slots == [0, 1, 0], "a name that is made anew does not stand in its own way"


def test_forgetting_leaves_nothing_once_the_last_cluster_is_gone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        records.reserve(name, Shape(), "/bundle", len)
    records.forget("a")
    assert records.names() == ["b"]
    records.forget("b")
    records.forget("b")
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_that_was_never_completed_is_not_found() -> None:
    records.reserve("demo", Shape(), "/bundle", len)
    with pytest.raises(UsageError, match="there is no cluster 'demo'"):
        cluster.Cluster.find("demo")
    assert cluster.Cluster.of_any_state("demo").name == "demo"


def test_inotify_instances_are_raised_and_never_lowered(tmp_path: Path) -> None:
    path, said = tmp_path / "max_user_instances", list[str]()
    path.write_text("128\n")
    limits.raise_inotify(said.append, path)
    assert path.read_text() == "8192\n"
    path.write_text("10000\n")
    limits.raise_inotify(said.append, path)
    assert path.read_text() == "10000\n"
    assert said == ["raised fs.inotify.max_user_instances from 128 to 8192"]


def test_a_node_is_ready_only_if_it_says_so() -> None:
    def node(name: str, **status: str) -> dict[str, Any]:
        conditions = [{"type": kind, "status": value} for kind, value in status.items()]
        return {"metadata": {"name": name}, "status": {"conditions": conditions}}

    mute = {"metadata": {"name": "mute"}}
    nodes = [node("good", Ready="True"), node("bad", Ready="False"), node("lost", Ready="Unknown"), mute]
    assert not_ready([*nodes, node("other", MemoryPressure="True")]) == ["bad", "lost", "mute", "other"]


def test_a_cluster_is_proven_with_restricted_pods_on_each_node() -> None:
    pods = {m["metadata"]["name"]: m["spec"] for m in subjects.manifests(NODES) if m["kind"] == "Pod"}
    assert set(pods) == {"server-node1", "server-node2", "allowed", "stranger"}
    placed = {
        name: spec["nodeSelector"]["kubernetes.io/hostname"] for name, spec in pods.items() if "nodeSelector" in spec
    }
    assert placed == {"server-node1": "node1", "server-node2": "node2"}
    assert {name for name, spec in pods.items() if not spec["hostUsers"]} == {"stranger"}
    for spec in pods.values():
        assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        (container,) = spec["containers"]
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
