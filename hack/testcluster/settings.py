"""Flags and configuration of the control plane. Pure: a layout in, text out.

Paths are as the machine sees them: /run, /var/lib and /var/log are its own.
"""

from __future__ import annotations

import json
from typing import Final

from testcluster.layout import API_PORT, SERVICE_RANGE, Layout
from testcluster.machines import BIN

KUBERNETES: Final = "/var/lib/kubernetes"
ETCD_URL: Final = "http://127.0.0.1:2379"
DNS_DOMAIN: Final = "cluster.local"
PROVISIONER_PATH: Final = "/var/lib/local-path-provisioner"


def etcd() -> list[str]:
    """One etcd for one API server, reachable inside its machine only."""
    return [
        f"{BIN}/etcd",
        "--name=etcd",
        "--data-dir=/var/lib/etcd/data",
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=etcd=http://127.0.0.1:2380",
        "--auto-compaction-retention=5m",
        "--log-level=warn",
    ]


def kube_apiserver(layout: Layout) -> list[str]:
    """The API server with the authorizers and admission plugins of a kubeadm cluster."""
    pki = f"{KUBERNETES}/pki"
    return [
        f"{BIN}/kube-apiserver",
        f"--advertise-address={layout.control_plane.address}",
        "--bind-address=0.0.0.0",
        f"--secure-port={API_PORT}",
        f"--etcd-servers={ETCD_URL}",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
        # Otherwise logs and exec fail on looking up the node's name.
        "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-account-issuer=https://kubernetes.default.svc.{DNS_DOMAIN}",
        f"--service-account-key-file={pki}/service-account.pub",
        f"--service-account-signing-key-file={pki}/service-account.key",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
        f"--proxy-client-key-file={pki}/front-proxy-client.key",
        # No kube-proxy runs on this machine: webhooks and aggregated APIs are called at their endpoints.
        "--enable-aggregator-routing=true",
        "--allow-privileged=true",
        "--profiling=false",
    ]


def kube_controller_manager(layout: Layout) -> list[str]:
    pki = f"{KUBERNETES}/pki"
    config = f"{KUBERNETES}/kube-controller-manager.kubeconfig"
    return [
        f"{BIN}/kube-controller-manager",
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        f"--service-account-private-key-file={pki}/service-account.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--use-service-account-credentials=true",
        # The defaults (20/s) hold the start back for 5 s: each controller fetches a token of its own.
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        f"--cluster-cidr={layout.pods}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--profiling=false",
    ]


def kube_scheduler() -> list[str]:
    config = f"{KUBERNETES}/kube-scheduler.kubeconfig"
    return [
        f"{BIN}/kube-scheduler",
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--profiling=false",
    ]


def local_path_provisioner() -> list[str]:
    """The provisioner itself runs beside the control plane; only its helper pods run on the nodes."""
    return [
        f"{BIN}/local-path-provisioner",
        "start",
        f"--kubeconfig={KUBERNETES}/local-path-provisioner.kubeconfig",
        f"--config={KUBERNETES}/local-path-provisioner.json",
        "--namespace=local-path-storage",
        "--configmap-name=local-path-config",
        "--service-account-name=local-path-provisioner",
        "--helper-image=verticalmodel-test/busybox:1",
    ]


def provisioner_configuration() -> str:
    default = {"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [PROVISIONER_PATH]}
    return json.dumps({"nodePathMap": [default]}, indent=1) + "\n"
