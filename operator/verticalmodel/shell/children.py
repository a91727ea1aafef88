"""Server-side apply of the children in kind order, drift repair, pruning after the last apply (DESIGN section 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import structlog

from verticalmodel.api import names
from verticalmodel.evidence import sha256_of
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import ApiError, Forbidden, Invalid
from verticalmodel.kube.resources import Key, Resource
from verticalmodel.ownership import body_of, has_additions, ownership, owns_all, removal_patch
from verticalmodel.plan import Owner
from verticalmodel.render.metadata import ROLE_PREFLIGHT
from verticalmodel.shell.projection import Child

_LOG = structlog.get_logger(__name__)

BY_KIND: Mapping[str, Resource] = {
    resource.kind: resource
    for resource in (
        resources.SERVICE_ACCOUNTS,
        resources.NETWORK_POLICIES,
        resources.CONFIG_MAPS,
        resources.CONTROLLER_REVISIONS,
        resources.RESOURCE_CLAIM_TEMPLATES,
        resources.CERTIFICATES,
        resources.SERVICES,
        resources.INGRESSES,
        resources.INGRESS_ROUTE_TCPS,
        resources.POD_DISRUPTION_BUDGETS,
        resources.DEPLOYMENTS,
    )
}
"""Kinds of children that the operator may list; Secrets are not among them on purpose."""


_KEPT_FOR_OLD_PODS = (
    resources.CONFIG_MAPS,
    resources.CONTROLLER_REVISIONS,
    resources.RESOURCE_CLAIM_TEMPLATES,
    resources.CERTIFICATES,
)
"""What running pods may still refer to: pruned only once none of an earlier template lives."""


_PATCH_PAUSES = (0.0, 0.05, 0.1, 0.2, None)
"""Seconds before each further try of a patch that lost a race; None: no further try."""


class Waiting(Exception):  # noqa: N818 - not an error: the world has to move first
    """The pass cannot go on yet; the message becomes the reason of Progressing, `delay` is in seconds."""

    def __init__(self, message: str, delay: float) -> None:
        super().__init__(message)
        self.delay = delay


class ChildRefused(Exception):  # noqa: N818 - what happened
    """The API server will not have a child as rendered: somebody has to change the spec, a policy or a quota."""


class Action(Enum):
    """What a child needs."""

    NOTHING = "nothing"
    APPLY = "apply"
    WAIT = "wait"


class Store(Protocol):
    """The caches, as far as applying needs them."""

    def child(self, resource: Resource, key: Key) -> Child | None:
        """The newest known state of a child."""

    def children_of(self, namespace: str, model: str) -> Iterable[tuple[Resource, Key, Child]]:
        """Every cached child that bears the model's label."""

    def tries(self, namespace: str, model: str) -> bool:
        """Whether a pod of a pre-flight of the model is there."""

    def saw(self, resource: Resource, obj: Mapping[str, Any]) -> None:
        """Remember the answer to a write: until the watch catches up, and its stamp for good."""

    def applied_stamp(self, resource: Resource, key: Key, uid: str) -> int | None:
        """The stamp that our own last apply left; None where this process has not applied the object."""


@dataclass(frozen=True)
class Counts:
    """Writes of one pass."""

    applied: int = 0
    removed: int = 0


def action(
    have: Child | None, manifest: Mapping[str, Any], applied_hash: str, owner_uid: str, stamp: int | None = None
) -> Action:
    """What a child needs, decided from what the caches show of it.

    `stamp` is the one that our own last apply left. Another one means that somebody changed the object since, and
    whatever managedFields say of it, ours is applied again: a field manager's name is anybody's to write.
    """
    if have is None:
        return Action.APPLY
    if have.deleting or have.owner_uid not in ("", owner_uid):
        return Action.WAIT
    if have.applied_hash != applied_hash or (stamp is not None and have.stamp != stamp):
        return Action.APPLY
    fields = have.ownership
    return (
        Action.NOTHING
        if owns_all(fields.own, body_of(manifest)) and not has_additions(fields, body_of(manifest))
        else Action.APPLY
    )


