"""A mistake that is corrected takes hold, even where what was made by mistake has taken all the room."""

from __future__ import annotations

import logging
import time
from uuid import uuid4

import pytest
import yaml

from e2e.installed import Cluster
from e2e.load import model_pods
from verticalmodel.api.schema import parse_quantity

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LOG = logging.getLogger("rollout")
MODEL = "breast-screening"


def test_a_corrected_version_takes_the_room_of_one_that_never_came_up(cluster: Cluster) -> None:
    """The control: while it is not corrected, it keeps its room, and a second pod finds none."""
    name = f"rollout-{uuid4().hex[:8]}"
    cluster.restricted_namespace(name)
    cluster.deliver_sample(name)
    sample = yaml.safe_load(cluster.sample("breast-screening.yaml"))
    [delivered] = cluster.get("pods", "-n", name)["items"]  # the claim's volume is on its node
    node = delivered["spec"]["nodeName"]
    room = int(parse_quantity(cluster.get("node", node)["status"]["allocatable"]["memory"]))
    mistaken = {
        **sample["spec"],
        "source": {"uri": "pvc://models/absent.onnx"},
        "resources": {**sample["spec"]["resources"], "memory": str(room * 6 // 10)},
        "pod": {"nodeSelector": {"kubernetes.io/hostname": node}},
    }
    cluster.apply({**sample, "spec": mistaken}, "-n", name)
    try:
        cluster.await_reason(name, MODEL, "Ready", "SourceNotFound")
        [failing] = model_pods(cluster, name, MODEL)
        cluster.change_model(name, MODEL, {"replicas": 2})
        cluster.await_reason(name, MODEL, "Progressing", "Unschedulable")
        cluster.change_model(name, MODEL, {"replicas": 1})
        began = time.monotonic()
        cluster.change_model(name, MODEL, {"source": sample["spec"]["source"]})
        cluster.await_condition(name, MODEL, "Ready", "True", timeout=120)
        LOG.info("measured: a corrected source on a full node -> Ready: %.1f s", time.monotonic() - began)
        cluster.await_reason(name, MODEL, "Progressing", "Complete")
        assert failing["metadata"]["uid"] not in {one["metadata"]["uid"] for one in model_pods(cluster, name, MODEL)}
        rolling = cluster.get("deployment", "-n", name)["items"][0]["spec"]["strategy"]["rollingUpdate"]
        assert rolling == {"maxSurge": 1, "maxUnavailable": 0}, "what serves is replaced with a surge again"
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")
