"""Other rulebooks load as data alone: a hospital's own three rules, a stricter edition, one for simulated hardware."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from apiserver.stage import Stage, stage
from apiserver.world import condition, kinds, namespace, until, world
from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.kube.resources import Key
from verticalmodel.standard import manifest

__all__ = ["kinds", "namespace", "stage", "world"]  # fixtures

pytestmark = pytest.mark.apiserver

Adopt = Callable[..., Any]


@pytest.fixture
async def adopt(stage: Stage) -> AsyncIterator[Adopt]:
    """Apply an edition with these changes to the default one's spec, and let the model name it."""
    made: list[Key] = []

    async def adopted(**changes: Any) -> None:
        body = manifest(names.DEFAULT_STANDARD)
        key = Key("", f"rules-{uuid4().hex[:8]}")
        body = {**body, "metadata": {"name": key.name}, "spec": {**body["spec"], **changes}}
        await stage.world.user.apply(resources.OPERATING_STANDARDS, body)
        made.append(key)
        await until(lambda: stage.world.caches.standards.get(key) is not None)
        wish = {"spec": {"standard": {"name": key.name}}}
        await stage.world.user.patch_merge(resources.VERTICAL_MODELS, stage.key, wish)

    yield adopted
    for key in made:
        await stage.world.user.delete(resources.OPERATING_STANDARDS, key)


def rule(number: int, kind: str, measure: str, **changes: Any) -> dict[str, Any]:
    """A clause of a rulebook that was made up for this test."""
    return {
        "id": number,
        "title": kind,
        "text": f"Rule {number}.",
        "citation": f"House rules, {number}",
        "reading": "As it is written.",
        "condition": kind,
        "measure": measure,
        "comparator": "AtLeast",
        "limit": 1,
        "unit": "supported",
        "lifetimeSeconds": 600,
        "mandatory": True,
        "scope": "Model",
        "parameters": {},
        **changes,
    }


async def test_a_hospitals_own_three_rules_judge_with_the_measures_that_there_are(stage: Stage, adopt: Adopt) -> None:
    await adopt(
        clauses=[
            rule(1, "RunsLinux", "operating-system-supported"),
            rule(2, "LinksEncrypted", "transport-encrypted", limit=1.2, unit="TLS"),
            rule(3, "NightShiftBriefed", "night-shift-briefed"),
        ]
    )
    found = await stage.clauses()
    assert {number: (one["type"], one["status"]) for number, one in found.items()} == {
        1: ("RunsLinux", "True"),
        2: ("LinksEncrypted", "True"),
        3: ("NightShiftBriefed", "Unknown"),
    }
    assert "'night-shift-briefed' would judge it" in found[3]["message"]
    model = await stage.world.user.get(resources.VERTICAL_MODELS, stage.key)
    assert model["status"]["met"] == "2/3"
    assert condition(model, "Compliant") == ("Unknown", "ClausesUnknown")
    assert "TransportEncrypted" not in {one["type"] for one in model["status"]["conditions"]}


def stricter(**by_measure: dict[str, Any]) -> list[dict[str, Any]]:
    """The default edition's clauses, some of them stricter."""
    clauses = manifest(names.DEFAULT_STANDARD)["spec"]["clauses"]
    return [{**one, **by_measure.get(one["measure"].replace("-", "_"), {})} for one in clauses]


async def test_under_a_stricter_edition_the_same_evidence_holds_for_a_shorter_time(stage: Stage, adopt: Adopt) -> None:
    stage.shift = timedelta(seconds=40)
    assert (await stage.clauses())[13]["status"] == "True"

    await adopt(clauses=stricter(transport_encrypted={"lifetimeSeconds": 30}))
    found = await stage.clauses()
    assert (found[13]["status"], found[13]["reason"]) == ("Unknown", "EvidenceExpired")
    assert found[30]["status"] == "True"


async def test_a_start_budget_looser_than_a_stricter_edition_is_refused(stage: Stage, adopt: Adopt) -> None:
    budget = {"spec": {"startup": {"budgetSeconds": 200}}}
    await stage.world.user.patch_merge(resources.VERTICAL_MODELS, stage.key, budget)
    assert condition(await stage.world.settle(stage.key), "Accepted") == ("True", "Planned")

    await adopt(clauses=stricter(cold_start={"limit": 120}))
    model = await stage.world.settle(stage.key)
    assert condition(model, "Accepted") == ("False", "LooserThanStandard")


async def test_simulated_hardware_counts_under_a_simulation_edition_and_is_marked(stage: Stage, adopt: Adopt) -> None:
    await stage.forget()
    await stage.record([{**one, "simulated": True} for one in await stage.looks()])
    assert (await stage.clauses())[13]["status"] == "Unknown"

    await adopt(simulation=True)
    found = (await stage.clauses())[13]
    assert (found["status"], found["reason"]) == ("True", "Simulated")
