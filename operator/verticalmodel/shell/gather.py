"""Reads the caches into the values that planning and judging work on. The only room that knows both sides."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import Facts, Node, NodeGpu, Observed, ObservedService, Pin, Platform
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import Key
from verticalmodel.shell.caches import OURS, Caches
from verticalmodel.shell.projection import read_evidence


async def facts(api: ApiClient, caches: Caches, platform: Platform, model: VerticalModel) -> Facts:
    """What this cluster offers to one model. Raises ApiError."""
    return Facts(
        platform=platform,
        runtime=caches.runtimes.get(Key("", model.spec.runtime.name)),
        standard=caches.standards.get(Key("", model.spec.standard.name)),
        pin=_newest_pin(caches, model),
        occupied=await _occupied(api, caches, model),
        nodes=nodes(caches),
        device_classes=frozenset(key.name for key in caches.device_classes),
    )


def observed(caches: Caches, model: VerticalModel, now: datetime) -> Observed:
    """Everything the judge may read about one model."""
    meta = model.metadata
    group = (meta.namespace, meta.name)
    service = caches.child(resources.SERVICES, Key(meta.namespace, meta.name))
    return Observed(
        model=model,
        standard=caches.standards.get(Key("", model.spec.standard.name)),
        pods=tuple(sorted((pod.observed for pod in caches.pods.group(group).values()), key=lambda pod: pod.name)),
        service=ObservedService(meta.name, service.uid) if service and service.owner_uid == meta.uid else None,
        evidence=tuple(read_evidence(packed) for _, packed in caches.evidence.group(group).values()),
        now=now,
    )


def nodes(caches: Caches) -> tuple[Node, ...]:
    """What every node offers to GPU models."""
    published: dict[str, list[NodeGpu]] = {}
    for node, devices in caches.slices.values.values():
        published.setdefault(node, []).extend(devices)
    return tuple(replace(node, devices=tuple(published.get(node.name, ()))) for node in caches.nodes.values.values())


def _newest_pin(caches: Caches, model: VerticalModel) -> Pin | None:
    revisions = caches.revisions.group((model.metadata.namespace, model.metadata.name)).values()
    ours = [revision for revision in revisions if revision.child.owner_uid == model.metadata.uid]
    return max(ours, key=lambda revision: (revision.number, revision.child.version)).pin() if ours else None


async def _occupied(api: ApiClient, caches: Caches, model: VerticalModel) -> frozenset[str]:
    """The Service bears the model's own name, so a stranger's may stand in its place; other names hold a hash."""
    key = Key(model.metadata.namespace, model.metadata.name)
    if caches.child(resources.SERVICES, key) is not None:
        return frozenset()
    stranger = await api.find(resources.SERVICES, key, metadata_only=True)
    if stranger is None or OURS.items() <= (stranger["metadata"].get("labels") or {}).items():
        return frozenset()
    return frozenset({f"Service/{key.name}"})
