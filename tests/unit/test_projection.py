"""Claims about what is kept of a pod: of each container its newest end, and which of them nobody waits for."""

from __future__ import annotations

from typing import Any

from verticalmodel.facts import ObservedContainer
from verticalmodel.shell import projection


def ended(code: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}}


def observed(status: dict[str, Any]) -> dict[str, ObservedContainer]:
    """Containers by name of a pod with an init container, a server and one for debugging."""
    spec = {
        "initContainers": [{"name": "unseal"}],
        "containers": [{"name": "server"}],
        "ephemeralContainers": [{"name": "debugger"}],
    }
    meta = {"name": "p", "uid": "u", "creationTimestamp": "2026-11-26T12:00:00Z"}
    pod = projection.pod({"metadata": meta, "spec": spec, "status": status}).observed
    return {one.name: one for one in (*pod.preparing, *pod.containers)}


def test_a_container_that_ended_well_at_last_is_not_shown_by_its_first_failure() -> None:
    status = {"name": "unseal", "state": ended(0), "lastState": ended(1), "restartCount": 1}
    assert observed({"initContainerStatuses": [status]})["unseal"].exit_code == 0


def test_a_container_that_waits_for_its_next_try_is_shown_by_its_last_end() -> None:
    status = {"name": "server", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended(3)}
    assert observed({"containerStatuses": [status]})["server"].exit_code == 3


def test_only_containers_for_debugging_are_marked_as_such() -> None:
    assert {name: one.ephemeral for name, one in observed({}).items()} == {
        "unseal": False,
        "server": False,
        "debugger": True,
    }
