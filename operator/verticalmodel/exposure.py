"""Through which ingress controller a model is reached, or the refusal that says why there is none. Pure.

Only controllers that pass TLS on as it is: the guard alone holds the key, speaks TLS 1.3 only, and is what clause 13
looks at. A controller that ends TLS would be one more place where data is in plain text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from verticalmodel.api import exposure as api
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import Facts, IngressClass, IngressController
from verticalmodel.refusals import Refusal, RefusalReason

__all__ = ["PASS_THROUGH", "Exposed", "PassThrough", "exposed"]


@dataclass(frozen=True)
class PassThrough:
    """How a controller is told to pass TLS through: by a route of its own kind, or by an annotation of an Ingress."""

    product: str
    kind: str
    annotations: Mapping[str, str] = field(default_factory=dict)


PASS_THROUGH: Mapping[str, PassThrough] = {
    "traefik.io/ingress-controller": PassThrough("Traefik", "IngressRouteTCP"),
    "haproxy.org/ingress-controller": PassThrough(
        "HAProxy Kubernetes Ingress Controller", "Ingress", {"haproxy.org/ssl-passthrough": "true"}
    ),
    "haproxy-ingress.github.io/controller": PassThrough(
        "HAProxy Ingress", "Ingress", {"haproxy-ingress.github.io/ssl-passthrough": "true"}
    ),
}
"""By `spec.controller` of the IngressClass, which may go on with `/NAME` where a cluster runs several of a controller.

Not ingress-nginx: it is retired, and its pass-through needs a flag that no object shows.
"""


@dataclass(frozen=True)
class Exposed:
    """The way from outside to a model, resolved."""

    host: str
    class_name: str
    way: PassThrough
    source: IngressController
    """Where the controller's pods connect from."""


def exposed(model: VerticalModel, facts: Facts) -> Exposed | Refusal | None:
    """The way from outside, the first reason why there is none, or None where none is asked for."""
    wish = model.spec.exposure
    if wish is None:
        return None
    if _of_the_cluster(wish.host, facts.platform.cluster_domain):
        return _host_not_allowed(wish.host, "is a name inside the cluster; choose one of a domain outside it")
    found = _ingress_class(wish, facts)
    if isinstance(found, Refusal):
        return found
    return _taken(wish.host, facts.host_keeper) if facts.host_keeper else _through(wish.host, found, facts)


def _through(host: str, found: IngressClass, facts: Facts) -> Exposed | Refusal:
    way = _way(found.controller)
    if way is None:
        return _not_supported(found)
    if way.kind not in facts.route_kinds:
        return _not_served(found, way)
    source = next((one for one in facts.platform.ingress_controllers if one.controller == found.controller), None)
    if source is None:
        return _not_named(found)
    if not _given_out(host, source.domains):
        return _not_given_out(host, found, source.domains)
    return Exposed(host, found.name, way, source)


def _of_the_cluster(host: str, cluster_domain: str) -> bool:
    """A certificate with such a name would pass for somebody else's Service."""
    return f".{host}".endswith((".svc", f".{cluster_domain}"))


def _given_out(host: str, domains: tuple[str, ...]) -> bool:
    """Whether it is one of the domains or below one.

    Where none is named, any of three labels or more: two, `model.namespace`, is how pods may ask for another's Service.
    """
    return any(f".{host}".endswith(f".{one}") for one in domains) if domains else host.count(".") > 1


def _ingress_class(wish: api.Exposure, facts: Facts) -> IngressClass | Refusal:
    if wish.class_name is not None:
        named = next((one for one in facts.ingress_classes if one.name == wish.class_name), None)
        return named or _no_class(wish.class_name, facts.ingress_classes)
    kept = next((one for one in facts.ingress_classes if one.name == facts.routed_class), None)
    if kept is not None:
        # Another default is for routes to come: what serves must not move with it.
        return kept
    defaults = [one for one in facts.ingress_classes if one.is_default]
    # Of several, Kubernetes itself takes the newest.
    return max(defaults, key=lambda one: (one.created_at, one.name)) if defaults else _no_default(facts.ingress_classes)


def _way(controller: str) -> PassThrough | None:
    matches = (way for known, way in PASS_THROUGH.items() if f"{controller}/".startswith(f"{known}/"))
    return next(matches, None)


def _listed(classes: tuple[IngressClass, ...]) -> str:
    return ", ".join(sorted(one.name for one in classes)) or "none"


def _host_not_allowed(host: str, why: str) -> Refusal:
    return Refusal(RefusalReason.HOST_NOT_ALLOWED, f"spec.exposure.host: {host!r} {why}")


def _not_given_out(host: str, found: IngressClass, domains: tuple[str, ...]) -> Refusal:
    allowed = (
        f"only names of {', '.join(domains)} are given out there"
        if domains
        else "a name of two labels may be a Service's inside the cluster; choose one of three labels or more, or let "
        "an administrator name its domain in the operator's INGRESS_CONTROLLERS"
    )
    return _host_not_allowed(host, f"is not for IngressClass {found.name!r}: {allowed}")


def _no_class(name: str, classes: tuple[IngressClass, ...]) -> Refusal:
    return Refusal(
        RefusalReason.INGRESS_CLASS_NOT_FOUND,
        f"spec.exposure.className: there is no IngressClass {name!r}; there are: {_listed(classes)}",
    )


def _no_default(classes: tuple[IngressClass, ...]) -> Refusal:
    return Refusal(
        RefusalReason.INGRESS_CLASS_NOT_FOUND,
        "spec.exposure.className: it is not set, and no IngressClass has the annotation "
        f"ingressclass.kubernetes.io/is-default-class=true; name one of: {_listed(classes)}",
    )


def _not_supported(found: IngressClass) -> Refusal:
    products = ", ".join(f"{way.product} ({controller})" for controller, way in PASS_THROUGH.items())
    return Refusal(
        RefusalReason.INGRESS_CONTROLLER_NOT_SUPPORTED,
        f"spec.exposure.className: IngressClass {found.name!r} is run by {found.controller!r}, which is not known to "
        f"pass TLS through; name a class of {products}",
    )


def _not_served(found: IngressClass, way: PassThrough) -> Refusal:
    return Refusal(
        RefusalReason.ROUTE_KIND_NOT_SERVED,
        f"spec.exposure.className: IngressClass {found.name!r} is run by {found.controller!r}, which needs the kind "
        f"{way.kind}, and this cluster does not serve it; install the CRDs of {way.product}",
    )


def _not_named(found: IngressClass) -> Refusal:
    return Refusal(
        RefusalReason.INGRESS_CONTROLLER_NOT_NAMED,
        f"spec.exposure.className: nobody has said where the pods of {found.controller!r} (IngressClass "
        f"{found.name!r}) connect from, so no guard is opened to them; an administrator adds "
        f'{{"controller": "{found.controller}", "namespaceSelector": {{...}}}} to the operator\'s INGRESS_CONTROLLERS',
    )


def _taken(host: str, keeper: str) -> Refusal:
    return Refusal(
        RefusalReason.HOST_TAKEN,
        f"spec.exposure.host: {host!r} belongs to {keeper}; choose another host",
    )
