"""The NetworkPolicy: default deny both ways; in by the guard port only, out to a remote source only.

A model from a claim needs nothing from the network, DNS included: a resolver is a way out for data (decision 2). A
remote source brings DNS and the peers that the user names; the cloud's metadata address is never among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from verticalmodel.api import names
from verticalmodel.api.labels import LabelSelector
from verticalmodel.api.source import EgressPeer
from verticalmodel.plan import Plan, selector
from verticalmodel.render.metadata import ROLE_POLICY, ROLE_PREFLIGHT, metadata

_Network = IPv4Network | IPv6Network
_METADATA: tuple[_Network, ...] = (IPv4Network("169.254.0.0/16"), IPv6Network("fd00:ec2::254/128"))
"""Where clouds answer questions about the machine, credentials included."""


def preflight_policy(plan: Plan) -> dict[str, Any]:
    """Nobody reaches a pre-flight's pod, and it reaches the source alone."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(
            plan.owner,
            names.child_name(plan.owner.name, f"{ROLE_POLICY}/{ROLE_PREFLIGHT}"),
            component=ROLE_PREFLIGHT,
        ),
        "spec": {
            "podSelector": {"matchLabels": {names.LABEL_PREFLIGHT_OF: plan.owner.name}},
            "policyTypes": ["Ingress", "Egress"],
            **_egress(plan.source.egress),
        },
    }


def network_policy(plan: Plan, source: Sequence[EgressPeer]) -> dict[str, Any]:
    """Ingress to the guard from the prober, the granted namespaces and an exposed model's ingress controller.

    Egress to the remote source of the template in force.
    """
    prober = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": plan.platform.system_namespace}},
        "podSelector": {"matchLabels": {names.LABEL_NAME: names.ACCOUNT_PROBER}},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(plan.owner, names.child_name(plan.owner.name, ROLE_POLICY), component=ROLE_POLICY),
        "spec": {
            "podSelector": {"matchLabels": selector(plan.owner)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [prober, {"namespaceSelector": _selector(plan.clients)}, *_ingress_controller(plan)],
                    "ports": [{"port": names.GUARD_PORT, "protocol": "TCP"}],
                }
            ],
            **_egress(source),
        },
    }


def _ingress_controller(plan: Plan) -> list[dict[str, Any]]:
    if plan.exposed is None:
        return []
    source = plan.exposed.source
    pods = [{"namespaceSelector": _selector(source.namespaces)}] if source.namespaces is not None else []
    return [*pods, *({"ipBlock": {"cidr": cidr}} for cidr in source.cidrs)]


def _egress(source: Sequence[EgressPeer]) -> dict[str, Any]:
    if not source:
        return {}
    cluster_dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    resolve = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    to_source = ({"to": [_peer(one)], "ports": [{"port": one.port, "protocol": "TCP"}]} for one in source)
    return {"egress": [{"to": [cluster_dns], "ports": resolve}, *to_source]}


def _peer(peer: EgressPeer) -> dict[str, Any]:
    if peer.cidr is not None:
        block: dict[str, Any] = {"cidr": peer.cidr}
        kept_out = [str(one) for one in _METADATA if _inside(one, ip_network(peer.cidr, strict=False))]
        return {"ipBlock": {**block, **({"except": kept_out} if kept_out else {})}}
    selectors = {"namespaceSelector": peer.namespace_selector, "podSelector": peer.pod_selector}
    return {name: _selector(one) for name, one in selectors.items() if one is not None}


def _inside(one: _Network, other: _Network) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.subnet_of(other)
    return isinstance(other, IPv6Network) and one.subnet_of(other)


def _selector(selector: LabelSelector) -> dict[str, Any]:
    return {key: value for key, value in selector.wire().items() if value}
