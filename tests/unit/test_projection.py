"""Claims about what is kept of a pod: of each container its newest end, and which of them nobody waits for."""

from __future__ import annotations

from typing import Any

import pytest

from unit import builders
from unit.builders import canary_draft, evidence
from verticalmodel.api.evidence import Evidence
from verticalmodel.facts import ObservedContainer, ObservedPod
from verticalmodel.shell import projection
from verticalmodel.shell.projection import Packed


def ended(code: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}}


def pod(status: dict[str, Any]) -> ObservedPod:
    """A pod with an init container, a server and one for debugging."""
    spec = {
        "initContainers": [{"name": "unseal"}],
        "containers": [{"name": "server"}],
        "ephemeralContainers": [{"name": "debugger"}],
    }
    meta = {"name": "p", "uid": "u", "creationTimestamp": "2026-11-26T12:00:00Z"}
    return projection.pod({"metadata": meta, "spec": spec, "status": status}).observed


def observed(status: dict[str, Any]) -> dict[str, ObservedContainer]:
    """The pod's containers by name."""
    made = pod(status)
    return {one.name: one for one in (*made.preparing, *made.containers)}


def ready(status: str, since: str) -> dict[str, Any]:
    said = {"type": "Ready", "status": status, "lastTransitionTime": since}
    return {"startTime": "2026-11-26T12:00:01Z", "conditions": [said]}


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


@pytest.mark.parametrize(
    ("status", "was"),
    [
        ({}, False),
        (ready("False", "2026-11-26T12:00:01Z"), False),
        (ready("False", "2026-11-26T12:00:02Z"), False),
        (ready("True", "2026-11-26T12:00:09Z"), True),
        (ready("False", "2026-11-26T12:09:00Z"), True),
        (ready("False", "2026-11-26T11:09:00Z"), True),
        ({"conditions": [{"type": "Ready", "status": "False"}]}, True),
    ],
    ids=["no kubelet has it", "never", "never, written across a second", "it is", "it was", "set back", "who knows"],
)
def test_a_pod_that_was_ready_is_told_from_one_that_never_was(status: dict[str, Any], *, was: bool) -> None:
    assert pod(status).was_ready is was


NOWHERE = "0/3 nodes are available: 3 Insufficient memory"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"{NOWHERE}. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.", NOWHERE),
        (f"{NOWHERE}. still not schedulable, preemption: 0/3 nodes are available: 3 Preemption is", NOWHERE),
        (f"{NOWHERE}. no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is", NOWHERE),
        ('persistentvolumeclaim "models" not found. not found', 'persistentvolumeclaim "models" not found'),
        (f"{NOWHERE}.", f"{NOWHERE}."),
        ("", "Unschedulable"),
    ],
)
def test_of_the_schedulers_words_those_on_preemption_are_left_out(said: str, kept: str) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
    assert pod({"conditions": [condition]}).unscheduled == kept


def test_a_pod_that_is_ready_has_a_node_whatever_the_scheduler_said() -> None:
    """Two writers: a scheduler that is late may put its word beside that of the kubelet."""
    said = {"type": "PodScheduled", "status": "False", "message": NOWHERE}
    assert pod({"conditions": [said, {"type": "Ready", "status": "False"}]}).unscheduled == NOWHERE
    assert pod({"conditions": [said, {"type": "Ready", "status": "True"}]}).unscheduled == ""


def test_a_condition_without_a_time_tells_not_since_when_claims_wait() -> None:
    spec = {"nodeName": "n", "resourceClaims": [{"name": "gpu"}], "containers": []}
    meta = {"name": "p", "uid": "u", "creationTimestamp": "2026-11-26T12:00:00Z"}
    status = {"conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": None}]}
    assert projection.pod({"metadata": meta, "spec": spec, "status": status}).observed.claims_unprepared_since is None


def test_evidence_that_cannot_be_read_says_nothing() -> None:
    whole = evidence([canary_draft(builders.pod())]).model_dump(mode="json", by_alias=True)
    assert read(whole) is not None
    whole["spec"]["entries"][0]["measuredAt"] = "2026-02-30T12:00:00Z"
    assert read(whole) is None


def read(body: dict[str, Any]) -> Evidence | None:
    return projection.read_evidence(Packed.of(body))
