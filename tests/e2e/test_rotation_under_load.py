"""A new certificate authority takes over while clients connect 50 times a second: nobody is refused, nobody refuses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from e2e import client
from e2e.installed import Cluster, until
from e2e.load import RATE, bundle, lives, load, model_pods

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LOG = logging.getLogger("load")
MODEL = "breast-screening"
SYSTEM = ("-n", "verticalmodel-system")
OPERATOR = "deployment/verticalmodel-operator"
END = "-----END CERTIFICATE-----\n"


@pytest.fixture
def hasty(cluster: Cluster) -> Iterator[None]:
    """An operator whose clients take a new bundle within ten seconds."""
    cluster.kubectl("set", "env", OPERATOR, *SYSTEM, "AUTHORITY_OVERLAP_SECONDS=10")
    cluster.kubectl("rollout", "status", OPERATOR, *SYSTEM, "--timeout=60s")
    yield
    cluster.kubectl("set", "env", OPERATOR, *SYSTEM, "AUTHORITY_OVERLAP_SECONDS-")


@pytest.mark.usefixtures("hasty")
def test_a_new_authority_and_new_certificates_lose_no_request(cluster: Cluster, claim: str) -> None:
    client.start(cluster, claim)
    cluster.apply(cluster.sample("breast-screening.yaml"), "-n", claim)
    cluster.await_condition(claim, MODEL, "Ready", "True", timeout=180)
    client.await_ready(cluster, claim)
    before, old, [pod] = certificate(cluster, claim), bundle(cluster), model_pods(cluster, claim, MODEL)
    with load(cluster, claim, MODEL, old) as done:
        cluster.kubectl("annotate", "secret/verticalmodel-ca", *SYSTEM, "verticalmodel.io/rotate=now")
        both = until("a bundle with the successor", lambda: (found := bundle(cluster)) != old and found)
        assert both.startswith(old)
        assert certificate(cluster, claim) == before
        done.trust(both)
        issued = until(
            "a certificate by the successor",
            lambda: (found := certificate(cluster, claim))["issuer"] != before["issuer"] and found,
        )
        # A kubelet takes up to 90 s to bring a Secret into a pod; any change of the pod makes it look at once.
        cluster.kubectl("annotate", f"pod/{pod['metadata']['name']}", "-n", claim, "example.org/look=now")
        done.await_certificate(issued["fingerprint"])
        # From here on the client trusts the new authority alone.
        done.trust(bundle(cluster).split(END)[0] + END)
        cluster.await_condition(claim, MODEL, "TransportEncrypted", "True")
    LOG.info("measured: rotation of the authority: %d sent in %.1f s, %d failed, slowest answer %.2f s",
             done.sent, done.seconds, len(done.failed), done.slowest)  # fmt: skip
    assert done.failed == []
    assert done.sent >= 0.9 * RATE * done.seconds
    assert done.shown.keys() == {before["fingerprint"], issued["fingerprint"]}
    [after] = model_pods(cluster, claim, MODEL)
    assert lives(after) == lives(pod)


def certificate(cluster: Cluster, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.get("vmodel", MODEL, "-n", namespace)["status"]["certificate"]
    return found
