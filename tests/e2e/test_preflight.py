"""Without surge a pod stops before another starts: not for an image or for parameters that are not there."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import yaml

from e2e.installed import Cluster, until
from e2e.load import lives, model_pods

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LOG = logging.getLogger("preflight")
MODEL = "breast-screening"
URI = "pvc://models/breast-screening"


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Iterator[str]:
    """A namespace in which the sample serves; its rollouts stop its pod first."""
    name = f"preflight-{uuid4().hex[:8]}"
    cluster.restricted_namespace(name)
    cluster.deliver_sample(name)
    sample = yaml.safe_load(cluster.sample("breast-screening.yaml"))
    cluster.apply({**sample, "spec": {**sample["spec"], "rollout": {"surge": False}}}, "-n", name)
    cluster.await_condition(name, MODEL, "Ready", "True", timeout=180)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def await_progress(cluster: Cluster, namespace: str, reason: str, mentions: str = "") -> str:
    def said() -> str | None:
        found = cluster.condition(namespace, MODEL, "Progressing")
        return found["message"] or reason if found["reason"] == reason and mentions in found["message"] else None

    message: str = until(f"Progressing says {reason} {mentions}", said, timeout=120, every=0.5)
    return message


def alive(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    """The model's pods; one that an earlier test told to end may still be draining."""
    return [pod for pod in model_pods(cluster, namespace, MODEL) if "deletionTimestamp" not in pod["metadata"]]


def test_parameters_that_are_not_there_stop_nothing(cluster: Cluster, served: str) -> None:
    before = [lives(pod) for pod in alive(cluster, served)]
    cluster.change_model(served, MODEL, {"source": {"uri": f"{URI}/absent.onnx"}})
    message = await_progress(cluster, served, "PreflightFailed")
    assert "spec.source: SourceNotFound: breast-screening/absent.onnx" in message
    assert cluster.condition(served, MODEL, "Ready")["status"] == "True"
    assert [lives(pod) for pod in alive(cluster, served)] == before
    cluster.change_model(served, MODEL, {"source": {"uri": f"{URI}/model.onnx"}})
    await_progress(cluster, served, "Complete")
    assert [lives(pod) for pod in alive(cluster, served)] == before


def test_an_image_that_is_not_there_stops_nothing(cluster: Cluster, served: str) -> None:
    runtime = cluster.get("modelruntime", "oip-onnx")
    misspelt = {**runtime, "metadata": {"name": f"misspelt-{served}"}}
    misspelt["spec"] = {**runtime["spec"], "image": "localhost/verticalmodel/misspelt:1"}
    cluster.apply(misspelt)
    try:
        before = [lives(pod) for pod in alive(cluster, served)]
        cluster.change_model(served, MODEL, {"runtime": {"name": misspelt["metadata"]["name"]}})
        message = await_progress(cluster, served, "PreflightFailed")
        assert "ImageNotPulled: image 'localhost/verticalmodel/misspelt:1' of container server" in message
        assert [lives(pod) for pod in alive(cluster, served)] == before
        cluster.change_model(served, MODEL, {"runtime": {"name": "oip-onnx"}})
        await_progress(cluster, served, "Complete")
        assert [lives(pod) for pod in alive(cluster, served)] == before
    finally:
        cluster.kubectl("delete", "modelruntime", misspelt["metadata"]["name"])


def test_a_good_template_takes_over_after_its_pre_flight(cluster: Cluster, served: str) -> None:
    [before] = [pod["metadata"]["uid"] for pod in alive(cluster, served)]
    began = time.monotonic()
    cluster.change_model(served, MODEL, {"pod": {"env": [{"name": "VERSION", "value": "2"}]}})

    def stopping() -> bool:
        return any("deletionTimestamp" in pod["metadata"] for pod in model_pods(cluster, served, MODEL))

    until("the old pod is told to end", stopping, timeout=120, every=0.2)
    LOG.info("measured: change -> the old pod is told to end, with a pre-flight: %.1f s", time.monotonic() - began)
    cluster.await_condition(served, MODEL, "Ready", "True", timeout=120)
    await_progress(cluster, served, "Complete")
    assert [pod["metadata"]["uid"] for pod in alive(cluster, served)] != [before]
    left = cluster.get("pod", "-n", served, "-l", "verticalmodel.io/preflight-of")["items"]
    assert [one for one in left if "deletionTimestamp" not in one["metadata"]] == []
