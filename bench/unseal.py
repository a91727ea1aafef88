"""P7: unsealing against OpenSSL's own AES-256-GCM, both measured in turn, so that a noisy machine disturbs both.

P7a  in memory, one core: our reader's bytes per second over `openssl speed` in blocks of one segment
P7b  in memory: two workers over one, on two cores; P7b-openssl: what two processes of openssl gain at that time
P7c  page cache -> tmpfs, one core: over `openssl speed`; P7c-copy: over copying the same bytes there
P7d  peak memory beside the output, file -> tmpfs, two workers
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from figure import progress, report

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "operator"))

from verticalmodel.seal.artifact import Artifact  # noqa: E402 (after the path)
from verticalmodel.seal.folder import Folder  # noqa: E402
from verticalmodel.seal.manifest import MANIFEST_NAME, Manifest  # noqa: E402
from verticalmodel.seal.progress import Progress  # noqa: E402
from verticalmodel.seal.sealing import seal  # noqa: E402
from verticalmodel.seal.segments import SEGMENT_BYTES  # noqa: E402
from verticalmodel.seal.source import Source  # noqa: E402
from verticalmodel.seal.staging import Staging  # noqa: E402
from verticalmodel.seal.unsealing import unseal_files  # noqa: E402
from verticalmodel.seal.wrapping import LocalKey  # noqa: E402

ROUNDS = 7
SIZE = 1024 * SEGMENT_BYTES
MEMORY = Path("/dev/shm")  # noqa: S108 (tmpfs is what is measured)
KEY = LocalKey(bytes(32))


class Blobs:
    """Sealed files held in memory."""

    unit_bytes = SEGMENT_BYTES

    def __init__(self, folder: Path, fetchers: int) -> None:
        self._blobs = {path.name: memoryview(path.read_bytes()) for path in folder.iterdir()}
        self.fetchers = fetchers

    def small(self, name: str, limit: int) -> bytes:
        return bytes(self._blobs[name][: limit + 1])

    def size(self, name: str) -> int:
        return len(self._blobs[name])

    def fetch(self, name: str, start: int, scratch: memoryview) -> memoryview:
        return self._blobs[name][start : start + len(scratch)]

    def plain_files(self, name: str) -> Mapping[str, str]:
        return {name: name}


class Nowhere(Staging):
    """Takes plaintext and keeps none of it."""

    def create(self, path: str, size: int) -> None:
        """Nothing to create."""

    def write(self, path: str, pieces: Iterable[tuple[int, memoryview]]) -> None:  # noqa: ARG002 (Staging's signature)
        for _ in pieces:
            pass


def main() -> int:
    """Print the figures."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as scratch:
        folder = Path(scratch)
        progress(f"sealing {SIZE >> 20} MiB")
        plain = folder / "model"
        with plain.open("wb") as file:
            for _ in range(SIZE // SEGMENT_BYTES):
                file.write(os.urandom(SEGMENT_BYTES))
        seal({"model": plain}, folder / "sealed", KEY, Progress(), processors=2)
        in_memory(folder)
        to_tmpfs(folder, plain)
        buffers(folder)
    return 0


def in_memory(folder: Path) -> None:
    """P7a and P7b."""
    source = Blobs(folder / "sealed", 1)
    both = sorted(os.sched_getaffinity(0))[:2]
    single, scaling, openssl_scaling = [], [], []
    for number in range(ROUNDS):
        progress(f"in memory, round {number + 1} of {ROUNDS}")
        with only_on(both[:1]):
            reference, ours = openssl(1), rate(lambda: unseal(source, 1, Nowhere(folder / "x")))
        single.append(ours / reference)
        if len(both) > 1:
            with only_on(both):
                one = rate(lambda: unseal(source, 1, Nowhere(folder / "x")))
                scaling.append(rate(lambda: unseal(source, 2, Nowhere(folder / "x"))) / one)
                openssl_scaling.append(openssl(2) / openssl(1))
    report("P7a", "x openssl, in memory, one core", single, ">= 0.75")
    if scaling:
        report("P7b", "x one worker, in memory, two cores", scaling, ">= 1.8")
        report("P7b-openssl", "x one process of openssl, two cores", openssl_scaling)


def to_tmpfs(folder: Path, plain: Path) -> None:
    """P7c."""
    source = Folder(folder / "sealed", 1)
    against_openssl, against_copy = [], []
    with only_on(sorted(os.sched_getaffinity(0))[:1]):
        for number in range(ROUNDS):
            progress(f"to tmpfs, round {number + 1} of {ROUNDS}")
            reference = openssl(1)
            ours = rate(lambda: deliver(source, 1, folder))
            copying = rate(lambda: copy(plain, folder / "copy"))
            against_openssl.append(ours / reference)
            against_copy.append(ours / copying)
    report("P7c", "x openssl, file -> tmpfs, one core", against_openssl)
    report("P7c-copy", "x a copy, file -> tmpfs, one core", against_copy)


def buffers(folder: Path) -> None:
    """P7d."""
    # A process of its own for each: what one run has freed, the allocator would keep for the next.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        report("P7d", "MB beside the output", list(pool.map(peak, [folder] * 3)), "<= 64")


def peak(folder: Path) -> float:
    """How far this process's memory rises while it unseals, in MB. Written tmpfs pages are not the process's."""
    source = Folder(folder / "sealed", 2)
    before = memory_kib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    deliver(source, 2, folder)
    return (memory_kib("VmHWM") - before) * 1024 / 1e6


def unseal(source: Source, workers: int, staging: Staging) -> None:
    source.fetchers = workers
    manifest = Manifest.parse(source.small(MANIFEST_NAME, 2**20))
    unseal_files(Artifact(manifest, manifest.unlock(KEY), source, ""), staging, Progress())


def deliver(source: Source, workers: int, folder: Path) -> None:
    with Staging(folder / "target") as staging:
        unseal(source, workers, staging)


def copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.unlink()


def rate(work: Callable[[], None]) -> float:
    """Bytes per second of plaintext."""
    began = time.perf_counter()
    work()
    return SIZE / (time.perf_counter() - began)


def openssl(processes: int) -> float:
    """Bytes per second of AES-256-GCM, as OpenSSL's own benchmark has it."""
    command = ["openssl", "speed", "-elapsed", "-seconds", "1", "-bytes", str(SEGMENT_BYTES), "-evp", "aes-256-gcm"]
    many = ["-multi", str(processes)] if processes > 1 else []
    done = subprocess.run([*command, *many], capture_output=True, text=True, check=True)
    found = re.search(r"([0-9.]+)k\s*$", done.stdout)
    if found is None:
        raise RuntimeError(f"openssl speed said {done.stdout[-200:]!r}")
    return float(found[1]) * 1000


@contextmanager
def only_on(processors: list[int]) -> Iterator[None]:
    """Run this process and its children on these processors."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def memory_kib(name: str) -> int:
    """A field of this process's status."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    sys.exit(main())
