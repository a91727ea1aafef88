"""Ready: it serves. A prober that is down never takes it away."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from unit.builders import (
    CANARY,
    DIGEST,
    NOW,
    OLD_DIGEST,
    UID,
    World,
    canary_draft,
    container,
    evidence,
    good_world,
    model,
    pod,
)
from unit.clause_fixtures import Change
from verticalmodel.api.conditions import MESSAGE_LIMIT
from verticalmodel.api.evidence import Subject
from verticalmodel.facts import ObservedPod
from verticalmodel.judge.ready import ready
from verticalmodel.judge.verdict import Rollup
from verticalmodel.seal.reasons import Reason
from verticalmodel.seal.report import Report


def answers(world: World, answer: str) -> World:
    """Every pod's last canary answer changed."""
    return world.changed(CANARY, seen={"answer": answer})


def bad(world: World) -> World:
    """Every pod's last canary answer was bad."""
    return answers(world, "bad 500")


def alone(one: ObservedPod, **changes: Any) -> World:
    """A world of one pod, of which nothing was measured."""
    return World(model=model(replicas=1), pods=(replace(one, **changes),))


ISO_GONE = (NOW - timedelta(seconds=1)).isoformat()

SERVING: dict[str, Change] = {
    "all pods are Ready and answer well": lambda world: world,
    "one pod is not Ready": lambda world: world.with_pod(0, ready=False),
    "one pod answers badly and another one well": lambda world: world.changed(
        CANARY, f"pod/{world.pods[0].name}", seen={"answer": "bad 500"}
    ),
    "there is no canary": lambda world: world.without(CANARY),
    "there is no evidence at all": lambda world: replace(world, drafts=()),
    "the bad canary has expired": lambda world: bad(world).changed(CANARY, expiresAt=ISO_GONE),
    "the bad canary is older than any canary may be": lambda world: bad(world).changed(
        CANARY, measuredAt=(NOW - timedelta(seconds=600)).isoformat(), expiresAt="2027-01-01T00:00:00Z"
    ),
    "the prober could not connect": lambda world: answers(world, "inconclusive connection").changed(
        CANARY, outcome="Inconclusive", value=None
    ),
    "the bad canary is of former pods": lambda world: replace(
        bad(world), pods=tuple(replace(one, uid=f"new-{one.uid}") for one in world.pods)
    ),
    "the bad canary is of a server that has restarted since": lambda world: bad(world).changed(
        CANARY, seen={"container": "0123456789ab"}
    ),
    "the bad canary tells of an event": lambda world: bad(world).changed(CANARY, scope="Event"),
    "the bad canary is of the former model": lambda world: replace(
        bad(world), subject=Subject(name=world.model.metadata.name, uid="former")
    ),
    "the bad canary's chain is broken": lambda world: replace(bad(world), subject=Subject(name="another", uid=UID)),
    "somebody else says that the canary is bad": lambda world: replace(bad(world), measurer="somebody"),
    "the bad canary is from the future": lambda world: bad(world).changed(
        CANARY, measuredAt=(NOW + timedelta(seconds=6)).isoformat()
    ),
    "no clause holds": lambda world: replace(
        world, drafts=tuple(one for one in world.drafts if one["measure"] == CANARY), service=None
    ),
    "a pod of an earlier template still runs": lambda world: world.with_pod(1, template_digest=OLD_DIGEST),
}


@pytest.mark.parametrize("change", SERVING.values(), ids=SERVING)
def test_it_serves_where(change: Change) -> None:
    found = ready(change(good_world()).observed(), DIGEST)
    assert (found.type, found.status, found.reason) == ("Ready", "True", "Serving"), found.message


NOT_SERVING: dict[str, tuple[str, Change]] = {
    "it is suspended": ("Suspended", lambda world: replace(world, model=model(suspend=True))),
    "it is suspended and scaled to zero": (
        "Suspended",
        lambda world: replace(world, model=model(suspend=True, replicas=0)),
    ),
    "it is scaled to zero": ("ScaledToZero", lambda world: replace(world, model=model(replicas=0))),
    "there is no pod": ("NoPods", lambda world: replace(world, pods=())),
    "all pods are of an earlier template": (
        "NoPods",
        lambda world: replace(world, pods=tuple(replace(one, template_digest=OLD_DIGEST) for one in world.pods)),
    ),
    "the only pod is on its way out": ("NoPods", lambda world: replace(world, pods=(pod(deleting=True),))),
    "the only pod has failed": ("NoPods", lambda world: replace(world, pods=(pod(phase="Failed"),))),
    "no pod is Ready": (
        "PodsNotReady",
        lambda world: replace(world, pods=tuple(replace(one, ready=False) for one in world.pods)),
    ),
    "the only Ready pod is of an earlier template": (
        "PodsNotReady",
        lambda world: world.with_pod(0, template_digest=OLD_DIGEST).with_pod(1, ready=False),
    ),
    "every Ready pod answers badly": ("CanaryFailed", bad),
    "the only Ready pod answers badly": ("CanaryFailed", lambda world: bad(world).with_pod(0, ready=False)),
    "the bad canary names the server that runs": (
        "CanaryFailed",
        lambda world: bad(replace(world, pods=world.pods[:1])).changed(
            CANARY, seen={"container": world.pods[0].containers[1].container_id[:12]}
        ),
    ),
    "the bad canary took no sample of time": ("CanaryFailed", lambda world: bad(world).changed(CANARY, unit="seconds")),
}


