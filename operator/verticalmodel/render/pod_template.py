"""The serving pod (DESIGN section 7): parameters unsealed into memory, a guard that speaks TLS 1.3 to the world, a
server that speaks to the guard.

Admitted under Pod Security *restricted*. Requests equal limits, so that the pod is Guaranteed and a neighbour cannot
take its share. Every probe goes through the guard: the server listens on 127.0.0.1 only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verticalmodel.api import names
from verticalmodel.plan import MODEL_MOUNT, PARAMETERS, Plan, selector
from verticalmodel.render import guard_drain
from verticalmodel.render.certificate import secret_name
from verticalmodel.render.guard_drain import SERVER_STOPS_SECONDS, drain_path
from verticalmodel.render.metadata import ROLE_ACCOUNT
from verticalmodel.render.placement import placement
from verticalmodel.render.unseal import DISK, VOLUME, memory_volume, unseal, volumes

RUN_AS = 65532
RUN_GUARD_AS = 65533
"""Another user than the server's: neither can signal the other or share its port."""
CLAIM = "gpus"
SHARED_MEMORY = "shared-memory"
SERVER_DISK, GUARD_DISK = "512Mi", "256Mi"
"""Ephemeral storage on the node's disk: with a read-only root and memory volumes that is logs alone, of which a kubelet
keeps some 50 MiB per container. A flood of them evicts its own pod."""
UNREACHABLE_MESSAGE = "/root/termination-log"
"""The server's termination message is a file on the node's disk, writable and counted by nobody, so the server must not
reach it: in images /root is root's alone. Its last words are in its log."""
GUARD_CONFIG_DIR = "/etc/guard/config"
GUARD_TLS_DIR = "/etc/guard/tls"
_REPORTED_ONLY_SECONDS = 86400
# What a probe has given up has nothing to drain; the pod's own grace period would put its restart off by minutes.
_KILLED = {"terminationGracePeriodSeconds": 1}


def pod_template(plan: Plan, guard_config: str, gpu_claims: str = "") -> dict[str, Any]:
    """The pod template without its digest.

    `guard_config` names the ConfigMap with the guard's files, `gpu_claims` the ResourceClaimTemplate of a pod that gets
    its GPUs by claim.
    """
    wishes = plan.pod
    claims = {"resourceClaims": [{"name": CLAIM, "resourceClaimTemplateName": gpu_claims}]} if gpu_claims else {}
    return {
        "metadata": {
            **({"annotations": dict(wishes.annotations)} if wishes.annotations else {}),
            "labels": {
                **wishes.labels,
                **selector(plan.owner),
                names.LABEL_MANAGED_BY: names.MANAGED_BY,
                names.LABEL_MODEL_UID: plan.owner.uid,
            },
        },
        "spec": {
            "serviceAccountName": names.child_name(plan.owner.name, ROLE_ACCOUNT),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            **({"hostUsers": False} if plan.own_users else {}),
            **placement(plan),
            **claims,
            # What was accepted before the pod was told to end is answered.
            "terminationGracePeriodSeconds": SERVER_STOPS_SECONDS + plan.runtime.timeout_seconds,
            "securityContext": unprivileged(),
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": selector(plan.owner)},
                }
            ],
            # Unsealed first: until there is something to guard, nothing of the pod is reachable.
            "initContainers": [unseal(plan, confined=confined()), _guard(plan)],
            "containers": [_server(plan)],
            "volumes": _volumes(plan, guard_config),
        },
    }


def _guard(plan: Plan) -> dict[str, Any]:
    return {
        "name": names.CONTAINER_GUARD,
        "image": plan.platform.guard_image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": ["envoy"],
        "args": [
            "--config-path",
            f"{GUARD_CONFIG_DIR}/bootstrap.json",
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--log-level",
            "warning",
            # Else a line of the access log may wait ten seconds for the next one.
            "--file-flush-interval-msec",
            "1000",
            *guard_drain.arguments(),
        ],
        "ports": [{"name": "https", "containerPort": names.GUARD_PORT, "protocol": "TCP"}],
        "resources": _exactly({"cpu": plan.runtime.guard.cpu, "memory": plan.runtime.guard.memory, DISK: GUARD_DISK}),
        "startupProbe": {
            **_probe("/guard/live"),
            **_KILLED,
            "periodSeconds": 1,
            "timeoutSeconds": 1,
            "failureThreshold": 30,
        },
        "livenessProbe": {
            **_probe("/guard/live"),
            **_KILLED,
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "failureThreshold": 5,
        },
        "lifecycle": {
            "preStop": {"httpGet": {"path": drain_path(plan.owner.uid), "port": names.DRAIN_PORT, "scheme": "HTTPS"}}
        },
        "securityContext": {**confined(), "runAsUser": RUN_GUARD_AS},
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "guard-config", "mountPath": GUARD_CONFIG_DIR, "readOnly": True},
            {"name": "certificate", "mountPath": GUARD_TLS_DIR, "readOnly": True},
            {"name": "guard-run", "mountPath": guard_drain.RUN_DIR},
        ],
    }


