"""A model and its standard, as commands read them, and what a refusal of the API server means for that."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from pydantic import ValidationError

from verticalmodel.api import names
from verticalmodel.api.operatingstandard import OperatingStandard
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.cli.cluster import FORBIDDEN, NOT_FOUND, REQUEST_SECONDS, kubeconfig_options
from verticalmodel.standard import manifest

__all__ = [
    "FORMATS",
    "WHERE",
    "cluster_object",
    "model_of",
    "model_options",
    "readable",
    "refused",
    "say",
    "standard_of",
]

_Kind = TypeVar("_Kind", VerticalModel, OperatingStandard)
WHERE = (names.GROUP, names.VERSION)


FORMATS = ("text", "json", "yaml")


def model_options(command: Callable[..., Any], formats: Sequence[str] = FORMATS) -> Callable[..., Any]:
    """NAME, --namespace, --output and the kubeconfig's: what every command about one model takes."""
    output = click.option("-o", "--output", type=click.Choice(formats), default="text", help="Default: text.")
    namespace = click.option("-n", "--namespace", help="Namespace of the model; default: the kubeconfig's.")
    return click.argument("name")(namespace(output(kubeconfig_options(command))))


def say(output: str, *, text: str, document: Mapping[str, Any]) -> None:
    """Print a report as it was asked for: for people, or the one document as JSON or YAML."""
    if output == "json":
        click.echo(json.dumps(document))
    elif output == "yaml":
        click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)
    else:
        click.echo(text, nl=False)


def model_of(api: client.CustomObjectsApi, namespace: str, name: str) -> VerticalModel:
    """The model. Raises ApiException."""
    found = api.get_namespaced_custom_object(
        *WHERE, namespace, "verticalmodels", name, _request_timeout=REQUEST_SECONDS
    )
    return readable(VerticalModel, found)


def cluster_object(api: client.CustomObjectsApi, plural: str, name: str) -> Any:
    """A cluster-scoped object of ours, as the API server shows it. Raises ApiException."""
    return api.get_cluster_custom_object(*WHERE, plural, name, _request_timeout=REQUEST_SECONDS)


def standard_of(api: client.CustomObjectsApi, model: VerticalModel) -> OperatingStandard | None:
    """The standard that judges it; None where there is none or it may not be read. Raises ApiException.

    Who may not read the default edition is given the one of this version: editions do not change.
    """
    try:
        found = cluster_object(api, "operatingstandards", model.spec.standard.name)
    except ApiException as error:
        if error.status == FORBIDDEN and model.spec.standard.name == names.DEFAULT_STANDARD:
            return OperatingStandard.model_validate(manifest(names.DEFAULT_STANDARD))
        if error.status in (NOT_FOUND, FORBIDDEN):
            return None
        raise
    return readable(OperatingStandard, found)


def readable(kind: type[_Kind], stored: Any) -> _Kind:
    """An object of ours as the API server shows it. Raises ClickException for one of another version's schema."""
    try:
        return kind.model_validate(stored)
    except ValidationError as error:
        places = sorted({".".join(map(str, one["loc"])) for one in error.errors()})
        what = f"{kind.__name__} {stored['metadata']['name']!r}"
        raise click.ClickException(
            f"{what} is of another version than this tool, which cannot read {', '.join(places)}"
        ) from None


def refused(error: ApiException, name: str, namespace: str) -> str:
    """In words, why a model could not be read."""
    which = f"VerticalModel {name!r} in namespace {namespace!r}"
    if error.status == NOT_FOUND:
        return (
            f"there is no {which}, or no such kind in this cluster; `kubectl get verticalmodels -A` lists what there is"
        )
    if error.status == FORBIDDEN:
        return f"you may not read {which}; ClusterRole verticalmodel-view grants it"
    return f"the API server answered {error.status} {error.reason}"
