"""Claims about building and caching the components, with a compiler that is a shell script."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from testcluster import build
from testcluster.build import Builder, Component, Toolchain, components, kubernetes_versions
from testcluster.errors import CommandError, UsageError

COMPILER = """\
#!/bin/sh
# Called as: go build FLAGS -o TARGET PACKAGE, in the module's folder.
echo "$@" >> "$(dirname "$0")/calls"
[ ! -e fail ] || { echo "main.go:1: no" >&2; exit 1; }
while [ "$1" != -o ]; do shift; done
echo "built from $(cat main.go)" > "$2"
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(build, "MODULES", tmp_path / "go")
    folder = tmp_path / "go" / "demo"
    folder.mkdir(parents=True)
    (folder / "main.go").write_text("first")
    return folder


@pytest.fixture
def toolchain(tmp_path: Path) -> Toolchain:
    command = tmp_path / "bin" / "go"
    command.parent.mkdir()
    command.write_text(COMPILER)
    command.chmod(0o755)
    return Toolchain(str(command), "go1.26.8")


def calls(toolchain: Toolchain) -> list[str]:
    log = Path(toolchain.command).with_name("calls")
    return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def busybox(tmp_path: Path) -> Path:
    path = tmp_path / "busybox"
    path.write_text("#!/bin/sh\necho sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def builder(tmp_path: Path, toolchain: Toolchain, busybox: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    monkeypatch.setattr(build, "components", lambda _: (Component("pause"), Component("coredns"), Component("demo")))
    monkeypatch.setattr(build, "_busybox", lambda: busybox)
    for name in ("pause", "coredns"):
        (tmp_path / "go" / name).mkdir(parents=True)
        (tmp_path / "go" / name / "main.go").write_text(name)
    return Builder(tmp_path / "cache", toolchain, lambda _: None)


def test_a_second_build_runs_no_compiler(module: Path, builder: Builder, toolchain: Toolchain) -> None:
    first = builder.bundle("1.37")
    assert sorted(path.name for path in first.iterdir()) == ["coredns", "demo", "images", "pause"]
    assert (first / "demo").read_text() == "built from first\n"
    assert sorted(path.name for path in (first / "images").iterdir()) == [
        "busybox-1.tar",
        "coredns-1.tar",
        "pause-1.tar",
    ]
    assert builder.bundle("1.37") == first
    assert len(calls(toolchain)) == 3


def test_a_changed_source_file_is_another_bundle_and_rebuilds_its_component_only(
    module: Path,
    builder: Builder,
    toolchain: Toolchain,
) -> None:
    first = builder.bundle("1.37")
    (module / "main.go").write_text("second")
    second = builder.bundle("1.37")
    assert second != first
    assert (second / "demo").read_text() == "built from second\n"
    assert len(calls(toolchain)) == 4


@pytest.mark.parametrize("change", ["source", "flags", "compiler", "file"])
def test_a_key_covers_whatever_changes_the_program(change: str, module: Path) -> None:
    component, version = Component("demo"), "go1.26.8"
    before = build.key(component, version)
    assert build.key(component, version) == before
    if change == "source":
        (module / "main.go").write_text("second")
    elif change == "file":
        (module / "go.sum").write_text("")
    elif change == "flags":
        component = Component("demo", tags="seccomp")
    else:
        version = "go1.26.9"
    assert build.key(component, version) != before


def test_a_failed_build_says_what_the_compiler_said_and_leaves_nothing_to_be_taken_for_a_program(
    module: Path,
    builder: Builder,
) -> None:
    (module / "fail").touch()
    with pytest.raises(CommandError, match=r"main\.go:1: no"):
        builder.bundle("1.37")
    assert not list((builder.cache / "components").glob("demo-*"))
    assert not (builder.cache / "bundles").exists()
    (module / "fail").unlink()
    assert (builder.bundle("1.37") / "demo").exists()


def test_what_an_interrupted_build_left_is_not_used(module: Path, builder: Builder, toolchain: Toolchain) -> None:
    partial = builder.cache / "components" / f".demo-{build.key(Component('demo'), toolchain.version)}.partial"
    partial.mkdir(parents=True)
    (partial / "demo").write_text("half")
    assert (builder.bundle("1.37") / "demo").read_text() == "built from first\n"
    assert not partial.exists()


def test_two_callers_at_once_build_once(module: Path, builder: Builder, toolchain: Toolchain) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(builder.bundle("1.37"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(calls(toolchain)) == 3


def test_an_unknown_kubernetes_version_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"Kubernetes '1\.20': this repository builds .*1\.37"):
        components("1.20")


def test_every_component_is_a_module_with_locked_dependencies() -> None:
    for version in kubernetes_versions():
        for component in components(version):
            files = {path.name for path in component.folder.iterdir()}
            assert "go.mod" in files, component.name
            assert component.name == "pause" or "go.sum" in files, component.name


def test_kubernetes_is_stamped_with_the_version_that_its_module_requires() -> None:
    (kube,) = (component for component in components("1.37") if component.name.startswith("kube-1"))
    assert kube.ldflags == (
        "-X k8s.io/component-base/version.gitVersion=v1.37.2",
        "-X k8s.io/component-base/version.gitMajor=1",
        "-X k8s.io/component-base/version.gitMinor=37",
    )


def test_a_machine_without_go_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(UsageError, match=r"no Go 1\.26 or newer: put `go` in PATH, or run"):
        Toolchain.find()
