"""Claims about the operator's flags: what cannot work is refused at the start, with the flag and what is allowed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from verticalmodel.api.labels import LabelSelector
from verticalmodel.facts import IngressController
from verticalmodel.shell.settings import Settings, parse

IMAGES = {"GUARD_IMAGE": "guard:1", "UNSEAL_IMAGE": "unseal:1"}
TRAEFIK = {"controller": "traefik.io/ingress-controller"}


def settings(controllers: Any) -> Settings:
    return parse(
        [], {**IMAGES, "INGRESS_CONTROLLERS": controllers if isinstance(controllers, str) else json.dumps(controllers)}
    )


def test_clients_get_a_day_to_take_a_new_authority_or_what_is_set() -> None:
    assert parse([], IMAGES).authority_overlap_seconds == 86400
    assert parse([], {**IMAGES, "AUTHORITY_OVERLAP_SECONDS": "600"}).authority_overlap_seconds == 600


def test_an_overlap_below_zero_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([], {**IMAGES, "AUTHORITY_OVERLAP_SECONDS": "-1"})
    assert "AUTHORITY_OVERLAP_SECONDS" in capsys.readouterr().err


def test_no_ingress_controller_is_let_in_unless_it_is_named() -> None:
    assert parse([], IMAGES).ingress_controllers == settings("[]").ingress_controllers == ()


def test_a_controllers_pods_are_named_by_namespace_or_by_address() -> None:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}
    found = settings(
        [
            {**TRAEFIK, "namespaceSelector": selector},
            {"controller": "a/b", "cidrs": ["192.0.2.0/24"], "domains": ["a.org"]},
        ]
    )
    assert found.ingress_controllers == (
        IngressController(TRAEFIK["controller"], namespaces=LabelSelector(match_labels=selector["matchLabels"])),
        IngressController("a/b", cidrs=("192.0.2.0/24",), domains=("a.org",)),
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("traefik", "a JSON list of {controller, namespaceSelector, cidrs, domains} is needed"),
        ([TRAEFIK], "[0]: Value error, namespaceSelector or cidrs is needed"),
        ([{**TRAEFIK, "namespaceSelector": {}}], "an empty namespaceSelector is every namespace there is"),
        ([{**TRAEFIK, "namespaceselector": {}}], "[0].namespaceselector: Extra inputs are not permitted"),
        ([{**TRAEFIK, "cidrs": ["192.0.2.1/24"]}], "[0].cidrs[0]: Value error, 192.0.2.1/24 has host bits set"),
        ([{**TRAEFIK, "cidrs": ["::/0"]}], "::/0 is every address there is"),
        ([{**TRAEFIK, "cidrs": ["192.0.2.0/24"]}] * 2, "named more than once: traefik.io/ingress-controller"),
        ([{**TRAEFIK, "cidrs": ["192.0.2.0/24"], "domains": ["*.a.org"]}], "[0].domains[0]: String should match"),
        ([{"cidrs": ["192.0.2.0/24"]}], "[0].controller: Field required"),
    ],
)
def test_a_controller_that_names_nobody_or_everybody_ends_the_start(
    given: Any, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        settings(given)
    told = capsys.readouterr().err
    assert "--ingress-controllers (INGRESS_CONTROLLERS)" in told
    assert says in told
