"""Attacks on the kernel, tried from inside a container. Sent there: standard library and libc only."""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

SCRATCH = Path("/tmp")  # noqa: S108  # a volume of the pod alone
_libc = ctypes.CDLL(None, use_errno=True)
_SYSCALLS = {
    "x86_64": {"add_key": 248, "bpf": 321, "io_uring_setup": 425, "keyctl": 250, "perf_event_open": 298},
    "aarch64": {"add_key": 217, "bpf": 280, "io_uring_setup": 425, "keyctl": 219, "perf_event_open": 241},
}
_CLONE_NEWUSER, _CLONE_NEWNS = 0x10000000, 0x00020000
_MS_REMOUNT, _MS_BIND = 0x20, 0x1000
_CAPABILITY_VERSION, _SYS_ADMIN = 0x20080522, 21
_PTRACE_ATTACH, _PTRACE_DETACH = 16, 17
_BPF_MAP_CREATE, _BPF_ARRAY = 0, 2
_PERF_SOFTWARE = 1
_KEYCTL_GET_KEYRING, _SESSION_KEYRING = 0, -3
_SYSLOG_READ_ALL = 3


def _call(function: str, *arguments: object) -> int:
    """A function of libc. Raises OSError where it says -1."""
    result: int = getattr(_libc, function)(*arguments)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _syscall(name: str, *arguments: object) -> int:
    number = _SYSCALLS[os.uname().machine][name]
    return _call("syscall", ctypes.c_long(number), *arguments)


def packet_socket() -> str:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    return "opened"


def raw_socket() -> str:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    return "opened"


def mount() -> str:
    folder = tempfile.mkdtemp(dir=SCRATCH)
    try:
        _call("mount", b"none", folder.encode(), b"tmpfs", 0, None)
        _call("umount2", folder.encode(), 0)
    finally:
        Path(folder).rmdir()
    return "mounted"


def remount_root() -> str:
    _call("mount", None, b"/", None, _MS_REMOUNT | _MS_BIND, None)
    return "remounted for writing"


def user_namespace() -> str:
    """A user namespace makes one root of it: enough to mount, which is where most kernel exploits begin."""
    _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS)
    return mount()


def change_root() -> str:
    os.chroot(SCRATCH)
    return "changed"


def become(user: str) -> str:
    os.setresuid(int(user), int(user), int(user))
    return f"is user {os.getuid()}"


def raise_capability() -> str:
    """CAP_SYS_ADMIN into the effective set."""
    header, wanted = struct.pack("<Ii", _CAPABILITY_VERSION, 0), 1 << _SYS_ADMIN
    _call("capset", header, struct.pack("<6I", wanted, wanted, 0, 0, 0, 0))
    return "has CAP_SYS_ADMIN"


def make_device() -> str:
    """Another name for the machine's memory; not opened."""
    path = SCRATCH / f"device-{os.getpid()}"
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 1))
    path.unlink()
    return "made"


def bpf() -> str:
    attributes = ctypes.create_string_buffer(struct.pack("<4I", _BPF_ARRAY, 4, 4, 1), 128)
    os.close(_syscall("bpf", _BPF_MAP_CREATE, attributes, 128))
    return "made a map"


def keyring() -> str:
    return f"keyring {_syscall('keyctl', _KEYCTL_GET_KEYRING, _SESSION_KEYRING, 1)}"


def add_key() -> str:
    return f"key {_syscall('add_key', b'user', b'attack', b'x', 1, _SESSION_KEYRING)}"


def perf_event() -> str:
    attributes = ctypes.create_string_buffer(struct.pack("<2I", _PERF_SOFTWARE, 112), 112)
    os.close(_syscall("perf_event_open", attributes, -1, 0, -1, 0))
    return "watches all processes of a CPU"


def io_uring() -> str:
    os.close(_syscall("io_uring_setup", 1, ctypes.create_string_buffer(120)))
    return "made a ring"


def kernel_log() -> str:
    text = ctypes.create_string_buffer(4096)
    return f"read {_call('klogctl', _SYSLOG_READ_ALL, text, 4096)} bytes"


def process(command: str) -> int:
    """A process of that name other than our own. Raises LookupError where none is in sight."""
    seen = sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    for pid in seen:
        try:
            if (Path("/proc") / str(pid) / "comm").read_text().strip() == command:
                return pid
        except (FileNotFoundError, ProcessLookupError):
            continue
    raise LookupError(f"no {command} among the {len(seen)} processes in sight")


def see_process(command: str) -> str:
    return f"process {process(command)}"


def trace_process(command: str) -> str:
    pid = process(command)
    _call("ptrace", _PTRACE_ATTACH, pid, None, None)
    os.waitpid(pid, 0x40000000)  # __WALL: it is not our child
    _call("ptrace", _PTRACE_DETACH, pid, None, None)
    return "attached"


ATTACKS: dict[str, Callable[..., str]] = {
    one.__name__.replace("_", "-"): one
    for one in (
        packet_socket, raw_socket, mount, remount_root, user_namespace, change_root, become, raise_capability,
        make_device, bpf, keyring, add_key, perf_event, io_uring, kernel_log, see_process, trace_process,
    )
}  # fmt: skip
