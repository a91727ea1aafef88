"""Nothing is lost while a model changes: 50 requests a second, each on a new TLS connection, none tried twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest

from e2e import client
from e2e.installed import Cluster, until
from e2e.load import RATE, Load, bundle, load, model_pods
from verticalmodel.render.guard_drain import DRAIN_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LOG = logging.getLogger("load")
MODEL = "breast-screening"


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Iterator[str]:
    """A namespace in which the sample serves."""
    name = f"load-{uuid4().hex[:8]}"
    cluster.restricted_namespace(name)
    # A claim that its first pod binds is unknown when that pod is rendered; the next change would know more.
    cluster.deliver_sample(name)
    cluster.apply(cluster.sample("breast-screening.yaml"), "-n", name)
    cluster.await_condition(name, MODEL, "Ready", "True", timeout=180)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(autouse=True)
def client_pod(cluster: Cluster, served: str) -> Iterator[None]:
    """A client pod of each test's own, at an address that nobody has had.

    The node tracks a connection that was made when a model's last pod went for two minutes more, with that pod as its
    destination. Who makes another from the same address and port within that time is led to nowhere, so the test of
    suspension would spoil what comes after it. kube-proxy clears such entries for UDP only.
    """
    client.start(cluster, served)
    client.await_ready(cluster, served)
    yield
    cluster.kubectl("delete", "pod", "client", "-n", served, "--wait")


def pods(cluster: Cluster, namespace: str) -> dict[str, bool]:
    """The model's pods by uid, with whether each is ready."""
    return {
        pod["metadata"]["uid"]: {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}.get("Ready")
        == "True"
        for pod in model_pods(cluster, namespace, MODEL)
    }


def ready_pods(cluster: Cluster, namespace: str, count: int, *, other_than: dict[str, bool] | None = None) -> None:
    """Wait until there are `count` pods, all ready and none ending, and none of `other_than`."""

    def settled() -> bool:
        found = pods(cluster, namespace)
        return len(found) == count and all(found.values()) and not found.keys() & (other_than or {}).keys()

    until(f"{count} pods of the model, all ready", settled, timeout=120, every=1)


def lost_nothing(what: str, done: Load) -> None:
    LOG.info("measured: %s: %d sent in %.1f s, %d failed, slowest answer %.2f s",
             what, done.sent, done.seconds, len(done.failed), done.slowest)  # fmt: skip
    assert done.failed == []
    # The rate was kept: a generator that stalls would lose nothing either.
    assert done.sent >= 0.75 * RATE * done.seconds


def test_a_new_version_takes_over_without_a_lost_request(cluster: Cluster, served: str) -> None:
    before = pods(cluster, served)
    with load(cluster, served, MODEL, bundle(cluster)) as done:
        cluster.change_model(served, MODEL, {"pod": {"env": [{"name": "VERSION", "value": uuid4().hex}]}})
        ready_pods(cluster, served, 1, other_than=before)
    lost_nothing("new version", done)


def test_scaling_up_and_down_loses_no_request(cluster: Cluster, served: str) -> None:
    with load(cluster, served, MODEL, bundle(cluster)) as done:
        cluster.change_model(served, MODEL, {"replicas": 2})
        ready_pods(cluster, served, 2)
        cluster.change_model(served, MODEL, {"replicas": 1})
        ready_pods(cluster, served, 1)
    lost_nothing("scale up and down", done)


def test_a_broken_version_leaves_the_old_one_serving(cluster: Cluster, served: str) -> None:
    before = pods(cluster, served)
    with load(cluster, served, MODEL, bundle(cluster)) as done:
        cluster.change_model(served, MODEL, {"source": {"uri": "pvc://models/breast-screening/absent.onnx"}})
        until("the broken pod is there", lambda: len(pods(cluster, served)) == 2, every=1)
        until(
            "the reason why it does not start",
            lambda: cluster.condition(served, MODEL, "Ready")["reason"] == "SourceNotFound",
            every=1,
        )
        cluster.change_model(served, MODEL, {"source": {"uri": "pvc://models/breast-screening/model.onnx"}})
        ready_pods(cluster, served, 1)
        cluster.await_condition(served, MODEL, "Ready", "True")
    assert pods(cluster, served).keys() == before.keys()
    lost_nothing("broken version and back", done)


def test_a_suspension_answers_or_refuses_and_cuts_nobody_off(cluster: Cluster, served: str) -> None:
    """Services lead to the last pod to its end: what it took is answered, and then no connection is taken at all."""
    with load(cluster, served, MODEL, bundle(cluster)) as done:
        cluster.change_model(served, MODEL, {"suspend": True})
        until("no pod of the model is left", lambda: not pods(cluster, served), timeout=60, every=0.2)
    cut_off = [one for one in done.failed if one["stage"] != "connect"]
    LOG.info("measured: suspension: %d sent in %.1f s, %d got no connection, %d cut off",
             done.sent, done.seconds, len(done.failed) - len(cut_off), len(cut_off))  # fmt: skip
    assert cut_off == []
    # Clients were there for the whole of the drain.
    assert done.sent >= 0.9 * RATE * DRAIN_SECONDS
    cluster.change_model(served, MODEL, {"suspend": False})
    ready_pods(cluster, served, 1)
