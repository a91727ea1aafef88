"""A pod without Kubernetes: containers of our images in one network namespace, as the kubelet would run them.

Numeric user without rights, read-only root, small memory /tmp, process 1 of its own PID namespace, one address that the
test connects to from outside. It starts in a second, so what the images do is tested apart from a cluster. Everything
dies with the test process, killed or not: processes by their parent-death signal, the link with the namespace.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagebuild.building import build
from imagebuild.engines import pick
from imagebuild.store import Built, Store
from installation import ROOT

USER = 65532
_MOUNT_POINTS = (
    *("dev", "proc", "sys", "tmp"),
    *("etc/guard/config", "etc/guard/tls", "run/guard"),
    *("mnt/model", "mnt/target", "mnt/source", "run/unseal/key"),
)
_ABANDONED_SECONDS = 3600
# What the container runtime does before it starts a container; arguments: SOURCE TARGET ro|rw ... -- COMMAND...
_ENTER = """
set -e
mount --bind "$ROOTFS" "$ROOTFS"
mount -t proc proc "$ROOTFS/proc"
mount --rbind /dev "$ROOTFS/dev"
mount --rbind /sys "$ROOTFS/sys"
mount -t tmpfs -o size=16m,mode=1777 tmpfs "$ROOTFS/tmp"
while [ "$1" != -- ]; do
  mount --bind "$1" "$ROOTFS$2"
  mount -o "remount,bind,$3" "$ROOTFS$2"
  shift 3
done
shift
mount -o remount,bind,ro "$ROOTFS"
exec "$@"
"""


@dataclass(frozen=True)
class Image:
    """An image unpacked to a folder, with its own environment and entry point."""

    rootfs: Path
    environment: Mapping[str, str]
    entrypoint: tuple[str, ...]


def built(name: str) -> Built:
    """The image of the present checkout, built if need be."""
    store = Store.default()
    return build(ROOT, store, pick(store), [name], lambda line: sys.stderr.write(f"{line}\n"))[name]


def image(name: str) -> Image:
    """The image of the present checkout, unpacked, with a runtime's mount points; shared by every run."""
    archived = built(name)
    folder = Store.default().root / "rootfs" / f"{name}-{archived.tag}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for other in folder.parent.glob("*-*"):
            if other != folder and other.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                shutil.rmtree(other)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
                _unpack(archived.archive, Path(partial) / "image")
                (Path(partial) / "image").rename(folder)
        for point in _MOUNT_POINTS:
            (folder / "rootfs" / point).mkdir(parents=True, exist_ok=True)
        os.utime(folder)
    config = json.loads((folder / "config.json").read_text())["config"]
    environment = dict(entry.split("=", 1) for entry in config["Env"])
    return Image(folder / "rootfs", environment, tuple(config["Entrypoint"]))


def _unpack(archive: Path, into: Path) -> None:
    """A docker-archive's layers on top of each other, and its config."""
    rootfs = into / "rootfs"
    rootfs.mkdir(parents=True)
    with tarfile.open(archive) as outer:
        manifest = json.load(outer.extractfile("manifest.json"))[0]
        (into / "config.json").write_bytes(outer.extractfile(manifest["Config"]).read())
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=outer.extractfile(layer)) as content:
                members = content.getmembers()
                assert not [member.name for member in members if "/.wh." in member.name], "a layer deletes files"
                content.extractall(rootfs, members, filter="fully_trusted")  # noqa: S202 (our own build)


def _child(pid: int) -> int:
    """The first child of a process. Raises ProcessLookupError when it has none."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    except (IndexError, FileNotFoundError):
        raise ProcessLookupError(pid) from None


@dataclass(frozen=True)
class Container:
    """A started container."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def pid(self) -> int:
        """The container's process 1, as the host counts. Raises ProcessLookupError when it has ended."""
        return _child(_child(self.process.pid))

    @property
    def lines(self) -> list[str]:
        """What it has written so far, standard output and error together."""
        return self.log.read_text().splitlines()

    def terminate(self) -> None:
        """SIGTERM to process 1, as the kubelet stops a container."""
        os.kill(self.pid, signal.SIGTERM)


@dataclass(frozen=True)
class Pod:
    """A network namespace with one address of its own."""

    address: str
    holder: int

    @contextmanager
    def run(
        self,
        image: Image,
        *arguments: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
        mounts: Sequence[tuple[Path, str, str]] = (),
        user: int = USER,
    ) -> Iterator[Container]:
        """Run the image's entry point with `arguments`; mounts are (source, path inside, ro or rw)."""
        inside = {**image.environment, **(environment or {})}
        call = [
            *("setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/proc/{self.holder}/ns/net"),
            # A change of user clears the parent-death signal, so the container's own process 1 has none. The first one
            # of the namespace around it keeps its signal, and takes everything inside along.
            *("unshare", "--pid", "--fork", "--kill-child"),
            *("unshare", "--mount", "--pid", "--fork", "sh", "-c", _ENTER, "sh"),
            *(part for source, target, mode in mounts for part in (str(source), target, mode)),
            *("--", "env", "-i", *(f"{name}={value}" for name, value in inside.items())),
            *("/usr/sbin/chroot", f"--userspec={user}:{user}", "--groups=", str(image.rootfs)),
            *image.entrypoint,
            *arguments,
        ]
        with log.open("w") as output:
            process = subprocess.Popen(
                call,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "ROOTFS": str(image.rootfs)},
                text=True,
            )
        try:
            yield Container(process, log)
        finally:
            process.kill()
            process.wait()


@contextmanager
def pod() -> Iterator[Pod]:
    """A fresh network namespace, linked to ours by a pair of addresses made from the number of its first process."""
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c", "echo; exec sleep infinity"],
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()  # the namespace exists from here on
        slot = holder.pid % (1 << 15) * 2
        host, inside = (f"10.79.{(slot + side) >> 8}.{(slot + side) & 255}" for side in (0, 1))
        link, enter = f"vmpod{holder.pid}", ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
        try:
            for call in (
                ["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid)],
                ["ip", "address", "add", f"{host}/31", "dev", link],
                ["ip", "link", "set", link, "up"],
                [*enter, "ip", "address", "add", f"{inside}/31", "dev", "eth0"],
                [*enter, "ip", "link", "set", "eth0", "up"],
                [*enter, "ip", "link", "set", "lo", "up"],
            ):
                subprocess.run(call, check=True)
            yield Pod(inside, holder.pid)
        finally:
            subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)
            holder.kill()
