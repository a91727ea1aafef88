"""The programs that turn a Dockerfile into an archive: Docker or podman where there is one, else buildah alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imagebuild import base, client_config
from imagebuild.store import Built, Store

REGISTRY_BASE = "docker.io/library/python:3.11-slim"
"""The Dockerfiles' own default."""


class MissingProgramError(RuntimeError):
    """Nothing on this machine can build an image."""


class Engine(Protocol):
    """Builds one image from a frozen context."""

    @property
    def base(self) -> str:
        """What an image's first line names; part of its content hash."""
        ...

    def build(self, context: Path, dockerfile: str, built: Built) -> None:
        """Build and save to `built.archive`, whole or not at all. Raises CalledProcessError."""
        ...

    def forget(self, built: Built) -> None:
        """Drop the engine's own copy; layers that other images share stay."""
        ...


@dataclass(frozen=True)
class Daemon:
    """Docker, or podman, which takes the same arguments here; bases come from a registry."""

    program: str
    store: Store

    @property
    def base(self) -> str:
        return REGISTRY_BASE

    def build(self, context: Path, dockerfile: str, built: Built) -> None:
        with _secrets(self.store.scratch) as secrets, self.store.replacing(built.archive) as partial:
            _run([self.program, "build", "-f", dockerfile, "-t", built.reference, *secrets, "."], cwd=context)
            _run([self.program, "save", "-o", str(partial), built.reference], cwd=context)

    def forget(self, built: Built) -> None:
        subprocess.run([self.program, "rmi", built.reference], capture_output=True, check=False)


@dataclass(frozen=True)
class Buildah:
    """buildah with storage of its own, on a base made here; needs root, no daemon and no registry."""

    store: Store

    @property
    def base(self) -> str:
        return f"localhost/verticalmodel/base:{base.tag()}"

    def build(self, context: Path, dockerfile: str, built: Built) -> None:
        self._ensure_base()
        with _secrets(self.store.scratch) as secrets, self.store.replacing(built.archive) as partial:
            self._buildah(
                *("build", "--quiet", "--layers", "--network", "host", "--pull-never"),
                # One time for every file: the same content gives the same layers.
                *("--timestamp", "0", "--build-arg", f"BASE={self.base}", *secrets),
                *("-f", dockerfile, "-t", built.reference, "."),
                cwd=context,
            )
            self._buildah("push", "--quiet", built.reference, f"docker-archive:{partial}:{built.reference}")

    def forget(self, built: Built) -> None:
        self._buildah("rmi", built.reference, check=False)

    def _ensure_base(self) -> None:
        if self._buildah("inspect", "--type", "image", self.base, check=False) == 0:
            return
        with tempfile.TemporaryDirectory(dir=self.store.scratch) as folder:
            root = Path(folder) / "base.tar"
            base.assemble(root, self.store.scratch)
            (Path(folder) / "Dockerfile").write_text(
                "FROM scratch\nADD base.tar /\nENV PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
            )
            self._buildah("build", "--quiet", "--timestamp", "0", "-t", self.base, ".", cwd=Path(folder))

    def _buildah(self, *arguments: str, cwd: Path | None = None, check: bool = True) -> int:
        storage = ("--root", str(self.store.root / "storage"), "--runroot", str(self.store.root / "run"))
        # Ends with us, and in a mount namespace of its own: a build that is killed leaves nothing running or mounted.
        alone = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private")
        call = [*alone, "buildah", *storage, *arguments]
        environment = os.environ | {
            "STORAGE_DRIVER": "overlay",
            "BUILDAH_ISOLATION": "chroot",
            # Cache mounts (pip's downloads) and temporary layers go where TMPDIR says.
            "TMPDIR": str(self.store.root / "pip"),
        }
        return _run(call, cwd=cwd, environment=environment, check=check)


def pick(store: Store) -> Engine:
    """Docker if its daemon answers, else buildah, else podman; VERTICALMODEL_IMAGE_ENGINE names one to use.

    Raises MissingProgramError, naming what to install.
    """
    wanted = os.environ.get("VERTICALMODEL_IMAGE_ENGINE", "")
    if wanted not in {"", "docker", "podman", "buildah"}:
        raise MissingProgramError(f"VERTICALMODEL_IMAGE_ENGINE is {wanted!r}; it takes docker, podman or buildah")
    if wanted in {"docker", "podman"}:
        return Daemon(wanted, store)
    if not wanted and _answers("docker"):
        return Daemon("docker", store)
    if shutil.which("buildah") and shutil.which("mmdebstrap"):
        return Buildah(store)
    if not wanted and _answers("podman"):
        return Daemon("podman", store)
    raise MissingProgramError("no Docker, no podman, and not both of buildah and mmdebstrap; see: hack/images packages")


def _answers(program: str) -> bool:
    if shutil.which(program) is None:
        return False
    return subprocess.run([program, "info"], capture_output=True, check=False).returncode == 0


@contextmanager
def _secrets(scratch: Path) -> Iterator[Sequence[str]]:
    """Build arguments that lend a build this machine's way to the package index, for as long as the block lasts."""
    bundle = client_config.ca_bundle()
    settings = client_config.pip_settings()
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        conf = Path(folder) / "pip.conf"
        conf.touch(mode=0o600)
        conf.write_text(client_config.pip_conf(settings, with_ca_bundle=bundle is not None), encoding="utf-8")
        arguments = ["--secret", f"id=pip-conf,src={conf}"]
        # The Dockerfiles name both secrets; an empty one stands for "nothing special".
        arguments += ["--secret", f"id=ca-bundle,src={bundle or os.devnull}"]
        yield arguments


def _run(
    call: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None, check: bool = True
) -> int:
    result = subprocess.run(
        call, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if check and result.returncode != 0:
        raise subprocess.CalledProcessError(result.returncode, call, output=result.stdout)
    return result.returncode
