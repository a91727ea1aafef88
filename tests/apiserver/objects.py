"""Builders of whole API objects in wire form: every field set, every value allowed; changed by path."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from verticalmodel import evidence
from verticalmodel.api import names

Wire = dict[str, Any]
Path = Sequence[str | int]

UID = "7d1f9c52-0000-4000-8000-000000000001"
DIGEST = "sha256:" + "1" * 64
OBJECT_MISSING = object()
"""As a value for `changed`: take the field out."""


def changed(obj: Wire, path: Path, value: Any) -> Wire:
    """A copy of `obj` with `value` at `path`; OBJECT_MISSING removes what is there."""
    result = copy.deepcopy(obj)
    *parents, last = path
    target: Any = result
    for step in parents:
        target = target[step]
    if value is OBJECT_MISSING:
        del target[last]
    else:
        target[last] = value
    return result


def _object(kind: str, name: str, namespace: str, spec: Wire) -> Wire:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def model(namespace: str, name: str = "breast-screening") -> Wire:
    """A VerticalModel with every field of its spec."""
    requirement = {"key": "example.com/team", "operator": "In", "values": ["radiology"]}
    return _object(
        "VerticalModel",
        name,
        namespace,
        {
            "runtime": {"name": "oip-onnx"},
            "source": {
                "uri": "s3://models/breast/1",
                "digest": DIGEST,
                "format": "onnx",
                "key": {"name": "model-key", "key": "key"},
                "secretRef": {"name": "bucket"},
                "egress": [{"cidr": "192.0.2.0/24", "port": 9000}, _pods()],
            },
            "replicas": 2,
            "suspend": False,
            "resources": {
                "cpu": "500m",
                "memory": "1Gi",
                "gpu": {
                    "count": 2,
                    "memory": "24G",
                    "mixedPrecision": True,
                    "allocation": "DevicePlugin",
                    "sharing": "Exclusive",
                },
            },
            "startup": {"budgetSeconds": 240, "enforcement": "Report"},
            "access": {"namespaceSelector": {"matchLabels": {"team": "radiology"}, "matchExpressions": [requirement]}},
            "exposure": {"host": "breast.example.org", "className": "traefik"},
            "pod": _pod_options(),
            "rollout": {"surge": True, "preflight": "Skip"},
            "standard": {"name": names.DEFAULT_STANDARD},
            "update": "2026-11",
        },
    )


def _pods() -> Wire:
    selector = {
        "matchLabels": {"team": "radiology"},
        "matchExpressions": [{"key": "example.com/team", "operator": "In", "values": ["radiology"]}],
    }
    return {"namespaceSelector": selector, "podSelector": selector, "port": 9000}


def _pod_options() -> Wire:
    near = {
        "labelSelector": {
            "matchLabels": {"team": "radiology"},
            "matchExpressions": [{"key": "example.com/team", "operator": "In", "values": ["radiology"]}],
        },
        "topologyKey": "kubernetes.io/hostname",
    }
    term = {"matchExpressions": [{"key": "rack", "operator": "In", "values": ["1"]}]}
    pods = {
        "requiredDuringSchedulingIgnoredDuringExecution": [near],
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": near}],
    }
    return {
        "labels": {"team": "radiology"},
        "annotations": {"example.com/owner": "radiology"},
        "nodeSelector": {"zone": "a"},
        "tolerations": [
            {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60}
        ],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]},
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}],
            },
            "podAffinity": pods,
            "podAntiAffinity": pods,
        },
        "priorityClassName": "high",
        "runtimeClassName": "kata",
        "imagePullSecrets": [{"name": "registry"}],
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
        "extraArgs": ["--verbose"],
    }


def runtime(name: str = "sample-runtime") -> Wire:
    """A ModelRuntime with every field of its spec."""
    return _object(
        "ModelRuntime",
        name,
        "",
        {
            "image": "example.com/serving:1",
            "imagePullPolicy": "Always",
            "command": ["serve"],
            "args": ["--port", "$(SERVER_PORT)"],
            "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
            "port": 9000,
            "protocol": "Custom",
            "routes": [{"path": "/score", "method": "POST"}, {"path": "/about", "method": "GET"}],
            "timeoutSeconds": 30,
            "scratch": {"tmp": "64Mi", "sharedMemory": "1Gi"},
            "formats": ["onnx"],
            "probes": {"livePath": "/live", "readyPath": "/ready"},
            "guard": {"cpu": "100m", "memory": "64Mi"},
            "sampleRequest": "{}",
        },
    )


def edition(name: str = "sample-edition") -> Wire:
    """An OperatingStandard of one clause, with every field."""
    clause = {
        "id": 13,
        "condition": "TransportEncrypted",
        "title": "Encrypted transport",
        "text": "Data in transit by TLS 1.3.",
        "reading": "Every endpoint of the model; older versions refused.",
        "citation": "II (3) 2 (1)",
        "measure": "transport-encrypted",
        "comparator": "AtLeast",
        "limit": 1.3,
        "unit": "TLS",
        "parameters": {"controlGapSeconds": "1"},
        "lifetimeSeconds": 600,
        "mandatory": True,
        "scope": "Model",
    }
    return _object(
        "OperatingStandard",
        name,
        "",
        {"title": "Rules", "edition": "2026.1", "effective": "2026-01-01", "simulation": False, "clauses": [clause]},
    )


def draft(instance: str = "pod/breast-0:8443", measure: str = "transport-encrypted") -> Wire:
    """An entry with every field but its place in the chain."""
    return {
        "measure": measure,
        "instance": instance,
        "outcome": "Measured",
        "value": 1.3,
        "unit": "TLS",
        "samples": 5,
        "windowSeconds": 0.5,
        "method": "handshakes with TLS 1.0 to 1.3 and plain text",
        "source": "pod/verticalmodel-prober-0 on node1",
        "load": 0.25,
        "simulated": False,
        "scope": "State",
        "binding": {"podUid": UID, "nodeBootId": "boot", "serviceUid": UID, "templateDigest": DIGEST},
        "observations": [{"name": "tls1.3", "value": "accepted TLS_AES_256_GCM_SHA384 X25519"}],
        "measuredAt": "2026-11-23T12:00:00Z",
        "expiresAt": "2026-11-23T12:10:00Z",
    }


def evidence_of(
    namespace: str,
    name: str = "breast-0123456789",
    *,
    measurer: str = names.MANAGER_PROBER,
    drafts: Sequence[Wire] = (),
) -> Wire:
    """An Evidence object whose chain holds the drafts, one by default."""
    entries, head = evidence.extend(None, drafts or [draft()])
    return _object(
        "Evidence",
        name,
        namespace,
        {
            "subject": {"kind": "VerticalModel", "name": "breast-screening", "uid": UID},
            "measurer": measurer,
            "head": head.wire(),
            "entries": [entry.wire() for entry in entries],
        },
    )


def condition(kind: str, status: str, reason: str = "Measured") -> Wire:
    """A condition with its required fields and a message."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "as seen",
        "lastTransitionTime": "2026-11-23T12:00:00Z",
        "observedGeneration": 1,
    }
