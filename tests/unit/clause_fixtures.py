"""What must pass, fail and stay unknown for each clause with a measure, as changes of a good world.

The changes name no pod, so they apply to built worlds and to a dressed render alike (the loop closer). A clause that
no change can break is not checked at all, and a test refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from unit.builders import CANARY, NOW, SANDBOX, TRANSPORT, World, container, sandbox_draft
from unit.fixture_changes import Change, Fixtures, at, passing_for, unknown_for
from unit.gpu_clause_fixtures import MEMORY_FIXTURES
from unit.pod_clause_fixtures import POD_FIXTURES
from unit.stranger_clause_fixtures import STRANGER_FIXTURES
from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.facts import ObservedContainer


def _pod_port(world: World, position: int = 0) -> str:
    return f"pod/{world.pods[position].name}:8443"


def _service_port(world: World) -> str:
    return f"service/{world.model.metadata.name}:443"


def _box(world: World, name: str = names.CONTAINER_SERVER) -> str:
    return f"pod/{world.pods[0].name}/{name}"


def _seen(place: Callable[[World], str], **seen: str | None) -> Change:
    """Observations of a transport look changed; keywords as in transport_draft."""
    dotted = {"tls13": "tls1.3", "tls12": "tls1.2", "tls11": "tls1.1", "tls10": "tls1.0"}
    named = {dotted.get(name, name.replace("_", ".")): text for name, text in seen.items()}
    return at(TRANSPORT, place, seen=named)


def _accepting(place: Callable[[World], str], value: float, **seen: str) -> Change:
    change = _seen(place, **seen)
    return lambda world: change(world).changed(TRANSPORT, place(world), value=value)


def _born(**seconds_ago: float) -> Change:
    """The first pod, and all others, made so long ago."""

    def change(world: World) -> World:
        made = [
            NOW - timedelta(seconds=seconds_ago["first" if not place else "others"]) for place in range(len(world.pods))
        ]
        pods = tuple(replace(one, created_at=moment) for one, moment in zip(world.pods, made, strict=True))
        return replace(world, pods=pods)

    return change


_TLS12 = "accepted TLS 1.2 ECDHE-ECDSA-AES256-GCM-SHA384"

TRANSPORT_FIXTURES = Fixtures(
    passing={
        **passing_for(TRANSPORT),
        "old versions are refused by other alerts of refusal": _seen(
            _pod_port, tls12="refused alert handshake_failure", tls10="refused alert insufficient_security"
        ),
        "plain text is refused by an alert": _seen(_pod_port, plain="refused alert decode_error"),
        "the look names the guard that runs": lambda world: world.changed(
            TRANSPORT, _pod_port(world), seen={"container": world.pods[0].containers[0].container_id[:12]}
        ),
        "the controls are exactly a second apart": _seen(_pod_port, control_gapSeconds="1.000"),
        "entries of other measures are missing": lambda world: world.without(SANDBOX).without(CANARY),
        "a pod behind the Service is as old as the look": _born(first=90, others=30),
    },
    failing={
        "a pod accepts TLS 1.2": _accepting(_pod_port, 1.2, tls12=_TLS12),
        "the Service accepts TLS 1.2": _accepting(_service_port, 1.2, tls12=_TLS12),
        "a pod accepts TLS 1.1": _accepting(_pod_port, 1.1, tls11="accepted TLS 1.1 ECDHE-RSA-AES128-SHA"),
        "a pod answers in plain text": _accepting(_pod_port, 0, plain="accepted HTTP 200"),
        "the Service answers in plain text and in TLS 1.2": _accepting(
            _service_port, 0, plain="accepted HTTP/2", tls12=_TLS12
        ),
        "a pod that is not ready accepts TLS 1.0": lambda world: _accepting(
            _pod_port, 1.0, tls10="accepted TLS 1.0 AES128-SHA"
        )(world.with_pod(0, ready=False)),
        "a pod answers the offer of TLS 1.2 with TLS 1.0": _accepting(
            _pod_port, 1.0, tls12="accepted TLS 1.0 AES128-SHA"
        ),
        "a pod accepts TLS 1.2 and nothing newer": _accepting(
            _pod_port,
            1.2,
            tls12=_TLS12,
            tls13="inconclusive alert protocol_version",
            control_before="inconclusive alert protocol_version",
            control_after="inconclusive alert protocol_version",
            certificate_verified="false",
        ),
        "one endpoint accepts TLS 1.2 and the others were not measured": lambda world: replace(
            _accepting(_pod_port, 1.2, tls12=_TLS12)(world),
            drafts=tuple(
                one
                for one in _accepting(_pod_port, 1.2, tls12=_TLS12)(world).drafts
                if one["measure"] == TRANSPORT and one["instance"] == _pod_port(world)
            ),
        ),
        "the Service accepted TLS 1.2 before all pods went away": lambda world: replace(
            _accepting(_service_port, 1.2, tls12=_TLS12)(world), pods=()
        ),
    },
    unknown={
        **unknown_for(TRANSPORT, _pod_port),
        "the Service was not measured": (
            ClauseReason.NOT_MEASURED,
            lambda world: world.without(TRANSPORT, _service_port(world)),
        ),
        "the Service does not exist": (ClauseReason.NOT_MEASURED, lambda world: replace(world, service=None)),
        "all pods behind the Service are younger than the look": (
            ClauseReason.NOT_MEASURED,
            _born(first=30, others=29),
        ),
        "the Service was created anew": (
            ClauseReason.NOT_MEASURED,
            lambda world: replace(world, service=replace(world.service, uid="another")) if world.service else world,
        ),
        "1.3 is claimed although TLS 1.2 was accepted": (ClauseReason.INCONSISTENT, _seen(_pod_port, tls12=_TLS12)),
        "1.3 is claimed although plain text was answered": (
            ClauseReason.INCONSISTENT,
            _seen(_service_port, plain="accepted HTTP 200"),
        ),
        "1.2 is claimed although everything old was refused": (
            ClauseReason.INCONSISTENT,
            at(TRANSPORT, _pod_port, value=1.2),
        ),
        "a limit far above what exists is claimed": (ClauseReason.INCONSISTENT, at(TRANSPORT, _pod_port, value=9.9)),
        "the guard has restarted since": (ClauseReason.NOT_MEASURED, _seen(_pod_port, container="0123456789ab")),
        "the look names no guard": (ClauseReason.NOT_MEASURED, _seen(_pod_port, container="")),
        "TLS 1.2 was refused by an alert of another kind": (
            ClauseReason.INCONSISTENT,
            _seen(_pod_port, tls12="refused alert internal_error"),
        ),
        "TLS 1.2 was refused by a closed connection": (
            ClauseReason.INCONSISTENT,
            _seen(_pod_port, tls12="refused closed"),
        ),
        "an answer is not called a refusal": (
            ClauseReason.INCONSISTENT,
            _seen(_pod_port, tls12="alert protocol_version"),
        ),
        "the offer of TLS 1.1 came to no conclusion": (
            ClauseReason.INCONSISTENT,
            _seen(_pod_port, tls11="inconclusive timeout"),
        ),
        "TLS 1.0 was never offered": (ClauseReason.INCONSISTENT, _seen(_pod_port, tls10=None)),
        "plain text was refused by a time-out": (
            ClauseReason.INCONSISTENT,
            _seen(_pod_port, plain="refused timeout"),
        ),
        "TLS 1.3 was not accepted": (ClauseReason.INCONSISTENT, _seen(_pod_port, tls13="inconclusive timeout")),
        "there was no control before": (ClauseReason.INCONSISTENT, _seen(_pod_port, control_before=None)),
        "the control after failed": (
            ClauseReason.INCONSISTENT,
            _seen(_pod_port, control_after="inconclusive timeout"),
        ),
        "the controls were too far apart": (ClauseReason.INCONSISTENT, _seen(_pod_port, control_gapSeconds="1.001")),
        "the controls' distance is missing": (ClauseReason.INCONSISTENT, _seen(_pod_port, control_gapSeconds=None)),
        "the controls' distance is not a number": (
            ClauseReason.INCONSISTENT,
            _seen(_pod_port, control_gapSeconds="nan"),
        ),
        "the control after came before": (ClauseReason.INCONSISTENT, _seen(_pod_port, control_gapSeconds="-0.1")),
        "the certificate did not verify": (
            ClauseReason.PROBE_FAILED,
            _seen(_pod_port, certificate_verified="false"),
        ),
        "whether the certificate verified is missing": (
            ClauseReason.PROBE_FAILED,
            _seen(_pod_port, certificate_verified=None),
        ),
    },
)


def _cgroup(value: float, **seen: str | None) -> Change:
    return at(SANDBOX, _box, value=value, seen=seen)


def _with_container(box: ObservedContainer, *, measured: bool, value: float = 0) -> Change:
    """Somebody adds a container to the first pod."""

    def change(world: World) -> World:
        owner = world.pods[0]
        more = world.with_pod(0, containers=(*owner.containers, box))
        look = (sandbox_draft(owner, box, value=value),) if measured else ()
        return replace(more, drafts=(*more.drafts, *look))

    return change


def _server(world: World, **changes: Any) -> World:
    """The server container of the first pod changed, evidence left as it was."""
    boxes = tuple(
        replace(box, **changes) if box.name == names.CONTAINER_SERVER else box for box in world.pods[0].containers
    )
    return world.with_pod(0, containers=boxes)


SANDBOX_FIXTURES = Fixtures(
    passing={
        **passing_for(SANDBOX),
        "limits are tighter than declared": _cgroup(0, memoryLimitBytes="67108864", cpuQuotaMicroseconds="5000"),
        "a CPU quota is rounded up to the next percent of a core": lambda world: _server(
            world.changed(SANDBOX, _box(world), seen={"cpuQuotaMicroseconds": "13000"}), limits={"cpu": "125m"}
        ),
        "a debugging container has ended": _with_container(
            container("debugger", pod="x", running=False, limits={}), measured=False
        ),
        "a further container is limited and measured": _with_container(
            container("sidecar", pod="x", limits={"cpu": "100m", "memory": "64Mi"}), measured=True
        ),
        "a container declares no limits and is limited by its node all the same": _cgroup(0),
        "the kernel was read exactly as long ago as allowed": _cgroup(0, sampleAgeSeconds="60"),
        "entries of other measures are missing": lambda world: world.without(TRANSPORT).without(CANARY),
    },
    failing={
        "a container has no memory limit": _cgroup(1, memoryLimitBytes="0"),
        "a container has no CPU quota": _cgroup(1, cpuQuotaMicroseconds="-1"),
        "a container's number of processes is not limited": _cgroup(1, pidsMax="max"),
        "a limit is not among the observations": _cgroup(1, pidsMax=None),
        "a container has no limit at all": _cgroup(3, memoryLimitBytes="0", cpuQuotaMicroseconds="0", pidsMax="0"),
        "the memory limit is above what the pod declares": _cgroup(0, memoryLimitBytes=str(2**40)),
        "the CPU quota is above what the pod declares": _cgroup(0, cpuQuotaMicroseconds="100000000"),
        "the guard has no memory limit": lambda world: world.changed(
            SANDBOX, _box(world, names.CONTAINER_GUARD), value=1, seen={"memoryLimitBytes": "0"}
        ),
        "somebody added a container without limits": _with_container(
            container("miner", pod="x", limits={}), measured=True, value=2
        ),
        "the pod shares the host's processes": lambda world: world.with_pod(0, shares_host=("hostPID",)),
        "the pod shares the host's network and the measurer saw it": lambda world: world.with_pod(
            0, shares_host=("hostNetwork",)
        ).changed(SANDBOX, value=1),
        "the pod's containers share their processes": lambda world: world.with_pod(
            1, shares_host=("shareProcessNamespace",)
        ),
        "the pod shares the host's processes and nothing was measured": lambda world: replace(
            world.with_pod(0, shares_host=("hostPID",)), drafts=()
        ),
        "one container has no limit and another one was not measured": lambda world: _cgroup(1, memoryLimitBytes="0")(
            world.without(SANDBOX, _box(world, names.CONTAINER_GUARD))
        ),
        "a pod that is not ready has no limit": lambda world: _cgroup(1, pidsMax="0")(world.with_pod(0, ready=False)),
    },
    unknown={
        **unknown_for(SANDBOX, _box),
        "somebody added a container that nobody measured": (
            ClauseReason.NOT_MEASURED,
            _with_container(container("miner", pod="x", limits={}), measured=False),
        ),
        "a further container waits to run": (
            ClauseReason.NOT_MEASURED,
            _with_container(container("late", running=False, waiting_reason="ImagePullBackOff"), measured=False),
        ),
        "the server does not run": (
            ClauseReason.NOT_MEASURED,
            lambda world: _server(
                world.without(SANDBOX, _box(world)), running=False, waiting_reason="CrashLoopBackOff"
            ),
        ),
        "the server has ended and does not wait yet": (
            ClauseReason.NOT_MEASURED,
            lambda world: _server(world, running=False),
        ),
        "the containers of a pod are not known": (
            ClauseReason.NOT_MEASURED,
            lambda world: world.with_pod(0, containers=()),
        ),
        "the container has restarted since": (
            ClauseReason.NOT_MEASURED,
            lambda world: _server(world, container_id="f" * 64),
        ),
        "the container has no id": (ClauseReason.NOT_MEASURED, lambda world: _server(world, container_id="")),
        "the cgroup that was read is not known": (ClauseReason.NOT_MEASURED, _cgroup(0, cgroup=None)),
        "no missing limit is claimed although memory is not limited": (
            ClauseReason.INCONSISTENT,
            _cgroup(0, memoryLimitBytes="0"),
        ),
        "a missing limit is claimed although all are there": (ClauseReason.INCONSISTENT, _cgroup(1)),
        "the kernel was read too long ago": (ClauseReason.INCONSISTENT, _cgroup(0, sampleAgeSeconds="61")),
        "when the kernel was read is missing": (ClauseReason.INCONSISTENT, _cgroup(0, sampleAgeSeconds=None)),
        "the kernel was read in the future": (ClauseReason.INCONSISTENT, _cgroup(0, sampleAgeSeconds="-1")),
    },
)

FIXTURES: Mapping[int, Fixtures] = {
    1: MEMORY_FIXTURES,
    13: TRANSPORT_FIXTURES,
    30: SANDBOX_FIXTURES,
    34: STRANGER_FIXTURES,
    **POD_FIXTURES,
}
"""By number of the clause."""