def _server(plan: Plan) -> dict[str, Any]:
    runtime = plan.runtime
    budget = plan.start_budget_seconds if plan.restarts_on_overrun else _REPORTED_ONLY_SECONDS
    return {
        "name": names.CONTAINER_SERVER,
        "image": runtime.image,
        "imagePullPolicy": runtime.image_pull_policy,
        "command": list(runtime.command),
        **({"args": [*runtime.args, *plan.pod.extra_args]} if runtime.args or plan.pod.extra_args else {}),
        "env": [
            {"name": "MODEL_NAME", "value": plan.owner.name},
            {"name": "MODEL_PATH", "value": PARAMETERS},
            {"name": "SERVER_PORT", "value": str(runtime.port)},
            {
                "name": "CPU_LIMIT",
                "valueFrom": {"resourceFieldRef": {"containerName": names.CONTAINER_SERVER, "resource": "limits.cpu"}},
            },
            *({"name": name, "value": value} for name, value in _variables(plan).items()),
        ],
        "resources": _server_resources(plan),
        # The start budget runs from the pod's creation, this probe from the container's start: what the probe grants
        # too much, the operator's own clock takes back.
        "startupProbe": {
            **_probe("/healthz/ready"),
            **_KILLED,
            "periodSeconds": 1,
            "timeoutSeconds": 1,
            "failureThreshold": budget,
        },
        "readinessProbe": {**_probe("/healthz/ready"), "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 3},
        # A busy server is not a dead one: ten seconds of silence, not one missed answer.
        "livenessProbe": {
            **_probe("/healthz/live"),
            **_KILLED,
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "failureThreshold": 5,
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": SERVER_STOPS_SECONDS}}},
        "securityContext": confined(),
        "terminationMessagePolicy": "File",
        "terminationMessagePath": UNREACHABLE_MESSAGE,
        "volumeMounts": [
            {"name": VOLUME, "mountPath": MODEL_MOUNT, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a memory volume of this pod alone
            *([{"name": SHARED_MEMORY, "mountPath": "/dev/shm"}] if runtime.scratch.shared_memory else []),  # noqa: S108
        ],
    }


def _variables(plan: Plan) -> dict[str, str]:
    """The runtime's variables, then the model's own, which win."""
    return {variable.name: variable.value for variable in (*plan.runtime.env, *plan.pod.env)}


def _server_resources(plan: Plan) -> dict[str, Any]:
    amount = {"cpu": plan.cpu, "memory": plan.memory, DISK: SERVER_DISK}
    if plan.gpus is None:
        return _exactly(amount)
    if plan.gpus.by_claim:
        return {**_exactly(amount), "claims": [{"name": CLAIM}]}
    return _exactly({**amount, names.GPU_PLUGIN_RESOURCE: str(plan.gpus.count)})


def _volumes(plan: Plan, guard_config: str) -> list[dict[str, Any]]:
    return [
        *volumes(plan),
        {"name": "certificate", "secret": {"secretName": secret_name(plan), "defaultMode": 0o440}},
        {"name": "guard-config", "configMap": {"name": guard_config, "defaultMode": 0o444}},
        memory_volume("guard-run", "64Ki"),
        memory_volume("tmp", plan.runtime.scratch.tmp),
        *([memory_volume(SHARED_MEMORY, shared)] if (shared := plan.runtime.scratch.shared_memory) else []),
    ]


def _exactly(amount: Mapping[str, str]) -> dict[str, Any]:
    return {"requests": dict(amount), "limits": dict(amount)}


def unprivileged() -> dict[str, Any]:
    """The security context of every pod of ours."""
    return {
        "runAsNonRoot": True,
        "runAsUser": RUN_AS,
        "runAsGroup": RUN_AS,
        "fsGroup": RUN_AS,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def confined() -> dict[str, Any]:
    """The security context of every container of ours."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _probe(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": names.GUARD_PORT, "scheme": "HTTPS"}}
