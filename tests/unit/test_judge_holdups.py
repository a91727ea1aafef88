"""Why pods do not come up: typed by what scheduler and kubelet report, with field, value and what is allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from unit.builders import DIGEST, World, container, model, pod
from verticalmodel.facts import ObservedClaim, ObservedContainer, ObservedPod
from verticalmodel.judge.ready import ready
from verticalmodel.judge.verdict import Rollup

WAITING = container(running=False, waiting_reason="ContainerCreating", container_id="")
UNSEAL = container("unseal", running=True)


def crashed(code: int, reason: str = "Error", **changes: Any) -> ObservedContainer:
    """A server that has ended three times and waits for its next try."""
    ended = {"running": False, "waiting_reason": "CrashLoopBackOff", "restarts": 3, "exit_code": code}
    return container(**{**ended, "exit_reason": reason, **changes})


def starting(*containers: ObservedContainer, **changes: Any) -> ObservedPod:
    return pod(**{"ready": False, "containers": containers, **changes})


def homeless(why: str = "") -> ObservedPod:
    return starting(phase="Pending", node="", unscheduled=why)


HELD_UP: dict[str, tuple[ObservedPod, str, str]] = {
    "an image that cannot be pulled": (
        starting(WAITING, container(running=False, waiting_reason="ImagePullBackOff", image="registry.example/a:1")),
        "ImageNotPulled",
        (
            "image 'registry.example/a:1' of container server (spec.image of ModelRuntime 'oip-onnx') cannot be "
            "pulled; it must be one that node node-1 can pull, with credentials in spec.pod.imagePullSecrets where its "
            "registry wants some; `kubectl describe pod breast-screening-a` quotes the registry"
        ),
    ),
    "an image of the operator's own that cannot be pulled": (
        starting(WAITING, preparing=(container("unseal", running=False, waiting_reason="ErrImagePull", image="u:1"),)),
        "ImageNotPulled",
        "image 'u:1' of container unseal (the operator's own setting) cannot be pulled",
    ),
    "an image whose name is none": (
        starting(container(running=False, waiting_reason="InvalidImageName", image="A:B:C")),
        "ImageNotPulled",
        "image 'A:B:C' of container server (spec.image of ModelRuntime 'oip-onnx') cannot be used (InvalidImageName)",
    ),
    "a container that cannot be configured": (
        starting(container(running=False, waiting_reason="CreateContainerConfigError")),
        "ContainerNotCreated",
        "container server cannot be made (CreateContainerConfigError); `kubectl describe pod breast-screening-a`",
    ),
    "a command that is not in the image": (
        starting(crashed(128, "StartError", exit_message="exec: serve: executable file not found in $PATH")),
        "ContainerNotCreated",
        "container server cannot be made (CrashLoopBackOff) after 3 restarts: exec: serve: executable file not found",
    ),
    "a server that exits, with what it left to be read": (
        starting(crashed(3, exit_message='{"reason":\n"no model"}')),
        "ContainerExited",
        (
            'container server ended by itself with exit code 3 after 3 restarts: {"reason": "no model"}; '
            "`kubectl logs breast-screening-a -c server --previous` shows what it printed"
        ),
    ),
    "a server that exits as if all were well": (
        starting(crashed(0, "Completed")),
        "ContainerExited",
        "container server ended by itself with exit code 0 after 3 restarts;",
    ),
    "a server that has come back and not answered since it ended": (
        starting(container(restarts=1, exit_code=1, exit_message="no such file")),
        "ContainerExited",
        "container server ended by itself with exit code 1 after 1 restarts: no such file;",
    ),
    "a server that was ended for not answering": (
        starting(crashed(137)),
        "ContainerKilled",
        (
            "container server was ended by SIGKILL (exit code 137) after 3 restarts; "
            "the kubelet does so where probes go unanswered"
        ),
    ),
    "a server that was ended by a signal that nobody knows": (
        starting(crashed(255)),
        "ContainerKilled",
        "container server was ended by signal 127 (exit code 255)",
    ),
    "a server that needs more memory": (
        starting(crashed(137, "OOMKilled")),
        "OutOfMemory",
        "spec.resources.memory: 1Gi was not enough for container server after 3 restarts; raise it",
    ),
    "a guard that needs more memory": (
        starting(crashed(137, "OOMKilled", name="guard", limits={"memory": "32Mi"})),
        "OutOfMemory",
        "spec.guard.memory of the ModelRuntime: 32Mi was not enough for container guard after 3 restarts; raise it",
    ),
    "parameters that needed more memory": (
        starting(WAITING, preparing=(replace(crashed(137, "OOMKilled"), name="unseal"),)),
        "OutOfMemory",
        "spec.resources.memory: 1Gi was not enough for container unseal",
    ),
    "a pod that the scheduler cannot place": (
        homeless("0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
        "Unschedulable",
        "Pod breast-screening-a: no node: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
    ),
    "a pod of which the scheduler has said nothing": (
        homeless(),
        "PodsNotReady",
        "no node yet; `kubectl describe pod breast-screening-a` says why",
    ),
    "parameters that are being delivered": (
        starting(WAITING, preparing=(UNSEAL,)),
        "PodsNotReady",
        "container unseal delivers the parameters",
    ),
    "parameters that are about to be delivered": (
        starting(preparing=(container("unseal", running=False),)),
        "PodsNotReady",
        "container unseal does not run yet",
    ),
    "parameters that were delivered": (
        starting(container(), preparing=(container("unseal", running=False, exit_code=0, exit_reason="Completed"),)),
        "PodsNotReady",
        "container server runs and has not answered its startup probe yet",
    ),
    "containers that are being created": (
        starting(WAITING),
        "PodsNotReady",
        "container server waits (ContainerCreating)",
    ),
    "a container that waits for a reason of which nothing is known": (
        starting(container(running=False, waiting_reason="Sulking")),
        "PodsNotReady",
        "container server waits (Sulking)",
    ),
    "a server that has started, is not ready, and ended long ago": (
        starting(container(started=True, restarts=1, exit_code=1)),
        "PodsNotReady",
        "container server runs and is not ready",
    ),
    "a container of which nothing is known": (
        starting(container(running=False, container_id="")),
        "PodsNotReady",
        "container server does not run yet",
    ),
    "a container for debugging that has ended": (
        starting(WAITING, container("debugger", running=False, exit_code=1, exit_reason="Error", ephemeral=True)),
        "PodsNotReady",
        "container server waits (ContainerCreating)",
    ),
    "a pod of which nothing is known": (
        starting(),
        "PodsNotReady",
        "Pod breast-screening-a: phase Running on node node-1",
    ),
}


@pytest.mark.parametrize("case", HELD_UP)
def test_a_model_that_is_not_ready_tells_of(case: str) -> None:
    one, reason, clue = HELD_UP[case]
    found = ready(World(model=model(replicas=1), pods=(one,)).observed(), DIGEST)
    assert (found.status, found.reason) == ("False", reason), found.message
    assert clue in found.message


@pytest.mark.parametrize(
    ("phase", "reason", "clue"),
    [
        (
            "",
            "ClaimNotFound",
            (
                "spec.source.uri: pvc://models/breast needs PersistentVolumeClaim 'models', and there is none in "
                "namespace 'radiology'; create it, or name one that `kubectl get pvc -n radiology` lists."
            ),
        ),
        ("Pending", "Unschedulable", "no node: unbound; PersistentVolumeClaim 'models' is Pending."),
        ("Bound", "Unschedulable", "no node: unbound."),
    ],
)
def test_a_pod_without_a_node_tells_of_its_claim(phase: str, reason: str, clue: str) -> None:
    observed = World(model=model(replicas=1), pods=(homeless("unbound"),)).observed()
    found = ready(replace(observed, claim=ObservedClaim("models", phase)), DIGEST)
    assert found == Rollup("Ready", "False", reason, f"0 of 1 pods are Ready. Pod breast-screening-a: {clue}")


def test_the_pod_that_fails_is_named_before_the_one_that_is_on_its_way() -> None:
    failing = starting(container(pod="z", running=False, waiting_reason="ErrImagePull"), name="z")
    found = ready(World(pods=(starting(WAITING, name="a"), failing)).observed(), DIGEST)
    assert found.reason == "ImageNotPulled"
    assert found.message.startswith("0 of 2 pods are Ready. Pod z: ")


def test_a_container_that_says_too_much_is_cut() -> None:
    found = ready(World(pods=(starting(crashed(1, exit_message="x" * 512)),)).observed(), DIGEST)
    assert "x" * 199 + "…" in found.message
