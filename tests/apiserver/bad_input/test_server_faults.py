"""An API server that is slow, refuses, or is gone for a minute: told where it can be, waited out, nothing half done."""

from __future__ import annotations

import asyncio

import pytest

from apiserver.bad_input.conftest import Land
from apiserver.faulty_proxy import Fault
from recording import BadInput, Finding
from verticalmodel.kube import resources
from verticalmodel.kube.resources import Key

pytestmark = pytest.mark.apiserver

GONE_SECONDS = 60.0
FAILED = "run failed, will be retried"


def writes_of_deployments(method: str, path: str) -> bool:
    return method == "PATCH" and "/deployments/" in path


def writes_of_status(method: str, path: str) -> bool:
    return method == "PATCH" and path.endswith("/status")


REFUSALS = {
    "api-409": Fault(writes_of_deployments, status=409, reason="Conflict"),
    "api-429": Fault(writes_of_deployments, status=429, reason="TooManyRequests", retry_after=1),
    "api-500": Fault(writes_of_deployments, status=500, reason="InternalError"),
    "api-slow": Fault(writes_of_deployments, delay=60.0),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_server_that_does_not_take_a_child_is_told_and_tried_again(
    land: Land, bad_input: BadInput, case: str
) -> None:
    fault = REFUSALS[case]
    with land.proxy.failing(fault):
        key = await land.apply()
        said = await land.condition(key, "Progressing", "Unknown", "ApiFailed", within=40)
        assert await land.children("Deployment") == []
    assert "Deployment" in said["message"]
    ended = await land.serving(key, within=60)
    what = f"{fault.status} {fault.reason}" if fault.status else "no answer"
    bad_input.tried(case, f"{what} to writes of Deployments", produced=said, way_back="none is needed", ended=ended)


@pytest.mark.parametrize("case", ["api-409", "api-429", "api-500"])
async def test_a_server_that_does_not_take_the_status_is_asked_until_it_does(
    land: Land, bad_input: BadInput, case: str
) -> None:
    refusal = REFUSALS[case]
    fault = Fault(writes_of_status, status=refusal.status, reason=refusal.reason, retry_after=refusal.retry_after)
    start = land.operator.size()
    with land.proxy.failing(fault):
        key = await land.apply()
        await land.pods(key, at_least=1)
        told = await failures(land, start, times=2)
        assert "status" not in await land.user.get(resources.VERTICAL_MODELS, key)
    ended = await land.serving(key, within=60)
    what = f"{fault.status} {fault.reason} to writes of the status"
    produced = Finding("the operator's log", [f"{told[0]['event']}: {told[0]['error']}"])
    bad_input.tried(case, what, produced=produced, way_back="none is needed", ended=ended)


async def failures(land: Land, start: int, *, times: int) -> list[dict[str, object]]:
    """Wait until the operator has logged so many failed passes since byte `start`; their lines."""
    async with asyncio.timeout(30):
        while True:
            found = [line for line in land.operator.lines(start) if line.get("event") == FAILED]
            if len(found) >= times:
                return found
            await asyncio.sleep(0.1)


async def test_every_answer_half_a_second_late_is_waited_for(land: Land, bad_input: BadInput) -> None:
    starts = land.operator.starts
    with land.proxy.failing(Fault(lambda _method, _path: True, delay=0.5)):
        key = await land.apply()
        said = await land.condition(key, "Progressing", "True", within=60)
        ended = await land.serving(key, within=60)
    assert land.operator.starts == starts, "the Lease was held"
    bad_input.tried("api-slow", "every answer 0.5 s late", produced=said, way_back="none is needed", ended=ended)


async def test_a_server_that_is_gone_for_a_minute_leaves_pods_alone_and_what_was_missed_is_done(
    land: Land, bad_input: BadInput
) -> None:
    old, new = await land.apply("old"), Key(land.namespace, "new")
    await land.serving(old)
    before = {pod["metadata"]["uid"] for pod in await land.pods(old)}
    start, starts = land.operator.size(), land.operator.starts
    with land.proxy.gone():
        await land.apply("new")
        await land.apply("old", replicas=2)
        await asyncio.sleep(GONE_SECONDS)  # the length of the outage is the test
        assert "status" not in await land.user.get(resources.VERTICAL_MODELS, new)
    await land.serving(new, within=60)
    await land.pods(old, at_least=2)
    ended = [await land.serving(key, within=60) for key in (old, new)]
    after = {pod["metadata"]["uid"] for pod in await land.pods(old)}
    assert before < after
    ends = {error for line in land.operator.lines(start) if line["event"] == "ending" for error in line["errors"]}
    produced = [
        Finding("times that the operator ended and was started again", [land.operator.starts - starts]),
        Finding("why, in its log", sorted(ends)),
        Finding("pods of the serving model that were replaced", sorted(before - after)),
    ]
    what = f"gone for {GONE_SECONDS:.0f} s; meanwhile one model scaled up and one created"
    bad_input.tried("api-gone", what, produced=produced, way_back="none is needed", ended=ended)
