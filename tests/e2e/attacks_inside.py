"""Attacks on what surrounds a container, tried from inside it. Runs in a pod: standard library and libc only.

Usage: python - '[["NAME", "ARGUMENT", ...], ...]' < this file. All are tried at once, each in a process of its own;
prints one JSON list in their order: succeeded, and what was said. An attack that succeeds undoes what it did.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from e2e.kernel_attacks import ATTACKS as KERNEL_ATTACKS
from e2e.kernel_attacks import process

PATIENCE_SECONDS = 2.0
MEBI = 2**20
_KERNEL_FILES = ("/proc", "/sys")


def read_environment(command: str) -> str:
    return f"{len((Path('/proc') / str(process(command)) / 'environ').read_bytes())} bytes"


def read_file(path: str) -> str:
    return f"{len(Path(path).read_bytes())} bytes"


def read_file_of(command: str, path: str) -> str:
    """A file as a process sees it, or at its place in our own tree."""
    try:
        return read_file(path)
    except OSError:
        return read_file(f"/proc/{process(command)}/root{path}")


def open_for_writing(*paths: str) -> str:
    """The first that exists; nothing is written."""
    path = next((one for one in paths if Path(one).exists()), paths[0])
    os.close(os.open(path, os.O_WRONLY))
    return f"opened {path}"


def make_file(folder: str) -> str:
    with tempfile.TemporaryFile(dir=folder) as made:
        made.write(b"x")
    return "written"


def write_elsewhere(*known: str) -> str:
    """A file in any folder but the kernel's and the known ones. Raises PermissionError where none takes one."""
    tried = 0
    for folder, below, _ in os.walk("/"):
        if folder in (*known, *_KERNEL_FILES):
            below.clear()
            continue
        tried += 1
        try:
            make_file(folder)
        except OSError:
            continue
        return f"written in {folder}"
    raise PermissionError(f"none of {tried} folders takes a file")


def connect(address: str, port: str) -> str:
    with socket.create_connection((address, int(port)), timeout=PATIENCE_SECONDS):
        return "connected"


def fetch(address: str, port: str) -> str:
    connection = http.client.HTTPConnection(address, int(port), timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def resolve(address: str) -> str:
    """A question about kubernetes.default.svc.cluster.local to a resolver, over UDP."""
    name = b"".join(bytes([len(part)]) + part for part in b"kubernetes.default.svc.cluster.local".split(b"."))
    question = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + name + b"\0" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(PATIENCE_SECONDS)
        asking.sendto(question, (address, 53))
        return f"answered with {len(asking.recv(512))} bytes"


def fill(folder: str, mebibytes: str) -> str:
    with tempfile.TemporaryFile(dir=folder) as filled:
        written = 0
        try:
            for _ in range(int(mebibytes)):
                written += os.write(filled.fileno(), b"\0" * MEBI)
        except OSError as failure:
            failure.strerror = f"{failure.strerror} after {written // MEBI} MiB"
            raise
        return f"wrote {mebibytes} MiB"


def _first_of_container() -> int:
    """The process that the container was made for: the oldest that shares our mount namespace."""
    own = Path("/proc/self/ns/mnt").readlink()
    for pid in sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        try:
            if (Path("/proc") / str(pid) / "ns/mnt").readlink() == own:
                return pid
        except OSError:
            continue
    raise LookupError("no process shares our mount namespace")


def take_memory(mebibytes: str) -> str:
    held = [b"x" * MEBI for _ in range(int(mebibytes))]
    return f"held {len(held)} MiB"


def fork_bomb(processes: str) -> str:
    """So many at once, each of which waits for its end."""
    reading, writing = os.pipe()
    children: list[int] = []
    try:
        for _ in range(int(processes)):
            child = os.fork()
            if not child:
                os.close(writing)
                os.read(reading, 1)
                os._exit(0)
            children.append(child)
    except OSError as failure:
        failure.strerror = f"{failure.strerror} after {len(children)} processes"
        raise
    finally:
        os.close(writing)
        for child in children:
            os.waitpid(child, 0)
    return f"{len(children)} processes at once"


def take_cpu(seconds: str, permitted: str) -> str:
    """Four busy processes. Raises TimeoutError where they got no more than the CPUs that are permitted."""
    begun = time.monotonic()
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            while time.monotonic() - begun < float(seconds):
                pass
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpus = (spent.ru_utime + spent.ru_stime) / (time.monotonic() - begun)
    if cpus <= float(permitted):
        raise TimeoutError(f"got {cpus:.2f} CPUs")
    return f"got {cpus:.2f} CPUs"


ATTACKS: dict[str, Callable[..., str]] = KERNEL_ATTACKS | {
    one.__name__.replace("_", "-"): one
    for one in (
        read_environment, read_file, read_file_of, open_for_writing, make_file, write_elsewhere, connect, fetch,
        resolve, fill, take_memory, fork_bomb, take_cpu,
    )
}  # fmt: skip


def _tried(name: str, *arguments: str) -> dict[str, object]:
    try:
        return {"succeeded": True, "said": ATTACKS[name](*arguments)}
    except (OSError, LookupError, http.client.HTTPException) as failure:
        said = getattr(failure, "strerror", None) or str(failure)
        return {"succeeded": False, "said": re.sub(r"\s+", " ", said)}


def _begin(name: str, *arguments: str) -> tuple[int, int]:
    """The attack in a process of its own: its id, and where its answer comes from."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            os.write(writing, json.dumps(_tried(name, *arguments)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    return child, reading


def _ended(child: int, reading: int) -> dict[str, object]:
    with os.fdopen(reading, "rb") as answers:
        answer = answers.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"succeeded": False, "said": f"killed by signal {os.WTERMSIG(status)}"}
    if not answer:
        raise RuntimeError("an attack ended by an error of its own: try it alone")
    found: dict[str, object] = json.loads(answer)
    return found


def main() -> None:
    begun = [_begin(*attack) for attack in json.loads(sys.argv[1])]
    sys.stdout.write(json.dumps([_ended(*one) for one in begun]) + "\n")


if __name__ == "__main__":
    main()
