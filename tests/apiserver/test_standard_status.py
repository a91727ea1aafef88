"""The status of an OperatingStandard in a real API server: written once, mended where somebody else wrote it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import Key
from verticalmodel.shell.standard_status import StandardStatus

pytestmark = pytest.mark.apiserver

SUMMER, NEXT_YEAR = datetime(2026, 6, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
EDITION = Path(__file__).parents[2] / "manifests" / "standards" / "vlm-2026.yaml"


@pytest.fixture
async def key(api: ApiClient, namespace: str, crds: None) -> AsyncIterator[Key]:
    """An edition of this test's own, with no status."""
    body = yaml.safe_load(EDITION.read_text(encoding="utf-8"))
    body["metadata"] = {"name": f"{namespace}-edition"}
    await api.create(resources.OPERATING_STANDARDS, body)
    named = Key("", body["metadata"]["name"])
    yield named
    await api.delete(resources.OPERATING_STANDARDS, named)


async def passed(api: ApiClient, key: Key, now: datetime = SUMMER) -> dict[str, Any]:
    """The standard after a pass at this moment."""
    await StandardStatus(api, lambda: now)(key)
    return await api.get(resources.OPERATING_STANDARDS, key)


def clauses(body: dict[str, Any]) -> dict[int, str]:
    return {one["id"]: one["verdict"] for one in body["status"]["clauses"]}


async def test_a_pass_writes_the_clauses_of_the_platform_and_the_next_one_nothing(api: ApiClient, key: Key) -> None:
    first = await passed(api, key)
    assert clauses(first) == dict.fromkeys((11, 12, 17, 18, 19, 20), "Unknown")
    assert {one["type"]: one["status"] for one in first["status"]["conditions"]}["StandardCurrent"] == "Unknown"
    managers = {one["manager"] for one in first["metadata"]["managedFields"] if one.get("subresource") == "status"}
    assert managers == {names.MANAGER_STATUS}
    again = await passed(api, key)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_an_edition_that_becomes_a_year_old_is_broken(api: ApiClient, key: Key) -> None:
    await passed(api, key)
    later = await passed(api, key, NEXT_YEAR)
    assert clauses(later)[20] == "False"
    turned = {one["type"]: one["lastTransitionTime"] for one in later["status"]["conditions"]}
    assert turned["StandardCurrent"] == "2027-01-01T00:00:00Z"
    assert turned["ChangesAudited"] == "2026-06-01T00:00:00Z"


async def test_a_status_that_somebody_forged_lasts_until_the_next_pass(api: ApiClient, key: Key) -> None:
    honest = await passed(api, key)
    forged = await api.get(resources.OPERATING_STANDARDS, key)
    for one in forged["status"]["clauses"]:
        one |= {"verdict": "True", "reason": "Measured"}
    forged["status"]["conditions"] = [
        {**one, "status": "True", "reason": "Measured"} for one in forged["status"]["conditions"]
    ]
    await api.patch_merge(resources.OPERATING_STANDARDS, key, {"status": forged["status"]}, subresource="status")
    mended = await passed(api, key)
    assert clauses(mended) == clauses(honest)
    assert {one["status"] for one in mended["status"]["conditions"]} == {"Unknown"}


async def test_a_standard_that_is_gone_is_nobodys_fault(api: ApiClient, key: Key) -> None:
    await api.delete(resources.OPERATING_STANDARDS, key)
    await StandardStatus(api, lambda: SUMMER)(key)
