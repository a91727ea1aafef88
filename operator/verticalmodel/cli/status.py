"""`vmodel status`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
from kubernetes import client

from verticalmodel.cli.cluster import asking, connect
from verticalmodel.cli.reading import FORMATS, model_of, model_options, refused, say, standard_of
from verticalmodel.cli.status_report import as_json, as_text, report

_UNHEALTHY = 3


@click.command()
@partial(model_options, formats=(*FORMATS, "wide"))
def command(name: str, *, namespace: str | None, output: str, kubeconfig: Path | None, context: str | None) -> None:
    """Say how model NAME stands: what is broken first, then what nobody knows, then what holds and until when.

    A True whose evidence has expired counts as Unknown, whatever is stored. Reads the model and its standard, and
    nothing else; who may view models (ClusterRole verticalmodel-view) may ask. Without the right to read the standard
    (ClusterRole verticalmodel-catalogue) titles and comparisons of another than the default one are left out.

    With -o wide each clause is told with its title and with what was seen, those that hold or nobody measures as well.

    Exit status: 0 it serves its present spec and no clause is broken, 3 otherwise, 1 it cannot be read.
    """
    with asking(lambda error: refused(error, name, space)):
        connection, own = connect(kubeconfig, context)
        space, api = namespace or own, client.CustomObjectsApi(connection)
        model = model_of(api, space, name)
        told = report(model, standard_of(api, model), datetime.now(UTC))
    say(output, text=as_text(told, wide=output == "wide"), document=as_json(told))
    sys.exit(0 if told.healthy else _UNHEALTHY)
