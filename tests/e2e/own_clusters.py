"""Names of a test run's own clusters, and an account of what is left of one; independent of how it is taken down."""

from __future__ import annotations

import json
import os
from pathlib import Path

from testcluster import cluster as clusters

ROOT = Path(__file__).parents[2]
STATE = Path("/var/lib/verticalmodel-test")
OTHER_FOLDERS = (Path("/dev/shm/verticalmodel-test"), Path("/run/lock/verticalmodel-test"))  # noqa: S108
PREFIX = "claims-"


def name(suffix: str = "") -> str:
    """A cluster name with our pid in it, so that a second run beside this one has its own."""
    return f"{PREFIX}{os.getpid()}{suffix}"


def remove_orphans() -> None:
    """Remove what killed runs of these tests left."""
    for found in clusters.names():
        pid = found.removeprefix(PREFIX).partition("-")[0]
        if found.startswith(PREFIX) and not Path(f"/proc/{pid}").exists():
            clusters.down(found)


def processes_of(cluster: str, machine: str = "") -> list[str]:
    """Programs whose cgroup is the cluster's, by the kernel's list of processes and not by ours."""
    marker = f"/verticalmodel-test-{cluster}/{machine}"
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            groups = [f"{line.split(':', 2)[2]}/" for line in (folder / "cgroup").read_text().splitlines()]
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if words and any(group.startswith(marker) for group in groups):
            found.append(words)
    return found


def leftovers(cluster: str) -> list[str]:
    """Everything on this machine that could belong to a cluster that is gone; independent of how it is taken down."""
    own = f"verticalmodel-test-{cluster}"
    found = processes_of(cluster)
    found += [str(p) for p in Path("/sys/fs/cgroup").glob(f"*/{own}*")]
    found += [
        line
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if f"verticalmodel-test/{cluster}/" in line
    ]
    for root in (STATE, *OTHER_FOLDERS):
        found += [str(p) for p in root.glob(f"{cluster}*") if p.name in {cluster, f"{cluster}.lock"}]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # A helper that never reached the cgroup still names the cluster's folder; so may the test's own command line.
        if int(folder.name) != os.getpid() and any(f"verticalmodel-test/{cluster}/" in word for word in words):
            found.append(f"{folder.name}: {' '.join(words)}")
    # A device in the root network namespace exists only while its cluster's record does.
    held = {f"vmtest{json.loads(record.read_text())['layout']['slot']}" for record in STATE.glob("*/cluster.json")}
    found += [path.name for path in Path("/sys/class/net").glob("vmtest*") if path.name not in held]
    return found
