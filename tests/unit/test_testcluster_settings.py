"""Claims about the configuration of test clusters' components: each is a trap that was met once."""

from __future__ import annotations

import json
import tomllib

import pytest

from testcluster import addons, nodesettings, settings
from testcluster.layout import Layout, Machine, Shape

LAYOUT = Layout("demo", 7, Shape(nodes=2))
NODE1, NODE2 = LAYOUT.nodes


def flags(argv: list[str]) -> dict[str, str]:
    """Flags by name."""
    return dict(word.removeprefix("--").split("=", 1) for word in argv[1:] if word.startswith("--"))


def test_containerd_never_lowers_an_oom_score_and_runs_our_runc_and_pause() -> None:
    assert tomllib.loads(nodesettings.containerd_configuration()) == {
        "version": 3,
        "root": "/var/lib/containerd",
        "state": "/run/containerd",
        "grpc": {"address": "/run/containerd/containerd.sock"},
        "plugins": {
            "io.containerd.nri.v1.nri": {"disable": True},
            "io.containerd.cri.v1.images": {"pinned_images": {"sandbox": "docker.io/verticalmodel-test/pause:1"}},
            "io.containerd.cri.v1.runtime": {
                "restrict_oom_score_adj": True,
                "cdi_spec_dirs": ["/run/cdi"],
                "cni": {"bin_dirs": ["/usr/lib/cni"], "conf_dir": "/var/lib/cni/net.d"},
                "containerd": {
                    "runtimes": {
                        "runc": {
                            "runtime_type": "io.containerd.runc.v2",
                            "options": {"BinaryName": "/run/testcluster/bin/runc", "SystemdCgroup": False},
                        },
                    },
                },
            },
        },
    }


def test_pods_are_routed_and_not_bridged() -> None:
    assert json.loads(nodesettings.cni_configuration(NODE2)) == {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni",
                    "ranges": [[{"subnet": "10.135.2.0/24"}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def test_a_kubelet_starts_on_cgroup_v1_without_systemd_and_takes_no_anonymous_request() -> None:
    configuration = json.loads(nodesettings.kubelet_configuration(NODE1))
    wanted = {
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": "/verticalmodel-test-demo/node1",
        "enforceNodeAllocatable": [],
        "podPidsLimit": 512,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": "/var/lib/kubelet/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": "/var/lib/kubelet/pki/kubelet.crt",
        "tlsPrivateKeyFile": "/var/lib/kubelet/pki/kubelet.key",
        "resolvConf": "/var/lib/kubelet/resolv.conf",
    }
    assert {name: configuration[name] for name in wanted} == wanted


def test_no_two_kubelets_share_a_cgroup() -> None:
    """With one cgroup root they kill each other's pods."""
    clusters = [LAYOUT, Layout("other", 8, Shape(nodes=2))]
    roots = [json.loads(nodesettings.kubelet_configuration(node))["cgroupRoot"] for c in clusters for node in c.nodes]
    assert len(set(roots)) == 4


def test_the_api_server_authorizes_nodes_verifies_kubelets_and_calls_webhooks_without_a_kube_proxy() -> None:
    given = flags(settings.kube_apiserver(LAYOUT))
    wanted = {
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "kubelet-certificate-authority": "/var/lib/kubernetes/pki/ca.crt",
        "kubelet-preferred-address-types": "InternalIP",
        "enable-aggregator-routing": "true",
        "service-cluster-ip-range": "10.96.0.0/16",
    }
    assert {name: given[name] for name in wanted} == wanted
    assert "disable-admission-plugins" not in given
    assert "feature-gates" not in given


@pytest.mark.parametrize("machine", [NODE1, NODE2], ids=lambda machine: str(machine.name))
def test_kube_proxy_leaves_the_read_only_conntrack_limit_alone(machine: Machine) -> None:
    assert json.loads(nodesettings.kube_proxy_configuration(LAYOUT, machine)) == {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": "/var/lib/kubernetes/kube-proxy.kubeconfig"},
        "hostnameOverride": machine.name,
        "clusterCIDR": "10.135.0.0/16",
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def test_kube_router_does_policies_only() -> None:
    assert flags(nodesettings.kube_router(NODE1)) == {
        "kubeconfig": "/var/lib/kubernetes/kube-router.kubeconfig",
        "hostname-override": "node1",
        "run-firewall": "true",
        "run-router": "false",
        "run-service-proxy": "false",
        "run-loadbalancer": "false",
        "enable-cni": "false",
        "service-cluster-ip-range": "10.96.0.0/16",
    }


def test_dns_pods_are_labelled_as_network_policies_expect_and_keep_apart() -> None:
    deployment = next(manifest for manifest in addons.dns(2) if manifest["kind"] == "Deployment")
    assert deployment["metadata"]["namespace"] == "kube-system"
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["template"]["metadata"]["labels"] == {"k8s-app": "kube-dns"}
    apart = deployment["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
    terms = apart["preferredDuringSchedulingIgnoredDuringExecution"]
    assert [term["podAffinityTerm"]["topologyKey"] for term in terms] == ["kubernetes.io/hostname"]


def test_a_claim_without_a_class_gets_the_local_one() -> None:
    (class_,) = (manifest for manifest in addons.storage() if manifest["kind"] == "StorageClass")
    assert class_["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert class_["volumeBindingMode"] == "WaitForFirstConsumer"
