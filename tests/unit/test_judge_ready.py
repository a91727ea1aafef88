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
from verticalmodel.api.source import CredentialsRef, EgressPeer, KeyRef, Source
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


def test_a_bad_answer_is_quoted_with_the_pod() -> None:
    assert ready(bad(good_world()).observed(), DIGEST) == Rollup(
        "Ready",
        "False",
        "CanaryFailed",
        "2 of 2 pods are Ready, but the last canary answer of pod breast-screening-a (and 1 more) was bad: 500.",
    )


def test_a_rollout_in_progress_says_whether_the_earlier_version_answers() -> None:
    world = good_world().with_pod(0, template_digest=OLD_DIGEST).with_pod(1, ready=False)
    told = ready(world.observed(), DIGEST).message
    assert told.endswith(" The earlier version goes on serving: 1 of its pods is Ready.")
    told = ready(world.with_pod(0, ready=False).observed(), DIGEST).message
    assert told.endswith(" An earlier version does not serve either: breast-screening-a.")


REFUSED: dict[Reason, str] = {
    Reason.DIGEST_MISMATCH: "spec.source.digest: sha256:" + "0" * 64,
    Reason.KEY_WRONG: "spec.source.key: entry 'key' of Secret 'model-key'",
    Reason.KEY_MISSING: "spec.source.key: entry 'key' of Secret 'model-key'",
    Reason.NOT_SEALED: "spec.source.key: entry 'key' of Secret 'model-key'",
    Reason.SOURCE_DENIED: "spec.source.secretRef: Secret 'bucket' for s3://models/breast",
    Reason.SOURCE_UNREACHABLE: "spec.source.uri: s3://models/breast",
    Reason.CORRUPTED: "spec.source.uri: s3://models/breast",
    Reason.TOO_LARGE: "spec.resources.memory: 1Gi, 5000000000 bytes are needed",
}


WAYS_OUT = {
    Reason.KEY_MISSING: "; `kubectl -n radiology create secret generic model-key --from-file=key=FILE` makes it, "
    "or name a Secret and an entry that are there"
}


@pytest.mark.parametrize("reason", REFUSED)
def test_parameters_that_were_refused_give_their_own_reason_and_the_field(reason: Reason) -> None:
    """Before one byte reached the server: the refusal is what people must see, not a container that waits."""
    needed = 5_000_000_000 if reason is Reason.TOO_LARGE else None
    report = Report(reason=reason, message="as the init container said", needed_bytes=needed)
    source = Source(
        uri="s3://models/breast",
        digest="sha256:" + "0" * 64,
        key=KeyRef(name="model-key"),
        secret_ref=CredentialsRef(name="bucket"),
        egress=(EgressPeer(cidr="192.0.2.0/24"),),
    )
    one = pod(ready=False, phase="Pending", containers=(WAITING,), delivery=report)
    found = ready(World(model=model(replicas=1, source=source), pods=(one,)).observed(), DIGEST)
    told = f"{REFUSED[reason]}: as the init container said (pod {one.name}){WAYS_OUT.get(reason, '')}."
    assert found == Rollup("Ready", "False", reason.value, told)


def test_a_key_that_is_missing_from_the_spec_is_a_matter_of_the_source() -> None:
    report = Report(reason=Reason.KEY_MISSING, message="the artifact is sealed, and no key is given")
    found = ready(alone(pod(ready=False, containers=(WAITING,), delivery=report)).observed(), DIGEST)
    assert found.message.startswith("spec.source.uri: pvc://models/breast: the artifact is sealed")


def test_pods_that_the_api_server_refuses_are_told_in_its_words() -> None:
    observed = replace(replace(good_world(), pods=()).observed(), pods_refused="exceeded quota: small")
    assert ready(observed, DIGEST) == Rollup(
        "Ready", "False", "PodsRefused", "The API server refuses the pods: exceeded quota: small."
    )


def test_a_pod_that_its_node_threw_out_is_named() -> None:
    world = alone(pod(ready=False, phase="Failed", failure="Evicted: The node was low on resource: memory."))
    assert ready(world.observed(), DIGEST) == Rollup(
        "Ready",
        "False",
        "NoPods",
        "No pod of the current template exists yet. "
        "Pod breast-screening-a failed: Evicted: The node was low on resource: memory.",
    )


def test_a_refusal_of_long_ago_does_not_speak_against_a_pod_that_serves() -> None:
    report = Report(reason=Reason.KEY_MISSING, message="no key")
    assert ready(alone(pod(delivery=report)).observed(), DIGEST).status == "True"
