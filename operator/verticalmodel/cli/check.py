"""`vmodel check`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import click
import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from pydantic import ValidationError

from verticalmodel.api import names
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.cli.check_report import Remark, as_json, as_text, checked
from verticalmodel.cli.cluster import FORBIDDEN, REQUEST_SECONDS, asking, connect, kubeconfig_options
from verticalmodel.cli.offer import Offer
from verticalmodel.cli.reading import WHERE

_KIND = "VerticalModel"
_UNSAVED = "not-created-yet"
_CONFLICT = 409


@click.command()
@click.option("-f", "--filename", type=click.File("r"), required=True, help="YAML of VerticalModels; - reads them.")
@click.option("-n", "--namespace", help="For models that name none; default: the kubeconfig's.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
@kubeconfig_options
def command(
    filename: TextIO, *, namespace: str | None, output: str, kubeconfig: Path | None, context: str | None
) -> None:
    """Say what speaks against the VerticalModels of a file before they are applied. Changes nothing.

    Asks the API server for a dry run, plans each model as the operator would, looks node by node for its GPUs, and
    names the clauses that this very spec breaks. Whether the others hold, only a running model shows. spec.exposure
    and spec.certificate are checked by the dry run alone.

    Exit status: 0 nothing speaks against them, 3 something does, 1 something could not be found out, 2 wrong usage or
    no VerticalModel. A clause that every model breaks in this version is told (!) and changes none of that.
    """
    with asking(lambda error: f"the API server answered {error.status} {error.reason}"):
        connection, own = connect(kubeconfig, context)
        # All of the file first: nothing is asked about half of it.
        given = list(_models(filename, namespace or own))
        offer = Offer(connection)
        told = [checked(model, *offer.to(model), _dry_run(connection, body)) for body, model in given]
    if output == "json":
        click.echo(json.dumps([as_json(one) for one in told]))
    else:
        click.echo("\n".join(map(as_text, told)), nl=False)
    sys.exit(3 if any(one.refused for one in told) else 1 if any(one.open for one in told) else 0)


def _models(file: TextIO, namespace: str) -> Iterator[tuple[dict[str, Any], VerticalModel]]:
    """Each document with the model that it is. Raises BadParameter."""
    try:
        documents = [one for one in yaml.safe_load_all(file) if one is not None]
    except yaml.YAMLError as error:
        raise _bad(f"not YAML: {' '.join(str(error).split())}") from None
    for number, one in enumerate(documents, start=1):
        if not isinstance(one, dict) or one.get("kind") != _KIND or one.get("apiVersion") != names.API_VERSION:
            raise _bad(f"document {number} is no {_KIND} of {names.API_VERSION}")
        given = one.get("metadata")
        meta = given if isinstance(given, dict) else {}
        body = {**one, "metadata": {"namespace": namespace, **meta}}
        try:
            whole = {**body, "metadata": {"uid": _UNSAVED, "generation": 1, **body["metadata"]}}
            yield body, VerticalModel.model_validate(whole)
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise _bad(f"document {number}: {'; '.join(faults)}") from None
    if not documents:
        raise _bad("holds no document")


def _bad(why: str) -> click.BadParameter:
    return click.BadParameter(why, param_hint="--filename")


def _dry_run(connection: client.ApiClient, body: dict[str, Any]) -> Remark:
    """What the API server says to it: schema, rules and admission policies. Raises ApiException for its own faults."""
    meta, about = body["metadata"], "API server"
    api, where = client.CustomObjectsApi(connection), (*WHERE, meta["namespace"], "verticalmodels")
    dry: dict[str, Any] = {
        "dry_run": "All",
        "field_manager": "vmodel",
        "field_validation": "Strict",
        "_request_timeout": REQUEST_SECONDS,
    }
    try:
        try:
            api.create_namespaced_custom_object(*where, body, **dry)
        except ApiException as error:
            if error.status != _CONFLICT:
                raise
            # It exists: the change to it. (A server-side apply would answer 500 to a field that it does not know.)
            api.patch_namespaced_custom_object(*where, meta["name"], body, **dry)
    except ApiException as error:
        if error.status == FORBIDDEN:
            return Remark(about, "unknown", f"does not let you apply it: {_message(error)}")
        if error.status is not None and error.status < 500:
            return Remark(about, "against", _message(error))
        raise
    return Remark(about, "fine", "takes it (dry run)")


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body or "")["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.status} {error.reason}"