@pytest.mark.parametrize(("reason", "change"), NOT_SERVING.values(), ids=NOT_SERVING)
def test_it_does_not_serve_where(reason: str, change: Change) -> None:
    found = ready(change(good_world()).observed(), DIGEST)
    assert (found.type, found.status, found.reason) == ("Ready", "False", reason), found.message
    assert found.message
    assert len(found.message) <= MESSAGE_LIMIT


def test_without_a_template_no_pod_is_current() -> None:
    assert ready(good_world().observed(), None).reason == "NoPods"


def test_the_newest_canary_of_a_pod_counts() -> None:
    """A second object holds a later good answer of the same pod."""
    world = replace(bad(good_world()), pods=(good_world().pods[0],))
    later = canary_draft(world.pods[0], measuredAt=(NOW - timedelta(seconds=5)).isoformat())
    assert ready(replace(world, others=(evidence([later], managed_at=NOW),)).observed(), DIGEST).reason == "Serving"


WAITING = container(running=False, waiting_reason="ContainerCreating", container_id="")
TELLING = {
    "an image that cannot be pulled": (
        alone(pod(ready=False, containers=(WAITING, container(running=False, waiting_reason="ImagePullBackOff")))),
        "Pod breast-screening-a: container server waits (ImagePullBackOff)",
    ),
    "a container that crashes, with what it said": (
        alone(
            pod(
                ready=False,
                containers=(
                    container(
                        running=False,
                        waiting_reason="CrashLoopBackOff",
                        restarts=3,
                        exit_message='{"reason":\n"KeyMissing"}',
                    ),
                ),
            )
        ),
        'container server waits (CrashLoopBackOff) after 3 restarts: {"reason": "KeyMissing"}',
    ),
    "a container that crashes and says nothing": (
        alone(pod(ready=False, containers=(container(running=False, waiting_reason="CrashLoopBackOff", restarts=3),))),
        "after 3 restarts; `kubectl logs breast-screening-a -c server --previous` says why",
    ),
    "a container that came back after it had said something": (
        alone(pod(ready=False, containers=(container(restarts=1, exit_message="out of memory"),))),
        "container server last ended: out of memory after 1 restarts",
    ),
    "a pod without a node": (
        alone(pod(ready=False, phase="Pending", node="", containers=())),
        "no node yet; `kubectl describe pod breast-screening-a` says why",
    ),
    "containers that are being created": (
        alone(pod(ready=False, phase="Pending", containers=(WAITING,))),
        "container server waits (ContainerCreating)",
    ),
    "a container that runs and is not ready": (
        alone(pod(ready=False, containers=(container(),))),
        "container server runs and is not ready yet",
    ),
    "a container of which nothing is known": (
        alone(pod(ready=False, containers=(container(running=False, container_id=""),))),
        "container server does not run yet",
    ),
    "a pod of which nothing is known": (
        alone(pod(ready=False, containers=())),
        "Pod breast-screening-a: phase Running on node node-1",
    ),
}


@pytest.mark.parametrize(("world", "clue"), TELLING.values(), ids=TELLING)
def test_a_model_that_is_not_ready_tells_of(world: World, clue: str) -> None:
    found = ready(world.observed(), DIGEST)
    assert found.reason == "PodsNotReady"
    assert clue in found.message


def test_the_pod_that_fails_is_named_before_the_one_that_is_on_its_way() -> None:
    failing = pod("z", ready=False, containers=(container(pod="z", running=False, waiting_reason="ErrImagePull"),))
    starting = pod("a", ready=False, containers=(WAITING,))
    assert ready(World(pods=(starting, failing)).observed(), DIGEST) == Rollup(
        "Ready", "False", "PodsNotReady", "0 of 2 pods are Ready. Pod z: container server waits (ErrImagePull)."
    )


def test_a_container_that_says_too_much_is_cut() -> None:
    talker = container(running=False, waiting_reason="CrashLoopBackOff", exit_message="x" * 512)
    found = ready(alone(pod(ready=False, containers=(talker,))).observed(), DIGEST)
    assert "x" * 199 + "…" in found.message


def test_a_bad_answer_is_quoted_with_the_pod() -> None:
    assert ready(bad(good_world()).observed(), DIGEST) == Rollup(
        "Ready",
        "False",
        "CanaryFailed",
        "2 of 2 pods are Ready, but the last canary answer of pod breast-screening-a (and 1 more) was bad: 500.",
    )


def test_a_rollout_in_progress_says_that_earlier_pods_still_run() -> None:
    world = good_world().with_pod(0, template_digest=OLD_DIGEST).with_pod(1, ready=False)
    assert ready(world.observed(), DIGEST).message.endswith("1 of an earlier template still run.")


def test_parameters_that_were_refused_give_their_own_reason() -> None:
    """Before one byte reached the server: the refusal is what people must see, not a container that waits."""
    report = Report(reason=Reason.DIGEST_MISMATCH, message="sha256:00 is not the pinned sha256:11")
    world = alone(pod(ready=False, phase="Pending", containers=(WAITING,), delivery=report))
    found = ready(world.observed(), DIGEST)
    assert (found.status, found.reason) == ("False", "DigestMismatch")
    assert "sha256:00 is not the pinned sha256:11" in found.message


def test_a_refusal_of_long_ago_does_not_speak_against_a_pod_that_serves() -> None:
    report = Report(reason=Reason.KEY_MISSING, message="no key")
    assert ready(alone(pod(delivery=report)).observed(), DIGEST).status == "True"
