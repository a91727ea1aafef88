"""A client of models in the cluster: a pod that trusts the operator's authority and asks over TLS."""

from __future__ import annotations

import json
from typing import Any

from e2e.installed import Cluster

_ASK = """
import http.client, json, os, ssl, sys, time
model, host = os.environ["MODEL"], os.environ["HOST"]
context = ssl.create_default_context(cafile="/ca/ca.crt")
until = time.monotonic() + 10
while True:
    connection = http.client.HTTPSConnection(host, context=context, timeout=10)
    try:
        connection.connect()
        break
    except ssl.SSLError:
        raise
    except OSError:
        # The node's kube-proxy hears of a new endpoint a moment after the API server.
        if time.monotonic() > until:
            raise
        time.sleep(0.1)  # the pause between two tries: nothing tells when a node knows
version = connection.sock.version()
body, headers = json.dumps({"inputs": json.loads(sys.stdin.read())}), {"Content-Type": "application/json"}
connection.request("POST", f"/v2/models/{model}/infer", body, headers)
answer = connection.getresponse()
print(json.dumps({"version": version, "status": answer.status, "body": json.loads(answer.read())}))
"""


def start(cluster: Cluster, namespace: str) -> None:
    """Run the pod `client`, with the authority's certificate beside it; returns before it is Ready."""
    trust = cluster.get("configmap", "verticalmodel-ca", "-n", "verticalmodel-system")["data"]
    cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": namespace}, "data": trust}
    )
    cluster.apply(_pod(cluster, namespace))


def await_ready(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("wait", "pod/client", "-n", namespace, "--for=condition=Ready", "--timeout=60s")


def infer(cluster: Cluster, namespace: str, model: str, *inputs: dict[str, Any]) -> dict[str, Any]:
    """What the model's Service answers to these Open Inference inputs: TLS version, status and body."""
    where = ("env", f"HOST={model}.{namespace}.svc", f"MODEL={model}")
    words = ("exec", "-i", "client", "-n", namespace, "--", *where, "python", "-c", _ASK)
    answer: dict[str, Any] = json.loads(cluster.kubectl(*words, stdin=json.dumps(inputs)))
    return answer


def _pod(cluster: Cluster, namespace: str) -> dict[str, Any]:
    confined = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "client", "namespace": namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "client",
                    "image": cluster.references["operator"],
                    "command": ["python", "-c", "import signal; signal.pause()"],
                    "securityContext": confined,
                    "volumeMounts": [{"name": "ca", "mountPath": "/ca"}],
                }
            ],
            "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        },
    }
