"""Claims about when a pod with claims that are not ready is touched, and how such a pod is told from others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from unit.builders import NOW, pod
from verticalmodel.api import names
from verticalmodel.claim_retry import seconds_until_touch
from verticalmodel.shell import projection


@pytest.mark.parametrize(
    ("placed_for", "retries", "wait"),
    [(0, 0, 3.0), (2, 0, 1.0), (3, 0, 0.0), (60, 0, 0.0), (4, 1, 6.0), (10, 1, 0.0), (11, 2, 19.0), (600, 3, None)],
)
def test_a_pod_is_touched_after_3_10_and_30_seconds_and_then_left_alone(
    placed_for: float, retries: int, wait: float | None
) -> None:
    waiting = pod(claims_unprepared_since=NOW - timedelta(seconds=placed_for), claim_retries=retries)
    assert seconds_until_touch(waiting, NOW) == wait


@pytest.mark.parametrize(
    "changes",
    [{"claims_unprepared_since": None}, {"deleting": True}, {"phase": "Failed"}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_pod_that_waits_for_no_claim_is_not_touched(changes: dict[str, Any]) -> None:
    assert seconds_until_touch(pod(**{"claims_unprepared_since": NOW - timedelta(minutes=1), **changes}), NOW) is None


def body(*, claims: bool = True, node: str = "node-1", **conditions: str) -> dict[str, Any]:
    when = NOW.isoformat()
    spec: dict[str, Any] = {"containers": [{"name": names.CONTAINER_SERVER}]}
    spec |= {"resourceClaims": [{"name": "gpu"}]} if claims else {}
    spec |= {"nodeName": node} if node else {}
    return {
        "metadata": {
            "name": "p",
            "uid": "u",
            "creationTimestamp": when,
            "annotations": {names.ANNOTATION_CLAIM_RETRY: "2"},
        },
        "spec": spec,
        "status": {
            "conditions": [
                {"type": kind, "status": said, "lastTransitionTime": when} for kind, said in conditions.items()
            ]
        },
    }


@pytest.mark.parametrize(
    ("obj", "waits"),
    [
        (body(PodScheduled="True"), True),
        (body(PodScheduled="True", PodReadyToStartContainers="False"), True),
        (body(PodScheduled="True", PodReadyToStartContainers="True"), False),
        (body(PodScheduled="True", claims=False), False),
        (body(PodScheduled="False", node=""), False),
        (body(), False),
    ],
)
def test_a_pod_waits_for_its_claims_from_its_node_to_its_sandbox(obj: dict[str, Any], waits: bool) -> None:  # noqa: FBT001
    observed = projection.pod(obj).observed
    assert observed.claims_unprepared_since == (NOW if waits else None)
    assert observed.claim_retries == 2


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "٣", "9" * 5000])
def test_a_count_that_is_none_counts_as_zero(text: str) -> None:
    obj = body()
    obj["metadata"]["annotations"][names.ANNOTATION_CLAIM_RETRY] = text
    assert projection.pod(obj).observed.claim_retries == 0
