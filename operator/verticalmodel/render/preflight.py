"""The pre-flight: a pod that shows whether images and parameters are there, before one that serves stops for them.

It has no GPU, no key material of the guard and no label by which anything looks for serving pods. Its init container
checks the source as `unseal` would; then the kubelet pulls the images of the others, whose command no image has: all
that is wanted of them is an imageID.
"""

from __future__ import annotations

from typing import Any

from verticalmodel.api import names
from verticalmodel.evidence import sha256_of
from verticalmodel.plan import Plan, selector
from verticalmodel.render.metadata import ROLE_ACCOUNT, ROLE_PREFLIGHT, metadata
from verticalmodel.render.placement import placement
from verticalmodel.render.pod_template import confined, unprivileged
from verticalmodel.render.unseal import DISK, check, memory_volume, volumes

_NEVER_RUNS = "/verticalmodel/only-pulled"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def preflight(plan: Plan) -> dict[str, Any]:
    """The Deployment of the plan's pre-flight, one pod; another template is another Deployment."""
    pod = _pod(plan)
    digest = sha256_of(pod)
    name = names.child_name(plan.owner.name, f"{ROLE_PREFLIGHT}/{digest}")
    labels = {names.LABEL_PREFLIGHT: name, names.LABEL_PREFLIGHT_OF: plan.owner.name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(
            plan.owner, name, component=ROLE_PREFLIGHT, annotations={names.ANNOTATION_TEMPLATE_DIGEST: digest}
        ),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {names.LABEL_PREFLIGHT: name}},
            "strategy": {"type": "Recreate"},
            "revisionHistoryLimit": 0,
            "template": {
                "metadata": {
                    "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY, **labels},
                    "annotations": {names.ANNOTATION_TEMPLATE_DIGEST: digest},
                },
                "spec": pod,
            },
        },
    }


def _pod(plan: Plan) -> dict[str, Any]:
    place = placement(plan)
    return {
        "serviceAccountName": names.child_name(plan.owner.name, ROLE_ACCOUNT),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **({"hostUsers": False} if plan.own_users else {}),
        **place,
        "affinity": _beside_what_serves(place.get("affinity", {}), plan),
        "terminationGracePeriodSeconds": 1,
        "securityContext": unprivileged(),
        "initContainers": [check(plan, confined=confined())],
        "containers": [
            _pulled(names.CONTAINER_SERVER, plan.runtime.image, plan.runtime.image_pull_policy),
            _pulled(names.CONTAINER_GUARD, plan.platform.guard_image, "IfNotPresent"),
        ],
        "volumes": [*volumes(plan), memory_volume("tmp", "16Mi")],
    }


def _beside_what_serves(affinity: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """On a node that the new pods will most likely be on: where the old ones give their room back."""
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": selector(plan.owner)}}
    pods = affinity.get("podAffinity", {})
    beside = {**pods, _PREFERRED: [*pods.get(_PREFERRED, ()), {"weight": 100, "podAffinityTerm": term}]}
    return {**affinity, "podAffinity": beside}


def _pulled(name: str, image: str, policy: str) -> dict[str, Any]:
    amount = {"cpu": "10m", "memory": "16Mi", DISK: "16Mi"}
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": policy,
        "command": [_NEVER_RUNS],
        "resources": {"requests": amount, "limits": dict(amount)},
        "securityContext": confined(),
        "terminationMessagePolicy": "File",
    }
