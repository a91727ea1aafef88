"""`vmodel timeline`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from kubernetes import client

from verticalmodel.api.model_status import Start
from verticalmodel.cli.cluster import asking, connect
from verticalmodel.cli.reading import model_of, model_options, refused, say

__all__ = ["as_text", "command"]

_BAR = 40


@click.command()
@model_options
def command(name: str, *, namespace: str | None, output: str, kubeconfig: Path | None, context: str | None) -> None:
    """Show where the seconds of model NAME's last start went, from the creation of its pod to the first good answer.

    Reads the model and nothing else. Only a start that the prober saw begin is timed.

    Exit status: 0 shown, 1 no start was timed yet, or it cannot be read.
    """
    with asking(lambda error: refused(error, name, space)):
        connection, own = connect(kubeconfig, context)
        space = namespace or own
        model = model_of(client.CustomObjectsApi(connection), space, name)
    last = model.status.last_start
    if last is None:
        raise click.ClickException(
            f"no start of {space}/{name} was timed yet: the prober times a pod that it sees begin, at its first answer"
        )
    say(output, text=as_text(last), document=last.wire())


def as_text(last: Start) -> str:
    """A line for each phase: when it ended, how long it took, and where the figure comes from."""
    return "\n".join(_lines(last)) + "\n"


def _lines(last: Start) -> Iterator[str]:
    total = last.seconds or 0.0
    yield f"{last.pod}: {total:.1f} s from creation to the first good answer"
    before = 0.0
    for phase in last.phases:
        took = max(phase.seconds - before, 0.0)
        start, end = (round(_BAR * min(moment / total, 1.0)) if total else 0 for moment in (before, phase.seconds))
        bar = f"{' ' * start}{'#' * max(end - start, 0)}".ljust(_BAR)
        yield f"  {phase.name:<12} {phase.seconds:7.1f} s  {f'+{took:.1f}':>7} s  |{bar}|  {phase.source}"
        before = max(before, phase.seconds)
