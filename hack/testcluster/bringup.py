"""Decides whether a cluster can be kept, and makes one that counts as up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from testcluster import assembly, health, proofs, records
from testcluster.errors import ClusterError, UsageError
from testcluster.layout import Shape
from testcluster.records import Record

Report = Callable[[str], None]

_LEFT: Final = "It is left as it is, see `hack/cluster logs --name {}`; the next `up` replaces it"


def keep(name: str, wanted: Shape, report: Report) -> Record | None:
    """The record of the cluster if it is healthy. Raises UsageError if it is, but has another shape."""
    record = Record.load(name)
    if record is None:
        if name in records.names():
            report(f"removing what is left of cluster {name}")
        return None
    condition = health.look(record)
    if condition.problems:
        report(f"replacing cluster {name}: {'; '.join(condition.problems)}")
        return None
    if record.layout.shape != wanted:
        raise UsageError(
            f"cluster {name!r} is up as {record.layout.shape}, asked for {wanted}: "
            f"run `hack/cluster down --name {name}` first, or choose another name",
        )
    report(f"cluster {name} is up and healthy")
    return record


def create(record: Record, *, hold: int, report: Report) -> None:
    """Build the recorded cluster, prove it, and record it as up. Raises ClusterError: it is left as it is."""
    place, bundle = record.layout, Path(record.bundle)
    try:
        api = assembly.assemble(place, bundle, hold=hold, report=report)
        findings = proofs.prove(place, api) if place.nodes else []
    except ClusterError as failure:
        also = "; ".join(health.look(record).problems)
        left = _LEFT.format(place.name)
        raise ClusterError(f"cluster {place.name!r} does not come up: {failure} ({also}). {left}") from failure
    for finding in findings:
        report(f"{'FAILED' if finding.failure else 'proven'}   {finding.claim}: {finding.failure or finding.seen}")
    failed = [finding.claim for finding in findings if finding.failure]
    if failed:
        left = _LEFT.format(place.name)
        raise ClusterError(f"cluster {place.name!r} runs, but this is not proven: {'; '.join(failed)}. {left}")
    record.up().save()


def power_on(record: Record, node: str, *, hold: int) -> Record:
    """Switch a node on if it is off; returns the record as saved. Raises UsageError, ClusterError."""
    machine = record.layout.node(node)
    if node in record.powered_off:
        assembly.power_on(record.layout, machine, Path(record.bundle), hold=hold)
    switched = record.switched(node, on=True)
    switched.save()
    return switched
