"""P8: bytes per second of sealing and unsealing on one core and on two, beside `openssl speed` in the same rounds.

File -> file and file -> folder, all in tmpfs, as `vmodel seal` and the init container work. Sealing hashes what it
writes on one thread, in order: that bounds two cores. P7 (bench/unseal.py) has unsealing without its writes.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from figure import progress, report
from unseal import KEY, MEMORY, SIZE, deliver, only_on, openssl, rate
from verticalmodel.seal.folder import Folder
from verticalmodel.seal.progress import Progress
from verticalmodel.seal.sealing import seal
from verticalmodel.seal.segments import SEGMENT_BYTES

ROUNDS = 5


def main() -> int:
    """Print the figures."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as scratch:
        folder = Path(scratch)
        plain = folder / "model"
        with plain.open("wb") as file:
            for _ in range(SIZE // SEGMENT_BYTES):
                file.write(os.urandom(SEGMENT_BYTES))
        made(folder, plain, 2)
        for cores in range(1, 1 + min(2, len(os.sched_getaffinity(0)))):
            on(cores, folder, plain)
    return 0


def on(cores: int, folder: Path, plain: Path) -> None:
    """The figures of so many cores."""
    openssls, seals, unseals = [], [], []
    source = Folder(folder / "sealed", cores)
    with only_on(sorted(os.sched_getaffinity(0))[:cores]):
        for number in range(ROUNDS):
            progress(f"{cores} cores, round {number + 1} of {ROUNDS}")
            openssls.append(openssl(cores))
            seals.append(rate(lambda: made(folder, plain, cores)))
            unseals.append(rate(lambda: deliver(source, cores, folder)))
    for name, rates in (("openssl", openssls), ("seal", seals), ("unseal", unseals)):
        report(f"P8-{name}-{cores}", f"MB/s, {cores} core(s)", [one / 1e6 for one in rates])
    for name, rates in (("seal", seals), ("unseal", unseals)):
        shares = [one / reference for one, reference in zip(rates, openssls, strict=True)]
        report(f"P8-{name}-{cores}-share", f"x openssl, {cores} core(s)", shares)


def made(folder: Path, plain: Path, cores: int) -> None:
    """Seal anew."""
    shutil.rmtree(folder / "sealed", ignore_errors=True)
    seal({"model": plain}, folder / "sealed", KEY, Progress(), processors=cores)


if __name__ == "__main__":
    sys.exit(main())
