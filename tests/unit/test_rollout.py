"""Claims about making way: pods that never served stop for a corrected template; nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from unit.builders import DIGEST, NOW, OLD_DIGEST, container, pod
from unit.test_plan import facts, model, planned
from unit.test_render import GPU, rendered
from verticalmodel.facts import ObservedPod
from verticalmodel.progress import progressing
from verticalmodel.rollout import make_way

NEVER_RAN = container(container_id="", running=False, waiting_reason="PodInitializing")


def failing(name: str = "earlier", **changes: Any) -> ObservedPod:
    """A pod of an earlier template that has never come up."""
    return pod(name, **{"ready": False, "template_digest": OLD_DIGEST, "containers": (NEVER_RAN,), **changes})


def strategy(*pods: ObservedPod, **spec: Any) -> tuple[Any, Any]:
    """The rollout's maxSurge and maxUnavailable."""
    rolling = rendered(make_way(planned(model(**spec), facts()), DIGEST, pods))["Deployment"]["spec"]["strategy"]
    return rolling["rollingUpdate"]["maxSurge"], rolling["rollingUpdate"]["maxUnavailable"]


@pytest.mark.parametrize("spec", [{}, {"rollout": {"surge": False}}, GPU], ids=["by default", "one first", "GPUs"])
def test_pods_that_never_served_make_way_all_at_once(spec: dict[str, Any]) -> None:
    waiting = pod("new", ready=False, node="", phase="Pending", containers=())
    assert strategy(failing(), failing("another"), waiting, **spec) == (0, "100%")


@pytest.mark.parametrize(
    "pods",
    [
        (),
        (pod(ready=False),),
        (failing(ready=True),),
        (failing(containers=(container(started=True),)),),
        (failing(was_ready=True),),
        (failing(), failing("another", was_ready=True)),
        (failing(deleting=True),),
        (failing(), failing("leaving", ready=True, deleting=True)),
        (failing(), failing("evicted", was_ready=True, phase="Failed")),
        (failing(owned=False),),
    ],
    ids=[
        "no pod",
        "none of an earlier template",
        "it serves",
        "it missed a probe",
        "it served once",
        "one of them served once",
        "it goes already",
        "one that served goes",
        "one that served was evicted",
        "a stranger's",
    ],
)
def test_nothing_else_makes_way(pods: tuple[ObservedPod, ...]) -> None:
    assert strategy(*pods) == (1, 0)


def test_a_wish_for_surge_is_kept_and_the_way_out_is_told() -> None:
    waiting = pod("new", ready=False, node="", phase="Pending", containers=(), unscheduled="0/1 nodes are available.")
    told = "; spec.rollout.surge: false stops one first"
    wished = planned(model(rollout={"surge": True}))
    assert strategy(failing(), waiting, rollout={"surge": True}) == (1, 0)
    said = progressing(wished, DIGEST, (failing(), waiting), (), NOW)
    assert (said.reason, said.message) == (
        "Unschedulable",
        "no node for new: 0/1 nodes are available. Pods of the earlier version keep their room until then (earlier)"
        + told,
    )
    assert told not in progressing(wished, DIGEST, (waiting,), (), NOW).message
    first = planned(model(rollout={"surge": False}))
    assert told not in progressing(first, DIGEST, (failing(), waiting), (), NOW).message
