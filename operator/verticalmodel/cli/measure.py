"""`vmodel measure`."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import click
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from verticalmodel.api import names
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.cli.cluster import FORBIDDEN, REQUEST_SECONDS, asking, connect
from verticalmodel.cli.reading import WHERE, model_of, model_options, refused, say, standard_of
from verticalmodel.cli.request import UnknownClauseError, exit_status, progress, still_to_come, wanted
from verticalmodel.cli.status_report import as_json, as_text, only, report

_LOOK_SECONDS = 0.5
# A new pod is measured within seconds, its cgroups once its container has run for ten; what stays open for longer, no
# look of today's can settle.
_SETTLED_SECONDS = 15.0


@click.command()
@model_options
@click.option(
    "--clause",
    "chosen",
    multiple=True,
    metavar="N|TYPE",
    help="One clause; may be repeated. Default: all measured ones.",
)
@click.option("--timeout", type=click.FloatRange(min=1), default=90, show_default=True, help="Seconds to wait.")
def command(  # noqa: PLR0913 (each is an option of the command)
    name: str,
    *,
    namespace: str | None,
    chosen: tuple[str, ...],
    timeout: float,
    output: str,
    kubeconfig: Path | None,
    context: str | None,
) -> None:
    """Measure model NAME now, not at the next renewal; wait for it, and say how its clauses stand then.

    Asks the prober by an annotation on the model, so it takes the right to change the model. The prober measures all
    that runs of it, the operator judges it; what was measured before holds until then.

    Exit status: 0 all of it holds, 3 a clause is broken, 1 a clause is not known, nothing was measured in time, or it
    is not allowed or not readable, 2 wrong usage.
    """
    with asking(lambda error: _refused(error, name, space)):
        connection, own = connect(kubeconfig, context)
        space, api = namespace or own, client.CustomObjectsApi(connection)
        model = model_of(api, space, name)
        standard = standard_of(api, model)
        if standard is None:
            raise click.ClickException(
                f"OperatingStandard {model.spec.standard.name!r} does not exist or may not be read; "
                "ClusterRole verticalmodel-catalogue grants that"
            )
        try:
            clauses = frozenset(one.id for one in wanted(standard, chosen))
        except UnknownClauseError as error:
            raise click.BadParameter(str(error), param_hint="--clause") from None
        model = _await(api, model, _ask(api, model), clauses, timeout)
    told = only(report(model, standard, datetime.now(UTC)), clauses)
    say(output, text=as_text(told), document=as_json(told))
    sys.exit(exit_status(told, clauses))


def _ask(api: client.CustomObjectsApi, model: VerticalModel) -> datetime:
    """Ask for a measurement. Since when, by the API server's clock, which shows whole seconds: the next one."""
    meta = model.metadata
    where = (*WHERE, meta.namespace, "verticalmodels", meta.name)
    _, _, headers = api.get_namespaced_custom_object_with_http_info(*where, _request_timeout=REQUEST_SECONDS)
    asked_at = parsedate_to_datetime(headers["Date"]).astimezone(UTC) + timedelta(seconds=1)
    change = {"metadata": {"uid": meta.uid, "annotations": {names.ANNOTATION_MEASURE: asked_at.isoformat()}}}
    api.patch_namespaced_custom_object(*where, change, field_manager="vmodel", _request_timeout=REQUEST_SECONDS)
    return asked_at


def _await(
    api: client.CustomObjectsApi, model: VerticalModel, asked_at: datetime, clauses: frozenset[int], timeout: float
) -> VerticalModel:
    """The model once it is judged by new looks, telling how far that is. Raises ClickException in the end."""
    until, answered_at, shown = time.monotonic() + timeout, 0.0, ""
    while True:
        model = model_of(api, model.metadata.namespace, model.metadata.name)
        found, now = progress(model, asked_at, clauses), time.monotonic()
        answered_at = (answered_at or now) if found.answered else 0.0
        if found.answered and (not found.open or now > answered_at + _SETTLED_SECONDS):
            return model
        if now > until:
            raise click.ClickException(f"not measured within {timeout:g} s: {still_to_come(model, found)}")
        if shown != (shown := f"waiting: {still_to_come(model, found)}"):
            click.echo(shown, err=True)
        time.sleep(_LOOK_SECONDS)  # the pause between two looks at the status


def _refused(error: ApiException, name: str, namespace: str) -> str:
    if error.status == FORBIDDEN:
        return (
            f"you may not have {name!r} in namespace {namespace!r} measured: that takes the right to change the model; "
            "`vmodel status` takes the right to read it alone"
        )
    return refused(error, name, namespace)
