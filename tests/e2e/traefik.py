"""Traefik as an administrator would install it for one namespace: restricted, with rights there and nowhere else."""

from __future__ import annotations

import json
from typing import Any

from e2e.installed import Cluster
from installation import ROOT

NAMESPACE = "e2e-traefik"
CLASS = "e2e-traefik"
CONTROLLER = "traefik.io/ingress-controller"
ADDRESS = f"traefik.{NAMESPACE}.svc"
ROUTES = "ingressroutetcps"
# What Traefik lists beside them before it starts; nothing is ever made of these.
OTHERS = {
    "IngressRoute": "ingressroutes",
    "IngressRouteUDP": "ingressrouteudps",
    "Middleware": "middlewares",
    "MiddlewareTCP": "middlewaretcps",
    "ServersTransport": "serverstransports",
    "ServersTransportTCP": "serverstransporttcps",
    "TLSOption": "tlsoptions",
    "TLSStore": "tlsstores",
    "TraefikService": "traefikservices",
}
_LABELS = {"app": "traefik"}
_TRAEFIK = {"name": "traefik", "namespace": NAMESPACE, "labels": _LABELS}
_CRD = ROOT / "tests/e2e/data/traefik_ingressroutetcp_crd.yaml"


def install(cluster: Cluster, namespace: str) -> None:
    """Traefik, Ready, with its class and CRDs; it reads the routes of `namespace` only."""
    cluster.kubectl("apply", "--server-side", "-f", str(_CRD))
    for kind, plural in OTHERS.items():
        cluster.apply(_empty_kind(kind, plural))
    for manifest in (_namespace(), _class(), _account(), _role(namespace), _binding(namespace), _service()):
        cluster.apply(manifest)
    cluster.apply(_deployment(cluster.references["traefik"], namespace))
    cluster.kubectl("rollout", "status", "deployment/traefik", "-n", NAMESPACE, "--timeout=90s")


def uninstall(cluster: Cluster) -> None:
    """Everything that `install` made outside the model's namespace."""
    names = [f"{plural}.traefik.io" for plural in (*OTHERS.values(), ROUTES)]
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found")
    cluster.kubectl("delete", "ingressclass", CLASS, "--ignore-not-found")
    cluster.kubectl("delete", "crd", *names, "--ignore-not-found")


def name_to_operator(cluster: Cluster) -> None:
    """Tell the operator where Traefik's pods are; stays, because without Traefik it opens nothing to anybody."""
    selector = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    entries = [{"controller": CONTROLLER, "namespaceSelector": selector}]
    where = ("deployment/verticalmodel-operator", "-n", "verticalmodel-system")
    cluster.kubectl("set", "env", *where, f"INGRESS_CONTROLLERS={json.dumps(entries)}")
    cluster.kubectl("rollout", "status", *where, "--timeout=120s")


def _namespace() -> dict[str, Any]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def _class() -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": CLASS},
        "spec": {"controller": CONTROLLER},
    }


def _empty_kind(kind: str, plural: str) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.traefik.io"},
        "spec": {
            "group": "traefik.io",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def _account() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _TRAEFIK}


def _role(namespace: str) -> dict[str, Any]:
    look = ["list", "watch"]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "traefik", "namespace": namespace},
        "rules": [
            # It lists Secrets, for routes that end TLS: so its rights are confined to the namespace it serves.
            {"apiGroups": [""], "resources": ["services", "secrets", "configmaps"], "verbs": look},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": look},
            {"apiGroups": ["traefik.io"], "resources": [ROUTES, *OTHERS.values()], "verbs": look},
        ],
    }


def _binding(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "traefik", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "traefik"},
        "subjects": [{"kind": "ServiceAccount", "name": "traefik", "namespace": NAMESPACE}],
    }


def _service() -> dict[str, Any]:
    ports = [{"name": "websecure", "port": 443, "targetPort": 8443}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": _TRAEFIK, "spec": {"selector": _LABELS, "ports": ports}}


def _deployment(image: str, namespace: str) -> dict[str, Any]:
    container = {
        "name": "traefik",
        "image": image,
        "args": [
            "--entryPoints.websecure.address=:8443",
            "--entryPoints.ping.address=:8081",
            "--ping=true",
            "--ping.entryPoint=ping",
            "--providers.kubernetesCRD=true",
            f"--providers.kubernetesCRD.namespaces={namespace}",
            f"--providers.kubernetesCRD.ingressClass={CLASS}",
            "--providers.kubernetesCRD.disableClusterScopeResources=true",
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
            "--log.level=INFO",
        ],
        "readinessProbe": {"httpGet": {"path": "/ping", "port": 8081}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "192Mi"}, "limits": {"cpu": "500m", "memory": "192Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "serviceAccountName": "traefik",
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _TRAEFIK,
        "spec": {
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        },
    }
