"""`vmodel check`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click
import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from pydantic import ValidationError

from verticalmodel import __version__
from verticalmodel.api import names
from verticalmodel.api.modelruntime import ModelRuntime
from verticalmodel.api.operatingstandard import OperatingStandard
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.cli.check_report import Remark, as_json, as_text, checked
from verticalmodel.cli.cluster import FORBIDDEN, NOT_FOUND, REQUEST_SECONDS, asking, connect, kubeconfig_options
from verticalmodel.cli.reading import WHERE, cluster_object
from verticalmodel.facts import Facts, Node, Platform
from verticalmodel.shell import inventory

_KIND = "VerticalModel"
_Kind = TypeVar("_Kind", ModelRuntime, OperatingStandard)
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
    no VerticalModel.
    """
    with asking(lambda error: f"the API server answered {error.status} {error.reason}"):
        connection, own = connect(kubeconfig, context)
        # All of the file first: nothing is asked about half of it.
        given = list(_models(filename, namespace or own))
        offer = _offer(connection)
        told = [checked(model, _facts(connection, offer, model), _dry_run(connection, body)) for body, model in given]
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


def _offer(connection: client.ApiClient) -> Facts | None:
    """What the cluster offers to any model; None where its reader may not read it. Raises ApiException."""
    try:
        return Facts(
            platform=Platform(guard_image="guard", unseal_image="unseal", version=__version__),
            runtime=None,
            standard=None,
            nodes=_nodes(connection),
            device_classes=frozenset(one["metadata"]["name"] for one in _listed(connection, "deviceclasses")),
        )
    except ApiException as error:
        if error.status == FORBIDDEN:
            return None
        raise


def _facts(connection: client.ApiClient, offer: Facts | None, model: VerticalModel) -> Facts | None:
    """The offer with the model's runtime and standard; None where not all may be read. Raises ApiException."""
    if offer is None:
        return None
    try:
        return replace(
            offer,
            runtime=_read(connection, "modelruntimes", model.spec.runtime.name, ModelRuntime),
            standard=_read(connection, "operatingstandards", model.spec.standard.name, OperatingStandard),
        )
    except ApiException as error:
        if error.status == FORBIDDEN:
            return None
        raise


def _read(connection: client.ApiClient, plural: str, name: str, kind: type[_Kind]) -> _Kind | None:
    try:
        return kind.model_validate(cluster_object(client.CustomObjectsApi(connection), plural, name))
    except ApiException as error:
        if error.status == NOT_FOUND:
            return None
        raise


def _nodes(connection: client.ApiClient) -> tuple[Node, ...]:
    listed = client.CoreV1Api(connection).list_node(_request_timeout=REQUEST_SECONDS)
    slices = (inventory.gpu_slice(one) for one in _listed(connection, "resourceslices"))
    nodes = (inventory.node(connection.sanitize_for_serialization(one)) for one in listed.items)  # type: ignore[no-untyped-call]
    return inventory.with_devices(nodes, (one for one in slices if one is not None))


def _listed(connection: client.ApiClient, plural: str) -> list[dict[str, Any]]:
    """Objects of dynamic resource allocation; none where the cluster does not serve it."""
    try:
        found: Any = client.CustomObjectsApi(connection).list_cluster_custom_object(
            "resource.k8s.io", "v1", plural, _request_timeout=REQUEST_SECONDS
        )
    except ApiException as error:
        if error.status == NOT_FOUND:
            return []
        raise
    items: list[dict[str, Any]] = found["items"]
    return items
