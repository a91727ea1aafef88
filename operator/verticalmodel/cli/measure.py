"""`vmodel measure`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import click
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from verticalmodel.api import names
from verticalmodel.api.evidence import Evidence
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.cli.cluster import FORBIDDEN, REQUEST_SECONDS, asking, connect, kubeconfig_options
from verticalmodel.cli.fresh_looks import Looks, UnknownClauseError, looks_since, wanted
from verticalmodel.cli.reading import model_of, refused, standard_of
from verticalmodel.cli.status_report import as_json, as_text, only, report

_LOOK_SECONDS = 0.5
# The operator judges within a second; where the verdicts stay what they were it writes nothing.
_JUDGED_SECONDS = 3.0
_BROKEN = 3
_WHERE = (names.GROUP, names.VERSION)


@click.command()
@click.argument("name")
@click.option("-n", "--namespace", help="Namespace of the model; default: the kubeconfig's.")
@click.option("--clause", metavar="N|TYPE", help="One clause, by number or condition type; default: all measured ones.")
@click.option("--timeout", type=click.FloatRange(min=1), default=90, show_default=True, help="Seconds to wait.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
@kubeconfig_options
def command(  # noqa: PLR0913 (each is an option of the command)
    name: str,
    *,
    namespace: str | None,
    clause: str | None,
    timeout: float,
    output: str,
    kubeconfig: Path | None,
    context: str | None,
) -> None:
    """Measure model NAME now, not at the next renewal; wait for it, and say how its clauses stand then.

    Asks the prober by an annotation on the model, so it takes the right to change the model. The prober measures all
    that runs of it; what was measured before holds until then.

    Exit status: 0 measured and nothing of it is broken, 3 measured and a clause is broken, 1 not measured in time, not
    allowed or not readable, 2 wrong usage.
    """
    with asking(lambda error: _refused(error, name, space)):
        connection, own = connect(kubeconfig, context)
        space, api = namespace or own, client.CustomObjectsApi(connection)
        model = model_of(api, space, name)
        standard = standard_of(api, model)
        if standard is None:
            raise click.ClickException("its standard cannot be read; ClusterRole verticalmodel-catalogue grants that")
        try:
            clauses = wanted(standard, clause)
        except UnknownClauseError as error:
            raise click.BadParameter(str(error), param_hint="--clause") from None
        asked_at = _ask(api, model)
        _await_looks(api, model, asked_at, frozenset(one.measure for one in clauses), timeout)
        model = _judged(api, model)
    told = only(report(model, standard, datetime.now(UTC)), frozenset(one.id for one in clauses))
    click.echo(json.dumps(as_json(told)) if output == "json" else as_text(told), nl=output == "json")
    sys.exit(_BROKEN if any(one.verdict == "False" for one in told.clauses) else 0)


def _ask(api: client.CustomObjectsApi, model: VerticalModel) -> datetime:
    """Ask for a measurement. Since when, by the API server's clock, which shows whole seconds: the next one."""
    meta = model.metadata
    where = (*_WHERE, meta.namespace, "verticalmodels", meta.name)
    _, _, headers = api.get_namespaced_custom_object_with_http_info(*where, _request_timeout=REQUEST_SECONDS)
    asked_at = parsedate_to_datetime(headers["Date"]).astimezone(UTC) + timedelta(seconds=1)
    change = {"metadata": {"uid": meta.uid, "annotations": {names.ANNOTATION_MEASURE: asked_at.isoformat()}}}
    api.patch_namespaced_custom_object(*where, change, field_manager="vmodel", _request_timeout=REQUEST_SECONDS)
    return asked_at


def _await_looks(
    api: client.CustomObjectsApi, model: VerticalModel, asked_at: datetime, measures: frozenset[str], timeout: float
) -> None:
    """Wait until everything has been looked at anew, telling how far it is. Raises ClickException in the end."""
    until, shown = time.monotonic() + timeout, ""
    while not (looks := looks_since(_evidence(api, model), asked_at, measures)).complete:
        if time.monotonic() > until:
            raise click.ClickException(f"not measured within {timeout:g} s: {_left(looks)}")
        if shown != (shown := f"{looks.fresh} looks are new, {len(looks.stale)} are still to come"):
            click.echo(shown, err=True)
        time.sleep(_LOOK_SECONDS)
    click.echo(f"all {looks.fresh} looks are new", err=True)


def _left(looks: Looks) -> str:
    if looks.stale:
        return f"still to come: {', '.join(looks.stale)}"
    return "nothing of it was ever measured; does a pod of it run, and does the prober (`vmodel doctor`)?"


def _evidence(api: client.CustomObjectsApi, model: VerticalModel) -> Iterator[Evidence]:
    listed: Any = api.list_namespaced_custom_object(
        *_WHERE,
        model.metadata.namespace,
        "evidences",
        label_selector=f"{names.LABEL_MODEL_UID}={model.metadata.uid}",
        _request_timeout=REQUEST_SECONDS,
    )
    return map(Evidence.model_validate, listed["items"])


def _judged(api: client.CustomObjectsApi, model: VerticalModel) -> VerticalModel:
    """The model once the operator has had the time to judge what is new."""
    until = time.monotonic() + _JUDGED_SECONDS
    before = model.status
    while (now := model_of(api, model.metadata.namespace, model.metadata.name)).status == before:
        if time.monotonic() > until:
            break
        time.sleep(_LOOK_SECONDS)
    return now


def _refused(error: ApiException, name: str, namespace: str) -> str:
    if error.status == FORBIDDEN:
        return (
            f"you may not have {name!r} in namespace {namespace!r} measured: that takes the rights to change the model "
            "and to read evidence; `vmodel status` takes the right to read the model alone"
        )
    return refused(error, name, namespace)
