"""Reads the caches into the values that planning and judging work on. The only room that knows both sides."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import (
    Facts,
    Node,
    Observed,
    ObservedClaim,
    ObservedPod,
    ObservedService,
    Pin,
    Platform,
)
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import ApiError, Forbidden
from verticalmodel.kube.informer import Informer
from verticalmodel.kube.resources import Key
from verticalmodel.plan import Plan, asks_for_volume, claim_of
from verticalmodel.preflight import Trials
from verticalmodel.render.metadata import ROLE_PREFLIGHT
from verticalmodel.render.route import INGRESS, INGRESS_ROUTE_TCP
from verticalmodel.shell.caches import OURS, Caches
from verticalmodel.shell.inventory import with_devices
from verticalmodel.shell.projection import Pod, read_evidence
from verticalmodel.shell.routes import routed_class
from verticalmodel.shell.serving_certificates import asked
from verticalmodel.user_namespaces import id_mapped


async def facts(api: ApiClient, caches: Caches, platform: Platform, model: VerticalModel) -> Facts:
    """What this cluster offers to one model. Raises ApiError."""
    runtime = Key("", model.spec.runtime.name)
    known = Facts(
        platform=platform,
        runtime=caches.runtimes.get(runtime),
        runtime_broken=caches.runtimes.unreadable(runtime),
        standard=caches.standards.get(Key("", model.spec.standard.name)),
        pin=_newest_pin(caches, model),
        occupied=await _occupied(api, caches, model),
        nodes=nodes(caches),
        device_classes=frozenset(key.name for key in caches.device_classes),
        ingress_classes=tuple(caches.ingress_classes.values.values()),
        route_kinds=frozenset({INGRESS, INGRESS_ROUTE_TCP} if caches.traefik.served else {INGRESS}),
        cert_manager=caches.cert_manager.served,
        routed_class=routed_class(caches, model),
        host_keeper=_host_keeper(caches, model),
    )
    return replace(known, claim_id_mapped=await _id_mapped(api, model)) if asks_for_volume(model, known) else known


async def looked_into(api: ApiClient, caches: Caches, seen: Observed) -> Observed:
    """What was observed, and where pods do not come up, what only a live look tells of it.

    It explains and decides nothing, so that a look that fails is no failure of the pass.
    """
    with suppress(ApiError):
        claim = await _claim(api, seen) if any(pod.unscheduled for pod in seen.pods) else None
        model = seen.model.metadata
        refused = await _refused(api, caches, (model.namespace, model.name), preflight=False)
        return replace(seen, claim=claim, pods_refused=next(iter(refused.values()), ""))
    return seen


async def _claim(api: ApiClient, seen: Observed) -> ObservedClaim | None:
    name = claim_of(seen.model)
    if not name:
        return None
    found = await api.find(resources.PERSISTENT_VOLUME_CLAIMS, Key(seen.model.metadata.namespace, name))
    return ObservedClaim(name, (found.get("status") or {}).get("phase") or "Pending" if found else "")


async def trials(api: ApiClient, caches: Caches, planned: Plan) -> Trials:
    """What came of the model's pre-flights so far."""
    owner = planned.owner
    model = (owner.namespace, owner.name)
    ours = (
        one for one in caches.children_of(*model) if one[0] is resources.DEPLOYMENTS and one[2].owner_uid == owner.uid
    )
    begun = frozenset(key.name for _, key, child in ours if child.component == ROLE_PREFLIGHT and not child.deleting)
    known = Trials(_pods(caches.preflights, model), begun=begun)
    try:
        refused = await _refused(api, caches, model, preflight=True)
        return replace(known, refused=refused, issued=await asked(api, planned))
    except ApiError as error:
        # What serves must not go without repair and a new certificate for that.
        return replace(known, unread=str(error))


