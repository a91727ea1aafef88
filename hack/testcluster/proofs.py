"""What a cluster must prove before it counts as up. Each claim is a trap that was met: without the check, everything
seems to run. A refusal counts only beside a control that passes from the same place in the same round.
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testcluster import subjects
from testcluster.api import Api, ApiError, collection
from testcluster.cgroups import Hierarchies
from testcluster.errors import ClusterError, TimedOutError
from testcluster.layout import KUBELET_PORT, Layout
from testcluster.machines import find
from testcluster.nodesettings import POD_PIDS_LIMIT
from testcluster.settings import DNS_DOMAIN
from testcluster.subjects import Subject

PATIENCE_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 0.1


class NotProvenError(ClusterError):
    """A claim does not hold; the message says what was seen instead."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim, and what was seen; `failure` is empty when it holds."""

    claim: str
    seen: str
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A cluster with its check pods running."""

    layout: Layout
    api: Api
    servers: tuple[Subject, ...]
    allowed: Subject
    stranger: Subject
    service: str


def prove(layout: Layout, api: Api) -> list[Finding]:
    """Run every check; the pods and their namespace are removed whatever comes out."""
    subjects.await_absence(api)
    wanted = subjects.manifests(layout.nodes)
    try:
        for manifest in wanted:
            api.apply(manifest)
        pods = subjects.await_subjects(api, layout.nodes, sum(m["kind"] == "Pod" for m in wanted))
        service = api.get(f"{collection('Service', subjects.NAMESPACE)}/server")["spec"]["clusterIP"]
        servers = tuple(pods[f"server-{node.name}"] for node in layout.nodes)
        scene = Scene(layout, api, servers, pods["allowed"], pods["stranger"], service)
        with ThreadPoolExecutor(max_workers=len(_CLAIMS)) as pool:
            open_network = list(pool.map(lambda claim: _examine(claim, _CLAIMS[claim], scene), _CLAIMS))
        # Last, because it cuts off whoever is not let in.
        return [*open_network, _examine("a NetworkPolicy denies, its control passes", policy_denies, scene)]
    finally:
        subjects.remove(api)


def memory_volumes(scene: Scene) -> str:
    """A memory volume is tmpfs in the pod, and the service-account token is there (mount propagation works)."""
    for server in scene.servers:
        mounts = {line.split()[1]: line.split()[2] for line in server.run("cat", "/proc/1/mounts").splitlines()}
        kinds = {path: mounts.get(path, "absent") for path in (subjects.MEMORY_MOUNT, subjects.ACCOUNT_MOUNT)}
        if set(kinds.values()) != {"tmpfs"}:
            raise NotProvenError(f"{server.name} on {server.node}: {kinds}, want tmpfs for each")
        if not server.run("cat", f"{subjects.ACCOUNT_MOUNT}/token").strip():
            raise NotProvenError(f"{server.name} on {server.node}: the service-account token is empty")
    return f"tmpfs and token in a pod on each of {len(scene.servers)} nodes"


def limits_bite(scene: Scene) -> str:
    """The pod's limits are in the live cgroup."""
    groups = Hierarchies.here()
    for server in scene.servers:
        seen = groups.limits(server.cgroup)
        quota = subjects.CPU_LIMIT_MILLI / 1000
        want = {"memory": subjects.MEMORY_LIMIT, "cpu": quota, "pids": POD_PIDS_LIMIT}
        if seen != want:
            raise NotProvenError(f"{server.name} on {server.node}: live cgroup has {seen}, want {want}")
    return f"memory {subjects.MEMORY_LIMIT >> 20} MiB, cpu {subjects.CPU_LIMIT_MILLI} m, pids {POD_PIDS_LIMIT}"


def dns_answers(scene: Scene) -> str:
    """The cluster's DNS answers a pod on each node, over the pod's own resolver configuration."""
    name = f"server.{subjects.NAMESPACE}.svc.{DNS_DOMAIN}"
    for server in scene.servers:
        _eventually(
            lambda pod=server: scene.service in pod.run("nslookup", "-type=A", name),  # type: ignore[misc]
            f"{server.name} on {server.node}: no answer {scene.service} for {name}",
        )
    return f"{name} is {scene.service}, asked on each node"


def hosts_reach_services(scene: Scene) -> str:
    """A host process of each node reaches a Service; the API server reaches the pods behind one."""
    for node in scene.layout.nodes:
        running = find(node)
        if running is None:
            raise NotProvenError(f"{node.name} is not running")
        enter = running.enter(mounts=False)
        _eventually(
            lambda enter=enter: subjects.connect(enter, scene.service, subjects.SERVICE_PORT) == "taken",  # type: ignore[misc]
            f"{node.name}: no connection to Service {scene.service}",
        )
    proxied = f"{collection('Service', subjects.NAMESPACE)}/server:{subjects.SERVICE_PORT}/proxy/"
    _eventually(lambda: _status(scene.api, proxied) == http.client.NOT_FOUND, "the API server does not reach a pod")
    return f"Service {scene.service} from each node's host network; a pod from the API server"


