"""Flags and configuration files of a node's components. Pure: a machine in, text out.

Paths are as the machine sees them: /run, /var/lib and /var/log are its own.
"""

from __future__ import annotations

import json
from typing import Final

from testcluster.layout import DNS_SERVICE_ADDRESS, SERVICE_RANGE, Layout, Machine
from testcluster.machines import BIN
from testcluster.settings import DNS_DOMAIN, KUBERNETES

KUBELET: Final = "/var/lib/kubelet"
CONTAINERD_SOCKET: Final = "/run/containerd/containerd.sock"
CDI: Final = "/run/cdi"
CNI_PLUGINS: Final = "/usr/lib/cni"
SANDBOX_IMAGE: Final = "docker.io/verticalmodel-test/pause:1"
POD_PIDS_LIMIT: Final = 512


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


def _json(document: object) -> str:
    return json.dumps(document, indent=1) + "\n"
