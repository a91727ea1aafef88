"""Claims about exposure: which controllers a model is reached through, what is rendered for them, who keeps a host."""

from __future__ import annotations

from typing import Any

import kubernetes.client
import pytest

from unit.test_plan import PLATFORM, facts, model, planned
from unit.test_render import rendered
from verticalmodel.api.labels import LabelSelector
from verticalmodel.facts import Facts, IngressClass, IngressController, Platform
from verticalmodel.kube.resources import Key
from verticalmodel.plan import Plan, pin_key, plan
from verticalmodel.refusals import Refusal, RefusalReason
from verticalmodel.render.certificate_secret import server_names
from verticalmodel.render.children import children
from verticalmodel.render.pin import pin
from verticalmodel.render.service import url
from verticalmodel.shell.hosts import Hosts
from verticalmodel.shell.inventory import ingress_class

HOST = "breast.example.org"
TRAEFIK, HAPROXY = "traefik.io/ingress-controller", "haproxy.org/ingress-controller"
CLASSES = (
    IngressClass("traefik", TRAEFIK, is_default=True, created_at="2026-11-23T12:00:00Z"),
    IngressClass("haproxy", f"{HAPROXY}/inner"),
    IngressClass("jcmoraisjr", "haproxy-ingress.github.io/controller"),
    IngressClass("nginx", "k8s.io/ingress-nginx"),
    IngressClass("lookalike", f"{HAPROXY}-of-somebody-else"),
)
IN_TRAEFIK = LabelSelector(match_labels={"kubernetes.io/metadata.name": "traefik"})


def known(**changes: Any) -> Facts:
    """A cluster with every class, Traefik's CRDs and a place for every controller but that of `nginx`."""
    controllers = (
        IngressController(TRAEFIK, namespaces=IN_TRAEFIK),
        *(IngressController(one.controller, cidrs=("192.0.2.0/24", "2001:db8::/64")) for one in CLASSES[1:3]),
    )
    given: dict[str, Any] = {
        "platform": platform(*controllers),
        "ingress_classes": CLASSES,
        "route_kinds": frozenset({"Ingress", "IngressRouteTCP"}),
        **changes,
    }
    return facts(**given)


def platform(*controllers: IngressController) -> Platform:
    return Platform(PLATFORM.guard_image, PLATFORM.unseal_image, PLATFORM.version, ingress_controllers=controllers)


def exposed(class_name: str | None = None, host: str = HOST, **more: Any) -> Plan:
    return planned(model(exposure=wish(class_name, host), **more), known())


def wish(class_name: str | None = None, host: str = HOST) -> dict[str, str]:
    return {"host": host, **({"className": class_name} if class_name else {})}


@pytest.mark.parametrize(
    ("asked", "facts", "reason", "mentions"),
    [
        (wish("gone"), known(), RefusalReason.INGRESS_CLASS_NOT_FOUND, ("className", "'gone'", "haproxy, jcmoraisjr")),
        (
            wish(),
            known(ingress_classes=CLASSES[1:]),
            RefusalReason.INGRESS_CLASS_NOT_FOUND,
            ("className", "is-default-class", "haproxy, jcmoraisjr"),
        ),
        (wish(), known(ingress_classes=()), RefusalReason.INGRESS_CLASS_NOT_FOUND, ("name one of: none",)),
        (
            wish("nginx"),
            known(),
            RefusalReason.INGRESS_CONTROLLER_NOT_SUPPORTED,
            ("className", "'nginx'", "'k8s.io/ingress-nginx'", "Traefik (traefik.io/ingress-controller)", "HAProxy"),
        ),
        (wish("lookalike"), known(), RefusalReason.INGRESS_CONTROLLER_NOT_SUPPORTED, ("'lookalike'",)),
        (
            wish("traefik"),
            known(route_kinds=frozenset({"Ingress"})),
            RefusalReason.ROUTE_KIND_NOT_SERVED,
            ("'traefik'", "IngressRouteTCP", "install the CRDs of Traefik"),
        ),
        (
            wish("traefik"),
            known(platform=PLATFORM),
            RefusalReason.INGRESS_CONTROLLER_NOT_NAMED,
            ("'traefik'", "INGRESS_CONTROLLERS", f'"controller": "{TRAEFIK}"'),
        ),
        (
            wish(),
            known(host_keeper="model older"),
            RefusalReason.HOST_TAKEN,
            ("spec.exposure.host", f"'{HOST}'", "belongs to model older"),
        ),
        (wish(host="m.ns.svc"), known(), RefusalReason.HOST_NOT_ALLOWED, ("spec.exposure.host", "'m.ns.svc'")),
        (wish(host="m.ns.svc.cluster.local"), known(), RefusalReason.HOST_NOT_ALLOWED, ("inside the cluster",)),
        (wish(host="cluster.local"), known(), RefusalReason.HOST_NOT_ALLOWED, ("inside the cluster",)),
        (
            wish(host="api.payments"),
            known(),
            RefusalReason.HOST_NOT_ALLOWED,
            ("'api.payments'", "three labels or more"),
        ),
        (
            wish(host="evilexample.org"),
            known(platform=platform(IngressController(TRAEFIK, IN_TRAEFIK, domains=("example.org", "example.net")))),
            RefusalReason.HOST_NOT_ALLOWED,
            ("'evilexample.org'", "IngressClass 'traefik'", "only names of example.org, example.net"),
        ),
    ],
)
def test_a_refusal_names_the_field_what_is_wrong_and_what_to_do(
    asked: dict[str, str], facts: Facts, reason: RefusalReason, mentions: tuple[str, ...]
) -> None:
    refusal = plan(model(exposure=asked), facts)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason
    assert [mention for mention in mentions if mention not in refusal.message] == []


@pytest.mark.parametrize("host", ["example.org", "breast.example.org", "a.b.example.org"])
def test_names_of_a_domain_that_the_administrator_gives_out_are_hosts(host: str) -> None:
    place = platform(IngressController(TRAEFIK, IN_TRAEFIK, domains=("example.org",)))
    assert planned(model(exposure=wish(host=host)), known(platform=place)).exposed is not None


def test_a_companys_own_domain_below_local_is_a_host() -> None:
    assert exposed(host="breast.hospital.local").exposed is not None


def test_a_route_keeps_its_class_when_another_becomes_the_default() -> None:
    """As long as that class is there, and the spec names none."""
    newer = IngressClass("newer", TRAEFIK, is_default=True, created_at="2026-11-24T12:00:00Z")

    def chosen(routed: str, class_name: str | None = None) -> str:
        known_then = known(ingress_classes=(newer, *CLASSES), routed_class=routed)
        way = planned(model(exposure=wish(class_name)), known_then).exposed
        assert way is not None
        return way.class_name

    assert (chosen("traefik"), chosen("gone"), chosen("traefik", "haproxy")) == ("traefik", "newer", "haproxy")


def test_of_several_default_classes_the_newest_counts_as_in_kubernetes() -> None:
    newer = IngressClass("newer", TRAEFIK, is_default=True, created_at="2026-11-24T12:00:00Z")
    way = planned(model(exposure=wish()), known(ingress_classes=(newer, *CLASSES))).exposed
    assert way is not None
    assert way.class_name == "newer"


def test_traefik_gets_a_route_by_server_name_that_passes_tls_through() -> None:
    route = rendered(exposed("traefik"))["IngressRouteTCP"]
    assert route["apiVersion"] == "traefik.io/v1alpha1"
    assert route["metadata"]["annotations"] == {
        "kubernetes.io/ingress.class": "traefik",
        "verticalmodel.io/ingress-class": "traefik",
    }
    assert route["spec"] == {
        "entryPoints": ["websecure"],
        "routes": [{"match": f"HostSNI(`{HOST}`)", "services": [{"name": "m", "port": 443}]}],
        "tls": {"passthrough": True},
    }


@pytest.mark.parametrize(
    ("class_name", "annotation"),
    [("haproxy", "haproxy.org/ssl-passthrough"), ("jcmoraisjr", "haproxy-ingress.github.io/ssl-passthrough")],
)
def test_haproxys_get_an_ingress_whose_annotation_passes_tls_through(class_name: str, annotation: str) -> None:
    route = rendered(exposed(class_name))["Ingress"]
    kubernetes.client.V1Ingress.model_validate(route)
    assert route["metadata"]["annotations"] == {annotation: "true", "verticalmodel.io/ingress-class": class_name}
    backend = {"service": {"name": "m", "port": {"number": 443}}}
    assert route["spec"] == {
        "ingressClassName": class_name,
        "rules": [{"host": HOST, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
    }


def test_another_host_is_another_route_and_no_exposure_is_none() -> None:
    def name(host: str) -> str:
        found: str = rendered(exposed(host=host))["IngressRouteTCP"]["metadata"]["name"]
        return found

    assert name(HOST) == name(HOST) != name("other.example.org")
    assert not {"Ingress", "IngressRouteTCP"} & rendered(planned(model(), known())).keys()


def test_the_guard_opens_to_the_controller_of_exposed_models_only() -> None:
    def peers(subject: Plan) -> list[dict[str, Any]]:
        [rule] = rendered(subject)["NetworkPolicy"]["spec"]["ingress"]
        assert rule["ports"] == [{"port": 8443, "protocol": "TCP"}]
        found: list[dict[str, Any]] = rule["from"]
        return found

    inside = peers(planned(model(), known()))
    assert peers(exposed("traefik")) == [
        *inside,
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}},
    ]
    assert peers(exposed("haproxy")) == [
        *inside,
        {"ipBlock": {"cidr": "192.0.2.0/24"}},
        {"ipBlock": {"cidr": "2001:db8::/64"}},
    ]


def test_exposure_restarts_no_pod() -> None:
    inside, outside = planned(model(), known()), exposed()
    assert pin_key(model(exposure=wish())) == pin_key(model())
    assert pin(outside, None).digest == pin(inside, None).digest
    changed = {
        one["kind"] for one in children(outside, pin(outside, None)) if one not in children(inside, pin(inside, None))
    }
    assert changed == {"IngressRouteTCP", "NetworkPolicy"}


def test_the_certificate_bears_the_host_and_the_url_shows_it() -> None:
    owner = exposed().owner
    inside = ("m.ns.svc", "m.ns.svc.cluster.local")
    assert server_names(owner, "cluster.local") == inside
    assert server_names(owner, "cluster.local", HOST) == (*inside, HOST)
    assert (url(owner), url(owner, HOST)) == ("https://m.ns.svc", f"https://{HOST}")


def body(host: str = "", since: str = "2026-11-23T12:00:00Z", has: str = "", routed: str = "") -> dict[str, Any]:
    return {
        "metadata": {"creationTimestamp": since},
        "spec": {"exposure": {"host": host}} if host else {},
        "status": {
            **({"certificate": {"host": has, "issuer": "sha256:0"}} if has else {}),
            **({"url": routed} if routed else {}),
        },
    }


A, B, C = Key("a", "z"), Key("b", "y"), Key("c", "x")


def test_the_older_model_keeps_a_host_whoever_asks_first() -> None:
    hosts = Hosts(lambda _: None)
    hosts.saw(A, body(HOST, "2026-11-23T12:00:01Z"))
    assert hosts.keeper(HOST) == A
    hosts.saw(B, body(HOST, "2026-11-23T12:00:00Z"))
    hosts.saw(C, body(HOST, "2026-11-23T12:00:00Z"))
    assert hosts.keeper(HOST) == B, "older than A; of one second with C, and before it by namespace"
    assert hosts.keeper("other.example.org") is None


def test_a_host_in_use_stays_with_its_model_whoever_asks_for_it_later() -> None:
    """An older object that asks for it is no way to take another tenant's clients."""
    woken: list[Key] = []
    hosts = Hosts(woken.append)
    hosts.saw(A, body(HOST, "2026-11-23T12:00:01Z", has=HOST))
    hosts.saw(B, body(HOST, "2026-11-23T12:00:00Z"))
    hosts.saw(C, body(HOST, "2026-11-23T12:00:00Z", has="other.example.org"))
    assert hosts.keeper(HOST) == A
    woken.clear()
    hosts.saw(A, body("other.example.org", "2026-11-23T12:00:01Z", has=HOST))
    assert (hosts.keeper(HOST), {B, C} <= set(woken)) == (B, True), "let go of, it goes to the oldest that asks"
    hosts.saw(C, body(HOST, "2026-11-23T12:00:00Z", has=HOST))
    assert hosts.keeper(HOST) == C, "who has it is known from its status, however that came to be"


def test_a_host_stays_with_the_model_that_has_a_route_for_it_though_its_certificate_is_gone_for_a_while() -> None:
    hosts = Hosts(lambda _: None)
    hosts.saw(A, body(HOST, "2026-11-23T12:00:01Z", routed=f"https://{HOST}"))
    hosts.saw(B, body(HOST, "2026-11-23T12:00:00Z", routed="https://y.b.svc"))
    assert hosts.keeper(HOST) == A


def test_a_host_that_was_let_go_of_is_not_had_back_for_a_certificate_that_still_names_it() -> None:
    """cert-manager's may name it for long: whoever serves under it meanwhile keeps it."""
    hosts = Hosts(lambda _: None)
    back = body(HOST, "2026-11-23T12:00:00Z", routed="https://z.a.svc")
    back["status"]["certificate"] = {"host": HOST, "issuerRef": {"name": "hospital"}}
    hosts.saw(A, back)
    hosts.saw(B, body(HOST, "2026-11-23T12:00:01Z", routed=f"https://{HOST}"))
    assert hosts.keeper(HOST) == B


def test_who_else_asks_for_a_host_is_woken_when_one_comes_leaves_or_changes_it() -> None:
    woken: list[Key] = []
    hosts = Hosts(woken.append)

    def woke() -> list[Key]:
        told, woken[:] = list(woken), []
        return told

    hosts.saw(A, body(HOST))
    assert woke() == []
    hosts.saw(B, body(HOST))
    assert woke() == [A]
    hosts.saw(B, body(HOST))
    assert woke() == [], "nothing changed"
    hosts.saw(A, body("other.example.org"))
    assert (woke(), hosts.keeper(HOST)) == ([B], B)
    hosts.saw(A, body(HOST))
    woke()
    hosts.saw(A, body())
    assert (woke(), hosts.keeper(HOST)) == ([B], B)
    hosts.forget(B)
    assert (woke(), hosts.keeper(HOST), list(hosts.exposed())) == ([], None, [])


def test_an_ingress_class_is_the_default_by_its_annotation() -> None:
    obj = {
        "metadata": {
            "name": "traefik",
            "creationTimestamp": "2026-11-23T12:00:00Z",
            "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"},
        },
        "spec": {"controller": TRAEFIK},
    }
    assert ingress_class(obj) == CLASSES[0]
    assert not ingress_class({"metadata": {"name": "a"}, "spec": {"controller": TRAEFIK}}).is_default
