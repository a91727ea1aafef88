"""What a cluster needs beyond its components: rights, DNS, a default StorageClass. Pure manifests."""

from __future__ import annotations

from typing import Any, Final

from testcluster.layout import DNS_SERVICE_ADDRESS
from testcluster.settings import DNS_DOMAIN, PROVISIONER_PATH

Manifest = dict[str, Any]

DNS_LABELS: Final = {"k8s-app": "kube-dns"}
STORAGE_NAMESPACE: Final = "local-path-storage"
_RBAC: Final = "rbac.authorization.k8s.io"
_READ: Final = ["get", "list", "watch"]

_COREFILE: Final = f"""\
.:53 {{
    errors
    health
    ready
    kubernetes {DNS_DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 5
    }}
    cache 5
}}
"""


def rights() -> list[Manifest]:
    """Rights of the components that a fresh API server does not know."""
    return [
        _cluster_role(
            "verticalmodel-test:kube-router",
            _rule([""], ["namespaces", "pods", "services", "nodes", "endpoints"], _READ),
            _rule(["discovery.k8s.io"], ["endpointslices"], _READ),
            _rule(["networking.k8s.io"], ["networkpolicies"], _READ),
        ),
        _bind_user("verticalmodel-test:kube-router", "kube-router"),
        _cluster_role(
            "verticalmodel-test:local-path-provisioner",
            _rule([""], ["nodes", "persistentvolumeclaims", "configmaps", "pods", "pods/log"], _READ),
            _rule([""], ["persistentvolumes", "pods"], [*_READ, "create", "patch", "update", "delete"]),
            _rule([""], ["events"], ["create", "patch"]),
            _rule([""], ["endpoints"], [*_READ, "create", "update", "patch"]),
            _rule(["coordination.k8s.io"], ["leases"], [*_READ, "create", "update", "patch"]),
            _rule(["storage.k8s.io"], ["storageclasses"], _READ),
        ),
        _bind_user("verticalmodel-test:local-path-provisioner", "local-path-provisioner"),
        _bind_user("system:kubelet-api-admin", "kube-apiserver-kubelet-client"),
    ]


def dns(replicas: int) -> list[Manifest]:
    """CoreDNS behind the Service kube-dns, labelled as policies expect it."""
    metadata = {"name": "coredns", "namespace": "kube-system"}
    service = {
        "selector": DNS_LABELS,
        "clusterIP": str(DNS_SERVICE_ADDRESS),
        "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
        ],
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        _cluster_role(
            "system:coredns",
            _rule([""], ["services", "pods", "namespaces"], ["list", "watch"]),
            _rule(["discovery.k8s.io"], ["endpointslices"], ["list", "watch"]),
        ),
        _bind("system:coredns", {"kind": "ServiceAccount", **metadata}),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"Corefile": _COREFILE}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata | {"labels": DNS_LABELS},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": DNS_LABELS},
                "template": {"metadata": {"labels": DNS_LABELS}, "spec": _dns_pod()},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": DNS_LABELS},
            "spec": service,
        },
    ]


def _dns_pod() -> Manifest:
    apart = {
        "labelSelector": {"matchLabels": DNS_LABELS},
        "topologyKey": "kubernetes.io/hostname",
    }
    return {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": apart}],
            },
        },
        "containers": [
            {
                "name": "coredns",
                "image": "verticalmodel-test/coredns:1",
                "imagePullPolicy": "Never",
                "args": ["-conf", "/etc/coredns/Corefile"],
                "ports": [
                    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
                ],
                "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
                "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 60},
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "170Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "runAsNonRoot": True,
                    "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
                },
            },
        ],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }


def storage() -> list[Manifest]:
    """The default StorageClass: folders on the node that a pod runs on."""
    helper = """\
apiVersion: v1
kind: Pod
metadata:
  name: helper-pod
spec:
  containers:
    - name: helper-pod
      image: verticalmodel-test/busybox:1
      imagePullPolicy: Never
      securityContext:
        runAsUser: 0
"""
    scripts = {
        "setup": f'#!/bin/sh\nset -eu\n# Below {PROVISIONER_PATH} on the node.\nmkdir -m 0777 -p "$VOL_DIR"\n',
        "teardown": '#!/bin/sh\nset -eu\nrm -rf "$VOL_DIR"\n',
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STORAGE_NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "local-path-provisioner", "namespace": STORAGE_NAMESPACE},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "local-path-config", "namespace": STORAGE_NAMESPACE},
            "data": scripts | {"helperPod.yaml": helper},
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": "local-path",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "rancher.io/local-path",
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
        },
    ]


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> Manifest:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def _cluster_role(name: str, *rules: Manifest) -> Manifest:
    return {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": list(rules)}


def _bind_user(role: str, user: str) -> Manifest:
    return _bind(role, {"kind": "User", "apiGroup": _RBAC, "name": user}, name=f"verticalmodel-test:{user}")


def _bind(role: str, subject: Manifest, *, name: str = "") -> Manifest:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name or role},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }
