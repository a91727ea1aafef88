"""What exists to be measured, read from API objects as they are served."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from verticalmodel.api import names
from verticalmodel.api.evidence import Binding
from verticalmodel.probe.model import Model
from verticalmodel.probe.projection import lifetimes_from, node_from, pod_from, service_from, wish_from
from verticalmodel.probe.transport import Target
from verticalmodel.probe.world import Container, End, Expected, Node, Pod, Service, Wish

GUARD, SERVER = "a" * 64, "b" * 64


def container(name: str, identity: str, **changes: Any) -> dict[str, Any]:
    running = {"running": {"startedAt": "2026-11-23T09:22:55Z"}}
    return {"name": name, "containerID": f"containerd://{identity}", "state": running, **changes}


def raw_pod(meta: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """A running pod of a model, with an init container that has ended."""
    return {
        "metadata": {"name": "m-0", "uid": "uid-0", "labels": {names.LABEL_MODEL: "m"}, **(meta or {})},
        "spec": {
            "nodeName": "node-1",
            "initContainers": [{"name": "unseal"}, {"name": "guard", "restartPolicy": "Always"}],
            "containers": [{"name": "server"}],
            **(spec or {}),
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            "initContainerStatuses": [
                container("unseal", "c" * 64, state={"terminated": {"exitCode": 0}}),
                container("guard", GUARD),
            ],
            "containerStatuses": [container("server", SERVER)],
            **status,
        },
    }


STARTED = datetime(2026, 11, 23, 9, 22, 55, tzinfo=UTC)
POD = Pod(
    name="m-0",
    uid="uid-0",
    model="m",
    node="node-1",
    ip="10.0.0.1",
    ready=True,
    containers=(Container("server", SERVER, True, STARTED), Container("guard", GUARD, True, STARTED)),  # noqa: FBT003
    milestones=(("started", STARTED),),
)


def test_a_running_pod_is_read_with_its_sidecars_and_without_what_has_ended() -> None:
    assert pod_from(raw_pod()) == POD


def test_the_newest_ends_of_guard_and_server_are_kept() -> None:
    def ended(second: int, code: int = 1) -> dict[str, Any]:
        return {"terminated": {"finishedAt": f"2026-11-23T09:20:{second:02}Z", "exitCode": code, "reason": "Error"}}

    again = container("server", SERVER, lastState=ended(5, 137))
    stopped = container("guard", GUARD, state=ended(9, 0), lastState=ended(1))
    other = container("helper", "h" * 64, lastState=ended(7))
    found = pod_from(raw_pod(containerStatuses=[again, other], initContainerStatuses=[stopped]))
    assert found is not None
    assert found.ends == (
        End("server", datetime(2026, 11, 23, 9, 20, 5, tzinfo=UTC), 137, "Error"),
        End("guard", datetime(2026, 11, 23, 9, 20, 9, tzinfo=UTC), 0, "Error"),
    )


def test_a_container_for_debugging_that_has_ended_is_none_of_the_pod() -> None:
    ended = container("debugger", "d" * 64, state={"terminated": {"exitCode": 0}})
    waits = container("waits", "", state={"waiting": {"reason": "ContainerCreating"}})
    found = pod_from(raw_pod(ephemeralContainerStatuses=[ended, waits, container("shell", "e" * 64)]))
    assert found is not None
    assert [one.name for one in found.containers] == ["server", "guard", "waits", "shell"]


@pytest.mark.parametrize(
    "raw",
    [
        raw_pod(meta={"deletionTimestamp": "2026-11-23T09:30:00Z"}),
        raw_pod(phase="Succeeded"),
        raw_pod(phase="Failed"),
    ],
    ids=["leaving", "succeeded", "failed"],
)
def test_a_pod_that_serves_nobody_is_not_measured(raw: dict[str, Any]) -> None:
    assert pod_from(raw) is None


def test_debugging_containers_and_shared_namespaces_are_seen() -> None:
    spec = {"hostPID": True, "hostNetwork": True, "hostIPC": False}

    found = pod_from(raw_pod(spec=spec, ephemeralContainerStatuses=[container("debugger", "d" * 64)]))

    assert found is not None
    assert found.shares_host == ("hostPID", "hostNetwork")
    assert [one.name for one in found.containers] == ["server", "guard", "debugger"]


def test_a_pod_that_has_just_been_placed_is_read() -> None:
    raw = raw_pod()
    raw["status"] = {"phase": "Pending"}

    found = pod_from(raw)

    assert found is not None
    assert (found.ip, found.ready, found.containers, found.guard) == ("", False, (), "")


def model(*pods: Pod, service: Service | None = None) -> Model:
    return Model("ns", "m", "uid-m", pods, service, {})


def test_the_guard_of_each_pod_and_the_service_are_endpoints() -> None:
    found = model(POD, service=Service("m", "uid-s", "10.96.0.9")).targets()

    assert found == (
        Target("pod/m-0:8443", "10.0.0.1", 8443, "m.ns.svc", Binding(pod_uid="uid-0"), GUARD[:12]),
        Target("service/m:443", "10.96.0.9", 443, "m.ns.svc", Binding(service_uid="uid-s")),
    )


def test_a_pod_that_is_not_placed_yet_is_seen_and_nothing_of_it_is_expected() -> None:
    """Its start began with its creation."""
    found = pod_from(raw_pod(spec={"nodeName": ""}, phase="Pending", initContainerStatuses=[], containerStatuses=[]))
    assert found is not None
    assert (found.node, model(found).expected()) == ("", {})


def test_the_phases_of_a_start_are_read_from_the_stamps_of_api_server_and_kubelet() -> None:
    def at(second: int) -> str:
        return f"2026-11-23T09:22:{second:02}Z"

    ended = {"exitCode": 0, "startedAt": at(40), "finishedAt": at(43)}
    found = pod_from(
        raw_pod(
            meta={"annotations": {names.ANNOTATION_TEMPLATE_DIGEST: "sha256:" + "1" * 64}},
            conditions=[
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(31)},
                {"type": "Ready", "status": "True", "lastTransitionTime": at(58)},
                {"type": "ContainersReady", "status": "False", "lastTransitionTime": at(59)},
            ],
            initContainerStatuses=[container("unseal", "c" * 64, state={"terminated": ended})],
        )
    )
    assert found is not None
    assert found.template_digest == "sha256:" + "1" * 64
    assert [(name, end.second) for name, end in found.milestones] == [
        ("scheduled", 31),
        ("image", 40),
        ("unsealed", 43),
        ("started", 55),
        ("loaded", 58),
    ]


@pytest.mark.parametrize("written", ["", "sha256:x", "sha256:" + "1" * 63, "x\nsha256:" + "1" * 64])
def test_a_strangers_pod_that_names_no_digest_is_of_no_template(written: str) -> None:
    found = pod_from(raw_pod(meta={"annotations": {names.ANNOTATION_TEMPLATE_DIGEST: written}}))
    assert found is not None
    assert found.template_digest == ""


def test_a_start_is_expected_of_a_pod_that_was_seen_from_its_beginning() -> None:
    digest = "sha256:" + "1" * 64
    one = changed(conditions=[{"type": "Ready", "status": "True"}])
    ours = replace(one, template_digest=digest)
    key = ("cold-start", "start/m-0")

    assert key not in model(ours).expected()
    begun = replace(model(ours), begun=frozenset({ours.uid}))
    assert begun.expected()[key] == Expected(Binding(pod_uid="uid-0", template_digest=digest))
    assert key not in replace(begun, pods=(one,)).expected(), "not of a template of ours"
    assert key not in replace(begun, pods=(replace(ours, ready=False),)).expected()


def changed(**changes: Any) -> Pod:
    found = pod_from(raw_pod(**changes))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (
            POD,
            {
                "pod/m-0:8443",
                "pod/m-0/guard",
                "pod/m-0/server",
                "pod/m-0/near",
                "pod/m-0/far",
                "pod/m-0",
                "service/m:443",
            },
        ),
        (changed(conditions=[]), {"pod/m-0:8443", "pod/m-0/guard", "pod/m-0/server", "pod/m-0"}),
        (changed(containerStatuses=[]), {"pod/m-0:8443", "pod/m-0/guard", "pod/m-0", "service/m:443"}),
        (changed(initContainerStatuses=[]), {"pod/m-0/server", "pod/m-0", "service/m:443"}),
        (changed(podIP=""), {"pod/m-0/guard", "pod/m-0/server", "pod/m-0", "service/m:443"}),
    ],
    ids=["serving", "not ready", "no server yet", "no guard yet", "no address yet"],
)
def test_only_what_can_be_expected_to_answer_is_asked(pod: Pod, expected: set[str]) -> None:
    found = model(pod, service=Service("m", "uid-s", "10.96.0.9")).expected()

    assert {instance for _, instance in found} == expected


def test_each_expectation_names_the_container_that_it_is_about() -> None:
    binding = Binding(pod_uid="uid-0")

    assert model(POD).expected() == {
        ("transport-encrypted", "pod/m-0:8443"): Expected(binding, GUARD[:12]),
        ("sandbox-enforced", "pod/m-0/guard"): Expected(binding, GUARD[:12]),
        ("sandbox-enforced", "pod/m-0/server"): Expected(binding, SERVER[:12]),
        ("operating-system-supported", "pod/m-0"): Expected(binding),
        ("canary-answer", "pod/m-0"): Expected(binding, SERVER[:12]),
        ("framework-supported", "pod/m-0"): Expected(binding, SERVER[:12]),
        ("loading-api-standard", "pod/m-0"): Expected(binding, SERVER[:12]),
        ("tenants-isolated", "pod/m-0"): Expected(binding, SERVER[:12]),
        ("scenarios-isolated", "pod/m-0/near"): Expected(binding),
        ("scenarios-isolated", "pod/m-0/far"): Expected(binding),
    }


def test_an_instance_lives_as_long_as_what_it_is_bound_to() -> None:
    now = model(POD, service=Service("m", "uid-s", "10.96.0.9"))
    binding = Binding(pod_uid="uid-0")

    assert now.alive(("canary-answer", "pod/m-0"), binding)
    assert now.alive(("sandbox-enforced", "pod/m-0/server"), binding)
    assert not now.alive(("sandbox-enforced", "pod/m-0/removed"), binding)
    assert not now.alive(("canary-answer", "pod/m-0"), Binding(pod_uid="uid-of-its-namesake"))
    assert now.alive(("transport-encrypted", "service/m:443"), Binding(service_uid="uid-s"))
    assert not now.alive(("transport-encrypted", "service/m:443"), Binding(service_uid="uid-of-its-namesake"))


@pytest.mark.parametrize(
    ("address", "expected"), [("10.96.0.9", Service("m", "u", "10.96.0.9")), ("None", None), ("", None)]
)
def test_a_headless_service_is_no_endpoint(address: str, expected: Service | None) -> None:
    assert service_from({"metadata": {"name": "m", "uid": "u"}, "spec": {"clusterIP": address}}) == expected


def test_a_node_is_where_its_kubelet_listens() -> None:
    addresses = [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "10.0.0.2"}]
    status = {"addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": 11250}}}

    assert node_from({"metadata": {"name": "n"}, "status": status}) == Node("n", "10.0.0.2", 11250)
    assert node_from({"metadata": {"name": "n"}, "status": {"addresses": addresses}}) == Node("n", "10.0.0.2", 10250)
    assert node_from({"metadata": {"name": "n"}, "status": {}}) is None

    told = {"operatingSystem": "linux", "osImage": "Debian GNU/Linux 13", "kernelVersion": "6.12.0", "bootID": "b"}
    assert node_from({"metadata": {"name": "n"}, "status": {"addresses": addresses, "nodeInfo": told}}) == Node(
        "n", "10.0.0.2", 10250, "linux", "Debian GNU/Linux 13", "6.12.0"
    )


def test_a_model_is_read_with_its_rulebook_and_not_once_it_is_on_its_way_out() -> None:
    meta = {"namespace": "ns", "name": "m", "uid": "u"}
    spec = {"runtime": {"name": "r"}}

    assert wish_from({"metadata": meta, "spec": spec}) == Wish("ns", "m", "u", names.DEFAULT_STANDARD, "r")
    assert wish_from({"metadata": meta, "spec": {**spec, "standard": {"name": "own"}}}) == Wish(
        "ns", "m", "u", "own", "r"
    )
    assert wish_from({"metadata": {**meta, "deletionTimestamp": "2026-11-23T09:30:00Z"}, "spec": spec}) is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-27T08:00:00Z", datetime(2026, 11, 27, 8, tzinfo=UTC)),
        ("2026-11-27T09:00:00+01:00", datetime(2026, 11, 27, 8, tzinfo=UTC)),
        ("2026-11-27T08:00:00", None),
        ("now", None),
        ("", None),
    ],
)
def test_a_request_to_measure_is_a_moment_with_a_time_zone(written: str, expected: datetime | None) -> None:
    meta = {"namespace": "ns", "name": "m", "uid": "u", "annotations": {"verticalmodel.io/measure": written}}
    found = wish_from({"metadata": meta, "spec": {"runtime": {"name": "r"}}})

    assert found is not None
    assert found.asked_at == expected


def test_lifetimes_are_those_of_the_clauses_that_we_measure() -> None:
    clauses = [
        {"measure": "transport-encrypted", "lifetimeSeconds": 300},
        {"measure": "logs-retained", "lifetimeSeconds": 9},
    ]

    assert lifetimes_from({"spec": {"clauses": clauses}}) == {"transport-encrypted": 300.0}
