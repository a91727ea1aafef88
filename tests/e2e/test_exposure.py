"""A model exposed through a real Traefik: TLS from the client to the model's own guard, and a host has one keeper."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import yaml

from e2e import client, traefik
from e2e.installed import Cluster, until
from e2e.test_breast_screening import HELD_OUT, MODEL

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HOST = "breast.example.org"
# What a client with that name in its resolver does; says what happened in place of an answer.
CLIENT = """
import http.client, json, os, socket, ssl, sys
host, address, version = os.environ["HOST"], os.environ["ADDRESS"], os.environ["VERSION"]
context = ssl.create_default_context(cafile="/ca/ca.crt")
context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
try:
    channel = context.wrap_socket(socket.create_connection((address, 443), timeout=5), server_hostname=host)
except OSError as error:
    print(json.dumps({"failed": type(error).__name__, "reason": getattr(error, "reason", None)}))
    sys.exit()
connection = http.client.HTTPSConnection(host)
connection.sock = channel
rows = json.loads(sys.stdin.read())
inputs = [{"name": "features", "datatype": "FP32", "shape": [len(rows), len(rows[0])], "data": sum(rows, [])}]
body, headers = json.dumps({"inputs": inputs}), {"Content-Type": "application/json"}
connection.request("POST", "/v2/models/breast-screening/infer", body, headers)
answer = connection.getresponse()
names = [name for _, name in channel.getpeercert()["subjectAltName"]]
outputs = json.loads(answer.read())["outputs"]
print(json.dumps({"version": channel.version(), "status": answer.status, "names": names, "outputs": outputs}))
"""


@pytest.fixture(scope="module")
def exposed(cluster: Cluster) -> Iterator[str]:
    """A namespace whose model is Ready and exposed, with a client in another namespace."""
    name = f"e2e-{uuid4().hex[:8]}"
    outside = f"{name}-outside"
    for each in (name, outside):
        cluster.restricted_namespace(each)
    client.start(cluster, outside)
    cluster.apply(cluster.sample("breast-screening-claim.yaml"), "-n", name)
    try:
        traefik.name_to_operator(cluster)
        serve(cluster, name, exposure={"host": HOST, "className": traefik.CLASS})
        # The kind of the route is not served yet: told, and taken up when it is.
        assert cluster.await_condition(name, MODEL, "Accepted", "False")["reason"] == "IngressClassNotFound"
        traefik.install(cluster, name)
        cluster.await_condition(name, MODEL, "Ready", "True", timeout=300)
        client.await_ready(cluster, outside)
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, outside, "--wait=false")
        traefik.uninstall(cluster)


def serve(cluster: Cluster, namespace: str, name: str = MODEL, **spec: Any) -> None:
    """The sample model with changes to its spec; None takes a field out."""
    body = yaml.safe_load(cluster.sample("breast-screening.yaml"))
    body["metadata"]["name"] = name
    body["spec"] |= spec
    cluster.apply(body, "-n", namespace)


def ask(cluster: Cluster, namespace: str, address: str = traefik.ADDRESS, version: str = "TLSv1_3") -> dict[str, Any]:
    """What a client outside gets for the host at an address."""
    variables = (f"HOST={HOST}", f"ADDRESS={address}", f"VERSION={version}")
    said = cluster.kubectl(
        "exec", "-i", "client", "-n", f"{namespace}-outside", "--", "env", *variables, "python", "-c", CLIENT,
        stdin=json.dumps(HELD_OUT["rows"]),
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(said)
    return answer


def reached(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """The answer through the route, once Traefik has taken it up."""
    found: dict[str, Any] = until(
        "the model answers at its host",
        lambda: answer if "status" in (answer := ask(cluster, namespace)) else None,
        timeout=30,
    )
    return found


def test_a_client_outside_speaks_tls_1_3_with_the_models_own_guard(cluster: Cluster, exposed: str) -> None:
    answer = reached(cluster, exposed)
    assert (answer["version"], answer["status"]) == ("TLSv1.3", 200)
    inside = f"{MODEL}.{exposed}.svc"
    assert answer["names"] == [inside, f"{inside}.cluster.local", HOST]
    [labels] = [output["data"] for output in answer["outputs"] if output["name"] == "label"]
    assert len(labels) == len(HELD_OUT["labels"])
    assert url(cluster, exposed, MODEL) == f"https://{HOST}"


def test_tls_1_2_is_refused_through_the_route(cluster: Cluster, exposed: str) -> None:
    reached(cluster, exposed)
    assert ask(cluster, exposed, version="TLSv1_2")["reason"] == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert ask(cluster, exposed)["status"] == 200, "the control"


def test_only_the_ingress_controller_gets_through_to_the_guard(cluster: Cluster, exposed: str) -> None:
    reached(cluster, exposed)
    assert "failed" in ask(cluster, exposed, address=f"{MODEL}.{exposed}.svc")


def test_a_second_model_with_the_host_is_told_who_keeps_it(cluster: Cluster, exposed: str) -> None:
    serve(cluster, exposed, "second", suspend=True, exposure={"host": HOST, "className": traefik.CLASS})
    try:
        told = cluster.await_condition(exposed, "second", "Accepted", "False")
        assert (told["reason"], f"belongs to model {MODEL}" in told["message"]) == ("HostTaken", True)
    finally:
        cluster.kubectl("delete", "vmodel", "second", "-n", exposed)


def test_a_route_goes_with_the_exposure(cluster: Cluster, exposed: str) -> None:
    serve(cluster, exposed, "leaving", suspend=True, exposure={"host": f"leaving.{HOST}", "className": traefik.CLASS})
    until("both models have a route", lambda: len(routes(cluster, exposed)) == 2)
    take_out = '[{"op": "remove", "path": "/spec/exposure"}]'
    cluster.kubectl("patch", "vmodel", "leaving", "-n", exposed, "--type=json", f"--patch={take_out}")
    until("its route is gone", lambda: routes(cluster, exposed) == [f"HostSNI(`{HOST}`)"])
    until("its URL is that of the Service again", lambda: url(cluster, exposed, "leaving").endswith(".svc"))
    cluster.kubectl("delete", "vmodel", "leaving", "-n", exposed)


def routes(cluster: Cluster, namespace: str) -> list[str]:
    """What the namespace's routes match."""
    found = cluster.get(traefik.ROUTES, "-n", namespace)["items"]
    return [one["spec"]["routes"][0]["match"] for one in found]


def url(cluster: Cluster, namespace: str, model: str) -> str:
    """What the model's status says."""
    found: str = cluster.get("vmodel", model, "-n", namespace)["status"]["url"]
    return found
