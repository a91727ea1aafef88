"""Flags and configuration files of every component. Pure: a layout in, text out.

Paths are as the machine sees them: /run, /var/lib and /var/log are its own.
"""

from __future__ import annotations

import json
from typing import Final

from testcluster.layout import (
    API_PORT,
    DNS_SERVICE_ADDRESS,
    SERVICE_RANGE,
    Layout,
    Machine,
)
from testcluster.machines import BIN

KUBERNETES: Final = "/var/lib/kubernetes"
KUBELET: Final = "/var/lib/kubelet"
CONTAINERD_SOCKET: Final = "/run/containerd/containerd.sock"
CDI: Final = "/run/cdi"
CNI_PLUGINS: Final = "/usr/lib/cni"
ETCD_URL: Final = "http://127.0.0.1:2379"
SANDBOX_IMAGE: Final = "docker.io/verticalmodel-test/pause:1"
POD_PIDS_LIMIT: Final = 512
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


def containerd() -> list[str]:
    return [f"{BIN}/containerd", "--config=/var/lib/containerd.toml"]


def containerd_configuration() -> str:
    """Configuration of containerd (TOML, version 3)."""
    runtime = 'plugins."io.containerd.cri.v1.runtime"'
    return f"""version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.nri.v1.nri"]
  disable = true

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{SANDBOX_IMAGE}"

[{runtime}]
  # Without CAP_SYS_RESOURCE a score can only be raised; lowering it fails every sandbox with
  # "can't get final child's PID from pipe: EOF".
  restrict_oom_score_adj = true
  cdi_spec_dirs = ["{CDI}"]

[{runtime}.cni]
  bin_dirs = ["{CNI_PLUGINS}"]
  conf_dir = "/var/lib/cni/net.d"

[{runtime}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[{runtime}.containerd.runtimes.runc.options]
  BinaryName = "{BIN}/runc"
  SystemdCgroup = false
"""


def cni_configuration(machine: Machine) -> str:
    """The plugin is ptp and not bridge: each packet is routed, so policies also bind between pods of one node."""
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": str(machine.pods)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return _json({"cniVersion": "1.0.0", "name": "pods", "plugins": plugins})


def kubelet(machine: Machine) -> list[str]:
    return [
        f"{BIN}/kubelet",
        f"--config={KUBELET}/config.json",
        f"--kubeconfig={KUBELET}/kubeconfig",
        f"--root-dir={KUBELET}",
        f"--cert-dir={KUBELET}/pki",
        f"--hostname-override={machine.name}",
        f"--node-ip={machine.address}",
    ]


def kubelet_configuration(machine: Machine) -> str:
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{KUBELET}/pki/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{KUBELET}/pki/kubelet.crt",
            "tlsPrivateKeyFile": f"{KUBELET}/pki/kubelet.key",
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "cgroupDriver": "cgroupfs",
            # All nodes share the machine's cgroup hierarchies: two kubelets with one root kill each other's pods.
            "cgroupRoot": machine.cgroup,
            "failCgroupV1": False,
            "failSwapOn": False,
            "enforceNodeAllocatable": [],
            "podPidsLimit": POD_PIDS_LIMIT,
            "clusterDNS": [str(DNS_SERVICE_ADDRESS)],
            "clusterDomain": DNS_DOMAIN,
            "resolvConf": f"{KUBELET}/resolv.conf",
            "staticPodPath": f"{KUBELET}/manifests",
            "volumePluginDir": f"{KUBELET}/volume-plugins",
            # Images come from `load-image` only: collected once, they would be gone for good.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
            "shutdownGracePeriod": "0s",
        },
    )


def kube_proxy() -> list[str]:
    return [f"{BIN}/kube-proxy", f"--config={KUBERNETES}/kube-proxy.json"]


def kube_proxy_configuration(layout: Layout, machine: Machine) -> str:
    return _json(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": f"{KUBERNETES}/kube-proxy.kubeconfig"},
            "hostnameOverride": machine.name,
            "clusterCIDR": str(layout.pods),
            # nf_conntrack_max is read-only outside the first network namespace.
            "conntrack": {"maxPerCore": 0, "min": 0},
        },
    )


def kube_router(machine: Machine) -> list[str]:
    """kube-router as the NetworkPolicy engine only."""
    return [
        f"{BIN}/kube-router",
        f"--kubeconfig={KUBERNETES}/kube-router.kubeconfig",
        f"--hostname-override={machine.name}",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        "--run-loadbalancer=false",
        "--enable-cni=false",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
    ]


def provisioner_configuration() -> str:
    default = {"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [PROVISIONER_PATH]}
    return _json({"nodePathMap": [default]})


def _json(document: object) -> str:
    return json.dumps(document, indent=1) + "\n"
