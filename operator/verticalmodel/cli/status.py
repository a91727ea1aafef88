"""`vmodel status`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from verticalmodel.api import names
from verticalmodel.api.operatingstandard import OperatingStandard
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.cli.status_report import as_json, as_text, report

_NOT_FOUND, _FORBIDDEN = 404, 403
_UNHEALTHY = 3
_REQUEST_SECONDS = 10


@click.command()
@click.argument("name")
@click.option("-n", "--namespace", help="Namespace of the model; default: the kubeconfig's.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Default: KUBECONFIG, else ~/.kube/config.")
@click.option("--context", help="Context of the kubeconfig; default: the current one.")
def command(name: str, *, namespace: str | None, output: str, kubeconfig: Path | None, context: str | None) -> None:
    """Say how model NAME stands: what is broken first, then what nobody knows, then what holds and until when.

    A True whose evidence has expired counts as Unknown, whatever is stored. Reads the model and its standard, and
    nothing else; who may view models (ClusterRole verticalmodel-view) may ask. Without the right to read the standard
    (ClusterRole verticalmodel-catalogue) titles and comparisons are left out.

    Exit status: 0 it serves its present spec and no clause is broken, 3 otherwise, 1 it cannot be read.
    """
    try:
        api, own = _connect(kubeconfig, context)
        space = namespace or own
        model = VerticalModel.model_validate(_read(api, "verticalmodels", name, space))
        told = report(model, _standard(api, model), datetime.now(UTC))
    except ConfigException as error:
        raise click.ClickException(f"no cluster: {error}") from None
    except ApiException as error:
        raise click.ClickException(_told(error, name, space)) from None
    except HTTPError as error:
        raise click.ClickException(f"the API server does not answer: {error}") from None
    click.echo(json.dumps(as_json(told)) if output == "json" else as_text(told), nl=output == "json")
    sys.exit(0 if told.healthy else _UNHEALTHY)


def _connect(kubeconfig: Path | None, context: str | None) -> tuple[client.CustomObjectsApi, str]:
    """The API of a context of the kubeconfig, and that context's namespace. Raises ConfigException."""
    file = str(kubeconfig) if kubeconfig is not None else None
    connection = config.new_client_from_config(file, context)  # type: ignore[no-untyped-call]
    contexts, active = config.list_kube_config_contexts(file)  # type: ignore[no-untyped-call]
    chosen = next((one for one in contexts if one["name"] == context), active)
    return client.CustomObjectsApi(connection), chosen["context"].get("namespace", "default")


def _read(api: client.CustomObjectsApi, plural: str, name: str, namespace: str = "") -> Any:
    where = (names.GROUP, names.VERSION)
    if namespace:
        return api.get_namespaced_custom_object(*where, namespace, plural, name, _request_timeout=_REQUEST_SECONDS)
    return api.get_cluster_custom_object(*where, plural, name, _request_timeout=_REQUEST_SECONDS)


def _standard(api: client.CustomObjectsApi, model: VerticalModel) -> OperatingStandard | None:
    try:
        found = _read(api, "operatingstandards", model.spec.standard.name)
    except ApiException as error:
        if error.status in (_NOT_FOUND, _FORBIDDEN):
            return None
        raise
    return OperatingStandard.model_validate(found)


def _told(error: ApiException, name: str, namespace: str) -> str:
    which = f"VerticalModel {name!r} in namespace {namespace!r}"
    if error.status == _NOT_FOUND:
        return (
            f"there is no {which}, or no such kind in this cluster; `kubectl get verticalmodels -A` lists what there is"
        )
    if error.status == _FORBIDDEN:
        return f"you may not read {which}; ClusterRole verticalmodel-view grants it"
    return f"the API server answered {error.status} {error.reason}"
