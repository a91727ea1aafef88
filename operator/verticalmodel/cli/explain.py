"""`vmodel explain`."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from verticalmodel import standard
from verticalmodel.api import names
from verticalmodel.api.operatingstandard import COMPARISONS, Clause, OperatingStandard, OperatingStandardSpec
from verticalmodel.cli.cluster import FORBIDDEN, NOT_FOUND, asking, connect, kubeconfig_options
from verticalmodel.cli.reading import cluster_object, readable
from verticalmodel.judge.judge import measured
from verticalmodel.judge.measures import HOW

_WIDTH = 100


@click.command()
@click.argument("clause", required=False)
@click.option(
    "--standard",
    "edition",
    metavar="NAME",
    default=names.DEFAULT_STANDARD,
    show_default=True,
    help="An edition that comes with this version, or else an OperatingStandard of the cluster.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@kubeconfig_options
def command(clause: str | None, *, edition: str, as_json: bool, kubeconfig: Path | None, context: str | None) -> None:
    """Explain CLAUSE, a number or a condition type: what the rulebook demands, how it is read, how it is measured.

    Without CLAUSE all of them are listed. Needs no cluster for an edition that comes with this version.
    """
    known = standard.load(edition) if edition in standard.EDITIONS else _stored(edition, kubeconfig, context)
    if clause is None:
        click.echo(json.dumps([_facts(one) for one in known.clauses]) if as_json else "\n".join(_listed(known)))
        return
    found = next((one for one in known.clauses if clause.lower() in (str(one.id), one.condition.lower())), None)
    if found is None:
        what = (
            f"from {known.clauses[0].id} to {known.clauses[-1].id}, or a condition type as `vmodel explain` lists them"
        )
        raise click.BadParameter(f"{clause!r} is no clause of {edition}; write a number {what}", param_hint="CLAUSE")
    click.echo(json.dumps(_facts(found)) if as_json else "\n".join(_explained(found)))


def _stored(name: str, kubeconfig: Path | None, context: str | None) -> OperatingStandardSpec:
    """A rulebook as the cluster has it. Raises ClickException."""
    with asking(lambda error: _refused(error, name)):
        connection, _ = connect(kubeconfig, context)
        found = cluster_object(client.CustomObjectsApi(connection), "operatingstandards", name)
    return readable(OperatingStandard, found).spec


def _refused(error: ApiException, name: str) -> str:
    built_in = f"with this version comes {', '.join(sorted(standard.EDITIONS))}"
    if error.status == NOT_FOUND:
        return (
            f"there is no OperatingStandard {name!r}; {built_in}, `kubectl get operatingstandards` lists the cluster's"
        )
    if error.status == FORBIDDEN:
        return f"you may not read OperatingStandard {name!r}; ClusterRole verticalmodel-catalogue grants that"
    return f"the API server answered {error.status} {error.reason}"


def _listed(known: OperatingStandardSpec) -> Iterator[str]:
    yield f"{known.title}, edition {known.edition}; * is measured by this version"
    for one in known.clauses:
        yield f"{one.id:>3} {'*' if measured(one) else ' '} {one.condition:<32} {one.title}"


def _explained(one: Clause) -> Iterator[str]:
    yield f"{one.id} {one.condition}: {one.title}"
    parts = {
        "Demand": f"{one.text} ({one.citation})",
        "Reading": one.reading,
        "Limit": f"{COMPARISONS[one.comparator]} {one.limit:g} {one.unit}",
        "Measured": _how(one),
        "Holds": f"{one.lifetime_seconds} s after a measurement; without a newer one it is Unknown",
        "Judged": "once for the platform" if one.scope == "Platform" else "for each model",
        "Counts": "Compliant needs it" if one.mandatory else "Compliant does without it",
    }
    for name, text in parts.items():
        yield textwrap.fill(f"{name:<9} {text}", _WIDTH, initial_indent="  ", subsequent_indent=" " * 12)


def _how(one: Clause) -> str:
    if measured(one):
        return HOW[one.measure]
    how = one.parameters.get("howMeasured", f"by the measure {one.measure!r}")
    return f"{how}. This version does not measure it yet, so it is Unknown"


def _facts(one: Clause) -> dict[str, Any]:
    return {**one.wire(), "measuredByThisVersion": measured(one)}
