"""Routes that stand: for which host, and which of them a refused model must not keep."""

from __future__ import annotations

import structlog

from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import Key
from verticalmodel.render.route import KINDS, route_name
from verticalmodel.shell.children import BY_KIND, Store
from verticalmodel.shell.projection import Child

__all__ = ["routed_class", "standing", "withdraw"]

_LOG = structlog.get_logger(__name__)
_RESOURCES = tuple(BY_KIND[kind] for kind in KINDS)


def standing(store: Store, model: VerticalModel) -> str:
    """The host that the model asks for, where a route of its own for it stands; else empty."""
    wish = model.spec.exposure
    return wish.host if wish is not None and _route(store, model, wish.host) is not None else ""


def routed_class(store: Store, model: VerticalModel) -> str:
    """The IngressClass of that route; empty where there is none."""
    wish = model.spec.exposure
    route = _route(store, model, wish.host) if wish is not None else None
    return route.ingress_class if route is not None else ""


def _route(store: Store, model: VerticalModel, host: str) -> Child | None:
    meta = model.metadata
    key = Key(meta.namespace, route_name(meta.name, host))
    found = (store.child(resource, key) for resource in _RESOURCES)
    return next((one for one in found if one and one.owner_uid == meta.uid and not one.deleting), None)


async def withdraw(api: ApiClient, store: Store, model: VerticalModel, *, taken: bool) -> None:
    """Remove the routes of a refused model that are for another host than its spec's, or for one that is `taken`.

    All else of a refused model stays as it is; but a route that nobody asks for, or that another model has a right to,
    would send one model's requests to another. Raises ApiError.
    """
    wish, meta = model.spec.exposure, model.metadata
    kept = "" if wish is None or taken else route_name(meta.name, wish.host)
    for resource, key, have in list(store.children_of(meta.namespace, meta.name)):
        if resource in _RESOURCES and have.owner_uid == meta.uid and not have.deleting and key.name != kept:
            await api.delete(resource, key, uid=have.uid)
            _LOG.info("route withdrawn", kind=resource.kind, name=key.name, namespace=key.namespace)