def kubelets_are_guarded(scene: Scene) -> str:
    """A kubelet's certificate is the cluster CA's; metrics go to a token that may read them, and to nobody else."""
    account = f"{collection('ServiceAccount', subjects.NAMESPACE)}/{subjects.ACCOUNT}"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    token = scene.api.create(f"{account}/token", request)["status"]["token"]
    trusted = ssl.create_default_context(cafile=str(scene.layout.directory / "ca.crt"))
    for node in scene.layout.nodes:
        reader = Api(str(node.address), KUBELET_PORT, trusted, token)
        metrics = reader.request("GET", "/metrics/cadvisor")
        if b"container_memory_working_set_bytes" not in metrics:
            raise NotProvenError(f"{node.name}: /metrics/cadvisor has no container metrics")
        anonymous = Api(str(node.address), KUBELET_PORT, trusted)
        refusals = (
            ("anonymous", _status(anonymous, "/metrics/cadvisor"), http.client.UNAUTHORIZED),
            ("the same token on /pods", _status(reader, "/pods"), http.client.FORBIDDEN),
        )
        for who, got, want in refusals:
            if got != want:
                raise NotProvenError(f"{node.name}: {who}: answer {got}, want {want}")
    return "TLS by the cluster CA; token 200, anonymous 401, other paths 403"


def logs_are_served(scene: Scene) -> str:
    """The API server fetches a container's log from each kubelet, whose certificate it verifies."""
    for server in scene.servers:
        path = f"{collection('Pod', subjects.NAMESPACE)}/{server.name}/log"
        _eventually(
            lambda pod=server, path=path: scene.api.request("GET", path) == f"{pod.name} started\n".encode(),  # type: ignore[misc]
            f"{server.name}: its log does not arrive",
        )
    return "the log of a pod on each node"


def user_namespaces(scene: Scene) -> str:
    """A restricted pod with `hostUsers: false` runs, and its root is nobody outside."""
    mapping = Path(f"/proc/{scene.stranger.pid}/uid_map").read_text(encoding="ascii").split()
    if mapping[:2] == ["0", "0"]:
        raise NotProvenError(f"{scene.stranger.name} on {scene.stranger.node}: its root is the machine's root")
    return f"root in the pod is user {mapping[1]} outside"


def policy_denies(scene: Scene) -> str:
    """Before: both clients reach every server. After: in one round the stranger is refused, the allowed passes.

    Refused, and not merely without an answer: that could be a slow machine or a broken network.
    """

    def round_() -> dict[str, dict[str, str]]:
        pairs = [(client, server) for client in (scene.stranger, scene.allowed) for server in scene.servers]
        with ThreadPoolExecutor(max_workers=len(scene.servers)) as pool:
            fared = pool.map(lambda pair: pair[0].connect(pair[1].address, subjects.PORT), pairs)
            seen: dict[str, dict[str, str]] = {"stranger": {}, "allowed": {}}
            for (client, server), outcome in zip(pairs, fared, strict=True):
                seen[client.name][server.node] = outcome
        return seen

    def want(**outcomes: str) -> None:
        wanted = {client: dict.fromkeys(nodes, outcome) for client, outcome in outcomes.items()}
        last: dict[str, dict[str, str]] = {}

        def holds() -> bool:
            last.update(round_())
            return last == wanted

        try:
            _eventually(holds, "connections to the servers on each node")
        except TimedOutError as late:
            raise NotProvenError(f"{late}: {last}, want {wanted}") from late

    nodes = [server.node for server in scene.servers]
    want(stranger="taken", allowed="taken")
    applied = time.monotonic()
    scene.api.apply(subjects.policy())
    want(stranger="refused", allowed="taken")
    return f"on {len(nodes)} nodes, {time.monotonic() - applied:.1f} s after it was applied"


_CLAIMS: Final[dict[str, Callable[[Scene], str]]] = {
    "memory volumes are memory": memory_volumes,
    "limits are in the live cgroups": limits_bite,
    "DNS answers from pods": dns_answers,
    "host processes reach Services": hosts_reach_services,
    "kubelets are guarded": kubelets_are_guarded,
    "logs are served": logs_are_served,
    "user namespaces work": user_namespaces,
}


def _examine(claim: str, check: Callable[[Scene], str], scene: Scene) -> Finding:
    try:
        return Finding(claim, check(scene))
    except ClusterError as failure:
        return Finding(claim, "", str(failure))


def _status(api: Api, path: str) -> int:
    try:
        api.request("GET", path)
    except ApiError as refused:
        return refused.status
    return http.client.OK


def _eventually(holds: Callable[[], bool], otherwise: str) -> None:
    """Try until it holds. Raises TimedOutError with `otherwise`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if holds():
                return
            last = ""
        except ClusterError as failure:
            last = f" ({failure})"
        if time.monotonic() > deadline:
            raise TimedOutError(f"{otherwise}: not within {PATIENCE_SECONDS:.0f} s{last}")
        time.sleep(RETRY_SECONDS)
