"""`vmodel doctor`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from verticalmodel.api import names
from verticalmodel.cli.cluster import FORBIDDEN, NOT_FOUND, REQUEST_SECONDS, asking, connect, kubeconfig_options
from verticalmodel.cli.diagnosis import Installation, diagnosed

_SYSTEM_NAMESPACE = "verticalmodel-system"
_BROKEN = 3
_SIGNS = {"ok": "ok", "broken": "BROKEN", "unknown": "?"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@kubeconfig_options
def command(*, as_json: bool, kubeconfig: Path | None, context: str | None) -> None:
    """Examine the installation: kinds, admission policies, operator, prober, strangers, leader, catalogue, trust.

    Reads only, and what you may not read is told as such. Models are `vmodel status`.

    Exit status: 0 nothing that could be read is broken, 3 something is, 1 the cluster cannot be asked.
    """
    with asking(lambda error: f"the API server answered {error.status} {error.reason}"):
        connection, _ = connect(kubeconfig, context)
        findings = diagnosed(_read(connection), datetime.now(UTC))
    if as_json:
        click.echo(json.dumps([asdict(one) for one in findings]))
    else:
        for one in findings:
            click.echo(f"{_SIGNS[one.verdict]:<7} {one.subject:<23} {one.says}")
    sys.exit(_BROKEN if any(one.verdict == "broken" for one in findings) else 0)


def _read(connection: client.ApiClient) -> Installation:
    """Everything, each part on its own. Raises ApiException for what is neither there, absent nor forbidden."""

    def wire(call: Callable[..., Any], *where: str) -> Any:
        try:
            answer = call(*where, _request_timeout=REQUEST_SECONDS)
        except ApiException as error:
            if error.status == FORBIDDEN:
                return None
            if error.status == NOT_FOUND:
                return {}
            raise
        return connection.sanitize_for_serialization(answer)  # type: ignore[no-untyped-call]

    def items(call: Callable[..., Any], *where: str) -> Any:
        found = wire(call, *where)
        return found if found is None else found.get("items", [])

    admission, custom = client.AdmissionregistrationV1Api(connection), client.CustomObjectsApi(connection)
    kind = (custom.list_cluster_custom_object, names.GROUP, names.VERSION)
    return Installation(
        crds=items(client.ApiextensionsV1Api(connection).list_custom_resource_definition),
        deployments=items(client.AppsV1Api(connection).list_namespaced_deployment, _SYSTEM_NAMESPACE),
        strangers=wire(
            client.AppsV1Api(connection).read_namespaced_daemon_set, names.STRANGER_NAMESPACE, names.STRANGER_NAMESPACE
        ),
        lease=wire(
            client.CoordinationV1Api(connection).read_namespaced_lease, names.ACCOUNT_OPERATOR, _SYSTEM_NAMESPACE
        ),
        policies=items(admission.list_validating_admission_policy),
        bindings=items(admission.list_validating_admission_policy_binding),
        standards=items(*kind, "operatingstandards"),
        runtimes=items(*kind, "modelruntimes"),
        trust=wire(client.CoreV1Api(connection).read_namespaced_config_map, names.CA_NAME, _SYSTEM_NAMESPACE),
    )
