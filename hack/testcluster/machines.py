"""Machines made of namespaces: each has its own processes, mounts, network, host name, /run, /var/lib and /var/log.

PID 1 of a machine is our `pause`. When it dies, the kernel kills everything in the machine at once and takes
its mounts and devices away: that is how a plug is pulled here, and why nothing can be left behind.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from testcluster.cgroups import Hierarchies
from testcluster.errors import ClusterError, TimedOutError
from testcluster.layout import Machine
from testcluster.processes import SYSTEM_PATH, Process, end

BIN: Final = "/run/testcluster/bin"
"""The built binaries, as every machine sees them."""
BOOT_SECONDS: Final = 60.0

# Both scripts get the cluster's lock as standard input. They join their cgroup first and drop the lock after that,
# so whoever holds the lock next finds every process of a killed `up` in the cgroup.
_LAUNCH = """
echo 0 > "$1" || exit 1
shift
"$@" </dev/null &
"""
_START = """
echo 0 > "$1" || exit 1
shift
exec "$@" </dev/null
"""

_BOOT = f"""
set -e
machine=$1 bin=$2 etcd=$3 name=$4
mount -t proc proc /proc
mount -t sysfs sysfs "$machine/sys"
mount --rbind /sys/fs/cgroup "$machine/sys/fs/cgroup"
mount --rbind "$machine/sys" /sys
# The next line covers a part of /proc. A pod in a user namespace may mount its own only if there is an uncovered one.
mount -t proc proc "$machine/run/testcluster/proc"
mount --bind "$machine/boot-id" /proc/sys/kernel/random/boot_id
[ ! -e /etc/machine-id ] || mount --bind "$machine/machine-id" /etc/machine-id
[ -z "$etcd" ] || mount --bind "$etcd" "$machine/var-lib/etcd"
mount --bind "$bin" "$machine{BIN}"
mount --rbind "$machine/run" /run
mount --rbind "$machine/var-log" /var/log
mount --rbind "$machine/var-lib" /var/lib
mount --make-rshared /
hostname "$name"
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
# One refusal per second and peer is the default; a test that asks more often would see time-outs instead.
echo 0 > /proc/sys/net/ipv4/icmp_ratelimit
touch {BIN}/../booted
exec {BIN}/pause
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A machine that is switched on."""

    machine: Machine
    init: Process

    def enter(self, *, mounts: bool = True) -> list[str]:
        """The command prefix that runs a program inside; without `mounts` it sees the host's files."""
        kinds = ["--net", "--uts", "--ipc"] + (["--mount", "--pid"] if mounts else [])
        return ["nsenter", "--target", str(self.init.pid), *kinds, "--"]


def boot(machine: Machine, bundle: Path, *, hold: int, etcd_data: Path | None = None) -> Running:
    """Switch a machine on with an empty /run; /var/lib and /var/log are what they were.

    `hold` is the cluster's lock. Raises TimedOutError with what the machine's start said.
    """
    _prepare(machine, etcd_data)
    groups = Hierarchies.here()
    groups.make(machine.cgroup)
    procs = _host_cgroup(groups, machine)
    said = machine.directory / "boot.log"
    namespaces = ["--fork", "--pid", "--mount", "--net", "--uts", "--ipc", "--propagation", "private"]
    argv = ["unshare", *namespaces, "--", "/bin/sh", "-c", _BOOT, "boot"]
    values = [str(machine.directory), str(bundle), str(etcd_data or ""), machine.name]
    launch(["/bin/sh", "-c", _LAUNCH, "launch", str(procs), *argv, *values], log=said, hold=hold)
    booted = machine.run / "testcluster" / "booted"
    deadline = time.monotonic() + BOOT_SECONDS
    while not booted.exists():
        if time.monotonic() > deadline:
            raise TimedOutError(f"machine {machine.name} did not boot: {said.read_text(errors='replace').strip()}")
        time.sleep(0.005)
    init = _find_init(groups, machine)
    (machine.directory / "init.json").write_text(json.dumps(asdict(init)), encoding="ascii")
    return Running(machine, init)


def find(machine: Machine) -> Running | None:
    """The machine as it runs now, or None when it is switched off."""
    try:
        recorded = json.loads((machine.directory / "init.json").read_text(encoding="ascii"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    init = Process(int(recorded["pid"]), int(recorded["started"]))
    return Running(machine, init) if init.alive else None


def spawn(running: Running, component: str, argv: Sequence[str], *, log: Path, hold: int) -> None:
    """Start a component inside a machine; it belongs to the machine's PID 1 from then on.

    It says on `log` what it has to say; a component that fails to start is noticed by who waits for its readiness.
    """
    procs = _host_cgroup(Hierarchies.here(), running.machine)
    inside = ["/bin/sh", "-c", '"$@" </dev/null &', component, "setsid", *argv]
    launch(["/bin/sh", "-c", _START, "start", str(procs), *running.enter(), *inside], log=log, hold=hold)


def power_off(machine: Machine) -> None:
    """Kill everything on the machine at once. Returns when all of it is gone; no process gets a last word."""
    running = find(machine)
    if running is not None:
        end([running.init])
    groups = Hierarchies.here()
    groups.kill(machine.cgroup)
    groups.remove(machine.cgroup)


def components(machine: Machine) -> dict[str, Process]:
    """The machine's own living processes (pods excluded), by program name."""
    groups = Hierarchies.here()
    return {process.command: process for process in groups.processes(f"{machine.cgroup}/host")}


def launch(argv: Sequence[str], *, log: Path, hold: int) -> None:
    """Run a launcher that puts its real work in the background and ends. `hold` becomes its standard input."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        done = subprocess.run(
            list(argv),
            stdin=hold,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={"PATH": f"{BIN}:{SYSTEM_PATH}", "HOME": "/root", "LC_ALL": "C"},
            check=False,
            timeout=BOOT_SECONDS,
        )
    if done.returncode != 0:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise ClusterError(f"cannot start {argv[-1]}: status {done.returncode}: {' '.join(last)}")


def _prepare(machine: Machine, etcd_data: Path | None) -> None:
    shutil.rmtree(machine.run, ignore_errors=True)
    for folder in (
        machine.var_lib,
        machine.var_log,
        machine.directory / "sys",
        machine.run / "testcluster" / "bin",
        machine.run / "testcluster" / "proc",
    ):
        folder.mkdir(parents=True, exist_ok=True)
    if etcd_data is not None:
        etcd_data.mkdir(parents=True, exist_ok=True, mode=0o700)
        (machine.var_lib / "etcd").mkdir(exist_ok=True)
    # A real machine gets a new boot id with every start; what is bound to a boot must see that here too.
    (machine.directory / "boot-id").write_text(f"{uuid.uuid4()}\n", encoding="ascii")
    machine_id = machine.directory / "machine-id"
    if not machine_id.exists():
        machine_id.write_text(f"{uuid.uuid4().hex}\n", encoding="ascii")


def _host_cgroup(groups: Hierarchies, machine: Machine) -> Path:
    folder = groups.tracking / machine.cgroup.lstrip("/") / "host"
    folder.mkdir(exist_ok=True)
    return folder / "cgroup.procs"


def _find_init(groups: Hierarchies, machine: Machine) -> Process:
    for process in groups.processes(f"{machine.cgroup}/host"):
        if process.namespace_ids[1:] == (1,):
            return process
    raise ClusterError(f"machine {machine.name} ended while it was starting; see {machine.directory / 'boot.log'}")
