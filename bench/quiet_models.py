"""Evidence writes of one prober over quiet models, by its own decisions on a simulated clock.

Nothing is connected: each look is conclusive and finds what the one before found. Printed are writes, the looks behind
them and the canaries per hour; what a real prober adds is retries, never fewer writes.

    .venv/bin/python bench/quiet_models.py --models 1000 --hours 1
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from verticalmodel import evidence
from verticalmodel.api import names
from verticalmodel.api.evidence import Entry
from verticalmodel.probe.agenda import REFRESH, agenda, wait_seconds, worth_writing
from verticalmodel.probe.measurement import CONTAINER, MEASURES, Key, Measurement, key_of
from verticalmodel.probe.model import Model
from verticalmodel.probe.world import Container, Expected, Pod, Service
from verticalmodel.standard import load

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
CANARY_SECONDS = 15.0


@dataclass
class Watched:
    """One model and what the prober has recorded of it."""

    model: Model
    share: float
    entries: dict[Key, Entry] = field(default_factory=dict)


def quiet_model(number: int) -> Model:
    """A model of one pod behind its Service, as it is after its first minute, under the default edition."""
    containers = (Container("guard", "g" * 64, running=True), Container("server", "s" * 64, running=True))
    pod = Pod("a", f"uid-{number}", "m", "n", "10.0.0.1", ready=True, containers=containers)
    named = {one.measure: float(one.lifetime_seconds) for one in load(names.DEFAULT_STANDARD).clauses}
    lifetimes = dict.fromkeys(MEASURES, 600.0) | {name: named[name] for name in MEASURES if name in named}
    return Model("ns", f"m{number}", f"uid-m{number}", (pod,), Service("m", f"uid-s{number}", "10.96.0.1"), lifetimes)


def look(key: Key, expected: Expected, now: datetime) -> Measurement:
    """A conclusive look that finds what every look finds."""
    about = {CONTAINER: expected.container} if expected.container else {}
    return Measurement(
        measure=key[0],
        instance=key[1],
        unit="x",
        value=1.0,
        samples=1,
        window_seconds=0.0,
        method="simulated",
        binding=expected.binding,
        observations=about,
        measured_at=now,
    )


def visit(watched: Watched, now: datetime, counts: Counter[str], draw: random.Random) -> float:
    """One pass of the prober over a model; seconds until the next one."""
    model = watched.model
    todo, expected = agenda(model, watched.entries, now, watched.share), model.expected()
    looks = [look(key, expected[key], now) for key in sorted(todo.wanted)]
    counts["looks"] += len(looks)
    news = worth_writing(model, looks, watched.entries, now, renewal=todo.renewal, doubted={})
    if news:
        counts["writes"] += 1
        drafts = [one.draft(source="bench", load=0.0, lifetime=model.lifetimes[one.measure]) for one in news]
        fresh, _ = evidence.extend(None, drafts)
        watched.entries |= {key_of(entry): entry for entry in fresh}
        watched.share = draw.uniform(*REFRESH)
    return max(wait_seconds(model, watched.entries, now, watched.share), 1.0)


def simulate(models: int, hours: float, seed: int) -> Counter[str]:
    """Writes and looks over the given hours; the first ones, spread over ten minutes, are not counted."""
    draw = random.Random(seed)  # noqa: S311 - a benchmark that can be repeated
    known = [Watched(quiet_model(number), draw.uniform(*REFRESH)) for number in range(models)]
    queue = [(draw.uniform(0, 600), number) for number in range(models)]
    heapq.heapify(queue)
    first, counts = Counter[str](), Counter[str]()
    while queue[0][0] < 600 + hours * 3600:
        at, number = heapq.heappop(queue)
        begun = bool(known[number].entries)
        wait = visit(known[number], BEGIN + timedelta(seconds=at), counts if begun else first, draw)
        heapq.heappush(queue, (at + wait, number))
    return counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    counts = simulate(given.models, given.hours, given.seed)
    lines = [f"{given.models} quiet models of one pod, {given.hours:g} h simulated, seed {given.seed}"]
    for what in ("writes", "looks"):
        hourly = counts[what] / given.hours
        lines.append(f"  {what:<8} {hourly:10.0f} an hour, {hourly / given.models:.1f} a model")
    canaries = given.models * 3600 / CANARY_SECONDS
    lines.append(f"  canaries {canaries:10.0f} an hour, one every {CANARY_SECONDS:g} s of each pod")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
