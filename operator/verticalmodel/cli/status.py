"""`vmodel status`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from verticalmodel.api import names
from verticalmodel.api.operatingstandard import OperatingStandard
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.cli.cluster import FORBIDDEN, NOT_FOUND, REQUEST_SECONDS, asking, connect, kubeconfig_options
from verticalmodel.cli.status_report import as_json, as_text, report

_UNHEALTHY = 3


@click.command()
@click.argument("name")
@click.option("-n", "--namespace", help="Namespace of the model; default: the kubeconfig's.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
@kubeconfig_options
def command(name: str, *, namespace: str | None, output: str, kubeconfig: Path | None, context: str | None) -> None:
    """Say how model NAME stands: what is broken first, then what nobody knows, then what holds and until when.

    A True whose evidence has expired counts as Unknown, whatever is stored. Reads the model and its standard, and
    nothing else; who may view models (ClusterRole verticalmodel-view) may ask. Without the right to read the standard
    (ClusterRole verticalmodel-catalogue) titles and comparisons are left out.

    Exit status: 0 it serves its present spec and no clause is broken, 3 otherwise, 1 it cannot be read.
    """
    with asking(lambda error: _told(error, name, space)):
        connection, own = connect(kubeconfig, context)
        space, api = namespace or own, client.CustomObjectsApi(connection)
        model = VerticalModel.model_validate(_read(api, "verticalmodels", name, space))
        told = report(model, _standard(api, model), datetime.now(UTC))
    click.echo(json.dumps(as_json(told)) if output == "json" else as_text(told), nl=output == "json")
    sys.exit(0 if told.healthy else _UNHEALTHY)


def _read(api: client.CustomObjectsApi, plural: str, name: str, namespace: str = "") -> Any:
    where = (names.GROUP, names.VERSION)
    if namespace:
        return api.get_namespaced_custom_object(*where, namespace, plural, name, _request_timeout=REQUEST_SECONDS)
    return api.get_cluster_custom_object(*where, plural, name, _request_timeout=REQUEST_SECONDS)


def _standard(api: client.CustomObjectsApi, model: VerticalModel) -> OperatingStandard | None:
    try:
        found = _read(api, "operatingstandards", model.spec.standard.name)
    except ApiException as error:
        if error.status in (NOT_FOUND, FORBIDDEN):
            return None
        raise
    return OperatingStandard.model_validate(found)


def _told(error: ApiException, name: str, namespace: str) -> str:
    which = f"VerticalModel {name!r} in namespace {namespace!r}"
    if error.status == NOT_FOUND:
        return (
            f"there is no {which}, or no such kind in this cluster; `kubectl get verticalmodels -A` lists what there is"
        )
    if error.status == FORBIDDEN:
        return f"you may not read {which}; ClusterRole verticalmodel-view grants it"
    return f"the API server answered {error.status} {error.reason}"