async def _refused(api: ApiClient, caches: Caches, model: tuple[str, str], *, preflight: bool) -> dict[str, str]:
    """ReplicaFailure of the model's Deployments, its own or its pre-flights', by name.

    A body is read only where its metadata tells that there is one.
    """
    found = {}
    for resource, key, child in list(caches.children_of(*model)):
        wanted = resource is resources.DEPLOYMENTS and (child.component == ROLE_PREFLIGHT) == preflight
        if not wanted or not child.has_condition("ReplicaFailure"):
            continue
        live = await api.find(resource, key) or {}
        said = (live.get("status") or {}).get("conditions") or ()
        for one in filter(_failed_replicas, said):
            found[key.name] = str(one.get("message", ""))[:700]
    return found


def _failed_replicas(condition: Mapping[str, str]) -> bool:
    return (condition["type"], condition["status"]) == ("ReplicaFailure", "True")


def observed(caches: Caches, model: VerticalModel, now: datetime) -> Observed:
    """Everything the judge may read about one model in the caches."""
    meta = model.metadata
    group = (meta.namespace, meta.name)
    service = caches.child(resources.SERVICES, Key(meta.namespace, meta.name))
    return Observed(
        model=model,
        standard=caches.standards.get(Key("", model.spec.standard.name)),
        pods=_pods(caches.pods, group),
        service=ObservedService(meta.name, service.uid) if service and service.owner_uid == meta.uid else None,
        evidence=tuple(
            one for _, packed in caches.evidence.group(group).values() if (one := read_evidence(packed)) is not None
        ),
        now=now,
    )


def _pods(known: Informer[Pod], group: tuple[str, str]) -> tuple[ObservedPod, ...]:
    return tuple(sorted((pod.observed for pod in known.group(group).values()), key=lambda pod: pod.name))


def nodes(caches: Caches) -> tuple[Node, ...]:
    """What every node offers to GPU models."""
    return with_devices(caches.nodes.values.values(), caches.slices.values.values())


def _host_keeper(caches: Caches, model: VerticalModel) -> str:
    wish = model.spec.exposure
    keeper = caches.hosts.keeper(wish.host) if wish is not None else None
    if keeper is None or keeper == Key(model.metadata.namespace, model.metadata.name):
        return ""
    # What runs in other namespaces is not for everyone to know.
    return f"model {keeper.name}" if keeper.namespace == model.metadata.namespace else "a model of another namespace"


def _newest_pin(caches: Caches, model: VerticalModel) -> Pin | None:
    revisions = caches.revisions.group((model.metadata.namespace, model.metadata.name)).values()
    ours = [revision for revision in revisions if revision.child.owner_uid == model.metadata.uid]
    return max(ours, key=lambda revision: (revision.number, revision.child.version)).pin() if ours else None


async def _id_mapped(api: ApiClient, model: VerticalModel) -> bool:
    """Whether the volume behind the model's claim is known to take id-mapped mounts; False while it has none."""
    try:
        claim = await api.find(resources.PERSISTENT_VOLUME_CLAIMS, Key(model.metadata.namespace, claim_of(model)))
        name = claim["spec"].get("volumeName") if claim is not None else None
        volume = await api.find(resources.PERSISTENT_VOLUMES, Key("", name)) if name else None
    except Forbidden:
        # An administrator may keep volumes from us; then nothing is known of them.
        return False
    return volume is not None and id_mapped(volume)


async def _occupied(api: ApiClient, caches: Caches, model: VerticalModel) -> frozenset[str]:
    """The Service bears the model's own name, so a stranger's may stand in its place; other names hold a hash."""
    key = Key(model.metadata.namespace, model.metadata.name)
    if caches.child(resources.SERVICES, key) is not None:
        return frozenset()
    stranger = await api.find(resources.SERVICES, key, metadata_only=True)
    if stranger is None or OURS.items() <= (stranger["metadata"].get("labels") or {}).items():
        return frozenset()
    return frozenset({f"Service/{key.name}"})