def hashed(manifest: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The manifest with its own hash as an annotation, and the hash."""
    digest = sha256_of(manifest)
    meta = manifest["metadata"]
    annotations = {**meta.get("annotations", {}), names.ANNOTATION_APPLIED_HASH: digest}
    return {**manifest, "metadata": {**meta, "annotations": annotations}}, digest


def any_missing(store: Store, namespace: str, manifests: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a child is not there."""
    return any(store.child(BY_KIND[one["kind"]], Key(namespace, one["metadata"]["name"])) is None for one in manifests)


async def apply_children(
    api: ApiClient, store: Store, owner: Owner, manifests: Sequence[Mapping[str, Any]], *, settled: bool
) -> Counts:
    """Bring every child to its manifest, then prune what is no longer wanted.

    `settled` says that no live pod was made from another template, so that old templates and configuration may go.
    Raises Waiting while an object of a previous model of that name is in the way, ChildRefused, and ApiError.
    """
    applied = 0
    for manifest in manifests:
        marked, digest = hashed(manifest)
        resource = BY_KIND[manifest["kind"]]
        key = Key(owner.namespace, manifest["metadata"]["name"])
        have = store.child(resource, key)
        stamp = store.applied_stamp(resource, key, have.uid) if have is not None else None
        needed = action(have, marked, digest, owner.uid, stamp)
        if needed is Action.WAIT:
            raise Waiting(f"{resource.kind} {key.name} of the previous model of this name is still being removed", 1.0)
        if needed is Action.APPLY:
            await _apply(api, store, resource, key, marked)
            applied += 1
    wanted = {(BY_KIND[manifest["kind"]], manifest["metadata"]["name"]) for manifest in manifests}
    return Counts(applied, await _prune(api, store, owner, wanted, settled=settled))


async def end_preflights(api: ApiClient, store: Store, owner: Owner) -> None:
    """Remove what tries templates of the model, as far as it may go by now. Raises ApiError."""
    children = _in_reverse(store, owner)
    others = {(resource, key.name) for resource, key, have in children if have.component != ROLE_PREFLIGHT}
    await _prune(api, store, owner, others, settled=True)


async def _apply(api: ApiClient, store: Store, resource: Resource, key: Key, manifest: Mapping[str, Any]) -> None:
    have = store.child(resource, key)
    if have is not None and has_additions(have.ownership, body_of(manifest)):
        # First, because an admission policy may refuse our apply for what a stranger has added (a host namespace).
        await _remove_additions(api, resource, key, manifest)
    try:
        store.saw(resource, await api.apply(resource, manifest))
    except (Invalid, Forbidden) as refusal:
        raise ChildRefused(f"{resource.kind} {key.name}: {_told(refusal)}") from refusal


def _told(refusal: ApiError) -> str:
    """The server's reasons, field by field where it names them."""
    causes = "; ".join(f"{cause.field}: {cause.message}" for cause in refusal.causes)
    return causes or str(refusal)


async def _remove_additions(api: ApiClient, resource: Resource, key: Key, manifest: Mapping[str, Any]) -> None:
    for pause in _PATCH_PAUSES:
        live = await api.get(resource, key)
        fields = ownership(live["metadata"].get("managedFields") or [], names.MANAGER_CHILDREN)
        patch = removal_patch(live, fields, body_of(manifest))
        if not patch:
            return
        try:
            await api.patch_json(resource, key, patch)
        except Invalid:
            # A controller wrote its status in between, so the patch's test did not hold: look again.
            if pause is None:
                raise
            await asyncio.sleep(pause)
        else:
            paths = [step["path"] for step in patch[1:]]
            _LOG.warning(
                "foreign fields removed", kind=resource.kind, name=key.name, namespace=key.namespace, fields=paths
            )
            return


async def _prune(
    api: ApiClient, store: Store, owner: Owner, wanted: set[tuple[Resource, str]], *, settled: bool
) -> int:
    removed = 0
    for resource, key, have in _in_reverse(store, owner):
        kept_for_old_pods = resource in _KEPT_FOR_OLD_PODS and not settled
        if (resource, key.name) in wanted or kept_for_old_pods or _confines_a_trial(store, owner, resource, have):
            continue
        removed += await api.delete(resource, key, uid=have.uid)
        _LOG.info("pruned", kind=resource.kind, name=key.name, namespace=key.namespace)
    return removed


def _in_reverse(store: Store, owner: Owner) -> list[tuple[Resource, Key, Child]]:
    """The children that are there, what confines pods after what makes them."""
    order = list(BY_KIND.values())
    ours = (one for one in store.children_of(owner.namespace, owner.name) if one[2].owner_uid == owner.uid)
    return sorted((one for one in ours if not one[2].deleting), key=lambda one: order.index(one[0]), reverse=True)


def _confines_a_trial(store: Store, owner: Owner, resource: Resource, have: Child) -> bool:
    """A pre-flight's pod outlives its Deployment by a moment, and has its NetworkPolicy to the end."""
    policy = resource is resources.NETWORK_POLICIES and have.component == ROLE_PREFLIGHT
    return policy and store.tries(owner.namespace, owner.name)


__all__ = [
    "BY_KIND",
    "Action",
    "ChildRefused",
    "Counts",
    "Store",
    "Waiting",
    "action",
    "any_missing",
    "apply_children",
    "end_preflights",
    "hashed",
]
