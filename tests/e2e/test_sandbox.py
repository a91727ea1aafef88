"""Clause 30 from the attacker's side: what code in a server tries against the rest fails, and would succeed elsewhere.

Each attempt is made in the container `server` of a model with its credentials, and again where nothing keeps it: an
attack that fails everywhere proves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.battlefield import Battlefield, Words, battlefield
from e2e.installed import Cluster
from e2e.outcomes import Outcome, Outcomes
from verticalmodel.api import names
from verticalmodel.plan import MODEL_MOUNT
from verticalmodel.render.guard_config import CERTIFICATE_DIR
from verticalmodel.render.pod_template import RUN_GUARD_AS, UNREACHABLE_MESSAGE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

GUARD = "envoy"
SERVER_PORT = "8080"
"""Of runtime oip-onnx."""
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
MEMORY_LIMIT = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
PROCESSES = 600
"""More than a node of the tests grants a pod (512)."""
SCRATCH_MEBIBYTES_AND_ONE = "17"
"""Of runtime oip-onnx."""
KILLED = "killed by signal 9"

KERNEL: dict[str, Words] = {
    "raw packet socket": ("packet-socket",),
    "raw IP socket": ("raw-socket",),
    "mount a file system": ("mount",),
    "remount the root for writing": ("remount-root",),
    "mount in a user namespace of one's own": ("user-namespace",),
    "chroot": ("change-root",),
    "become the guard's user": ("become", str(RUN_GUARD_AS)),
    "become root": ("become", "0"),
    "raise a capability": ("raise-capability",),
    "make a device node of the machine's memory": ("make-device",),
    "load a BPF map": ("bpf",),
    "keyctl": ("keyring",),
    "add_key": ("add-key",),
    "perf_event_open on all processes": ("perf-event",),
    "io_uring": ("io-uring",),
    "read the kernel's log": ("kernel-log",),
    "see the guards' and other models' processes": ("see-process", GUARD),
    "ptrace a guard": ("trace-process", GUARD),
    "read a guard's environment": ("read-environment", GUARD),
}
FILES: dict[str, Words] = {
    "read the guard's private key": ("read-file-of", GUARD, f"{CERTIFICATE_DIR}/tls.key"),
    "read the service account's token": ("read-file", TOKEN),
    "raise the own memory limit": ("open-for-writing", *MEMORY_LIMIT),
    "change a kernel setting": ("open-for-writing", "/proc/sys/vm/overcommit_memory"),
    "write to /": ("make-file", "/"),
    "write to /etc": ("make-file", "/etc"),
    "write to the parameters": ("make-file", MODEL_MOUNT),
    "write the termination message, a file on the node": ("open-for-writing", UNREACHABLE_MESSAGE),
    "write anywhere but /tmp, /dev/shm and /dev/mqueue": ("write-elsewhere", "/tmp", "/dev/shm", "/dev/mqueue"),  # noqa: S108
}
NETWORK: dict[str, Words] = {
    "API server by its service": ("connect", "{api}", "443"),
    "API server by its address": ("connect", "{control-plane}", "6443"),
    "kubelet of the own node": ("connect", "{node}", "10250"),
    "kubelet of another node": ("connect", "{other-node}", "10250"),
    "metadata address of a cloud": ("fetch", "{metadata}", "80"),
    "another model's guard": ("connect", "{neighbour}", str(names.GUARD_PORT)),
    "another model's service": ("connect", "{neighbour-service}", str(names.SERVICE_PORT)),
    "cluster DNS over UDP": ("resolve", "{dns}"),
    "cluster DNS over TCP": ("connect", "{dns}", "53"),
    "a resolver outside over UDP": ("resolve", "{outside}"),
    "an address outside over TCP": ("connect", "{outside}", "{outside-port}"),
}


@pytest.fixture(scope="module")
def field(cluster: Cluster) -> Iterator[Battlefield]:
    with battlefield(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def tried(field: Battlefield) -> dict[str, tuple[Outcome, Outcome]]:
    """Each cheap attack in the server and, in the same second, where nothing keeps it."""
    attacks = {
        name: tuple(word.format(**field.addresses) for word in words)
        for name, words in (KERNEL | FILES | NETWORK).items()
    }
    with ThreadPoolExecutor(2) as both:
        kept, free = both.map(lambda place: place.attempts(list(attacks.values())), (field.target.server, field.free))
    return dict(zip(attacks, zip(kept, free, strict=True), strict=True))


@pytest.mark.parametrize("attack", [*KERNEL, *FILES, *NETWORK])
def test_an_attack_from_inside_the_server_fails_and_succeeds_where_nothing_keeps_it(
    attack: str, tried: dict[str, tuple[Outcome, Outcome]], outcomes: Outcomes
) -> None:
    kept, free = tried[attack]
    outcomes.add(attack, kept=kept, control=free)
    assert (kept.succeeded, free.succeeded) == (False, True), f"in the server: {kept}; free: {free}"


def test_another_models_server_listens_to_its_own_pod_alone(field: Battlefield, outcomes: Outcomes) -> None:
    _own_pod_alone(field, outcomes, "another model's server", SERVER_PORT)


def test_another_models_drain_is_out_of_reach(field: Battlefield, outcomes: Outcomes) -> None:
    """From granted namespaces too: only the kubelet may tell a guard that its pod is ending."""
    _own_pod_alone(field, outcomes, "another model's drain", str(names.DRAIN_PORT))
    granted = field.free.attempt("connect", field.neighbour.address, str(names.DRAIN_PORT))
    assert not granted.succeeded, granted


def _own_pod_alone(field: Battlefield, outcomes: Outcomes, attack: str, port: str) -> None:
    kept = field.target.server.attempt("connect", field.neighbour.address, port)
    own = field.neighbour.server.attempt("connect", "127.0.0.1", port)
    outcomes.add(f"{attack}; control: in its own pod", kept=kept, control=own)
    assert (kept.succeeded, own.succeeded) == (False, True), f"in the server: {kept}; in its own pod: {own}"


def test_a_fork_bomb_stops_at_its_pods_limit_and_the_neighbour_serves_on(
    field: Battlefield, outcomes: Outcomes
) -> None:
    kept, beside = tried_beside_requests(field, "fork-bomb", str(PROCESSES))
    free = field.attempt_on_node("fork-bomb", str(PROCESSES))
    outcomes.add("fork bomb", kept=kept, control=free, remark=beside)
    assert (kept.succeeded, free.succeeded) == (False, True), f"in the server: {kept}; free: {free}"
    field.target.ready()


def test_a_hog_of_memory_is_killed_at_its_own_limit_and_the_neighbour_serves_on(
    field: Battlefield, outcomes: Outcomes
) -> None:
    kept, beside = tried_beside_requests(field, "take-memory", "1024")
    free = field.free.attempt("take-memory", "1024")
    outcomes.add("memory hog", kept=kept, control=free, remark=beside)
    assert (kept.said, free.succeeded) == (KILLED, True), f"in the server: {kept}; free: {free}"
    field.target.ready()


def test_a_hog_of_cpu_gets_its_limit_and_the_neighbour_keeps_its_latency(
    field: Battlefield, outcomes: Outcomes
) -> None:
    before = latencies(field, seconds=3)
    with ThreadPoolExecutor(1) as beside:
        hog = beside.submit(field.target.server.attempt, "take-cpu", "6", "0.75")
        during = latencies(field, seconds=4)
        kept = hog.result()
    free = field.free.attempt("take-cpu", "3", "0.75")
    ratio = during["median"] / before["median"]
    beside = f"the neighbour's median {before['median']:.0f} ms, beside it {during['median']:.0f} ms"
    outcomes.add("CPU hog", kept=kept, control=free, remark=beside)
    assert (kept.succeeded, free.succeeded) == (False, True), f"in the server: {kept}; free: {free}"
    assert (during["failed"], before["failed"]) == (0, 0), during["failures"]
    assert ratio < 5


def test_a_full_tmp_is_a_full_volume_of_its_own(field: Battlefield, outcomes: Outcomes) -> None:
    kept = field.target.server.attempt("fill", "/tmp", SCRATCH_MEBIBYTES_AND_ONE)  # noqa: S108
    free = field.free.attempt("fill", "/tmp", SCRATCH_MEBIBYTES_AND_ONE)  # noqa: S108
    outcomes.add("fill /tmp beyond its size", kept=kept, control=free)
    assert (kept.succeeded, free.succeeded) == (False, True), f"in the server: {kept}; free: {free}"
    assert kept.said.startswith("No space left on device")


def latencies(field: Battlefield, seconds: float) -> dict[str, float]:
    """How requests to the neighbour fare for a while: requests, failed, failures, median and worst in ms."""
    with field.load(seconds) as load:
        said, complaint = load.communicate(timeout=60)
    assert load.returncode == 0, complaint
    found: dict[str, float] = json.loads(said)
    return found


def tried_beside_requests(field: Battlefield, *attack: str) -> tuple[Outcome, str]:
    """An attack in the server while the neighbour serves; fails where the neighbour missed a request or restarted."""
    before = field.neighbour.restarts()
    with ThreadPoolExecutor(1) as beside:
        requests = beside.submit(latencies, field, seconds=4)
        kept = field.target.server.attempt(*attack)
        found = requests.result()
    assert (found["failed"], field.neighbour.restarts()) == (0, before), found
    return kept, f"the neighbour answered all of {found['requests']:.0f} requests"
