"""Claims about requests: what goes over the wire, and which error comes of which answer."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from unit.kube_stub import StubApi, connected, status
from verticalmodel.api import evidence, modelruntime, operatingstandard, verticalmodel
from verticalmodel.kube import errors, resources
from verticalmodel.kube.backoff import Backoff
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import ApiError, Cause, error_of
from verticalmodel.kube.resources import CONFIG_MAPS, DEPLOYMENTS, NODES, PODS, Key, Resource

POD = Key("d", "a")


def answering(code: int, body: Any, **headers: str) -> Any:
    async def fault(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=code, headers=headers)

    return fault


@pytest.mark.parametrize(
    ("code", "reason", "kind", "retryable"),
    [
        (400, "BadRequest", errors.ApiError, False),
        (401, "Unauthorized", errors.Unauthorized, True),
        (403, "Forbidden", errors.Forbidden, False),
        (404, "NotFound", errors.NotFound, False),
        (405, "MethodNotAllowed", errors.ApiError, False),
        (409, "AlreadyExists", errors.AlreadyExists, False),
        (409, "Conflict", errors.Conflict, True),
        (409, "", errors.Conflict, True),
        (410, "Expired", errors.Gone, True),
        (410, "Gone", errors.Gone, True),
        (422, "Invalid", errors.Invalid, False),
        (429, "TooManyRequests", errors.TooManyRequests, True),
        (500, "InternalError", errors.ServerError, True),
        (503, "", errors.ServerError, True),
        (504, "Timeout", errors.ServerError, True),
    ],
)
def test_each_status_has_its_error(code: int, reason: str, kind: type[ApiError], *, retryable: bool) -> None:
    error = error_of("get Pod d/a", code, status(code, reason, "why"))
    assert (type(error), error.retryable, error.status, error.reason) == (kind, retryable, code, reason)
    assert str(error) == f"get Pod d/a: {f'{code} {reason}'.strip()}: why"


def test_causes_and_the_wish_to_wait_come_from_the_details() -> None:
    details = {"causes": [{"field": "spec.x", "reason": "FieldValueInvalid", "message": "bad"}], "retryAfterSeconds": 7}
    error = error_of("r", 429, {"details": details})
    assert (error.causes, error.retry_after) == ((Cause("spec.x", "FieldValueInvalid", "bad"),), 7.0)


def test_the_retry_after_header_wins_and_a_date_counts_as_none() -> None:
    assert error_of("r", 429, {"details": {"retryAfterSeconds": 7}}, "3").retry_after == 3.0
    assert error_of("r", 429, {}, "Wed, 21 Oct 2026 07:28:00 GMT").retry_after == 0.0


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.text(), st.integers())), st.integers(300, 599))
def test_an_answer_of_any_shape_becomes_an_error(body: dict[str, Any], code: int) -> None:
    body.pop("details", None)
    assert isinstance(error_of("r", code, body), ApiError)


def test_paths() -> None:
    assert PODS.path() == "/api/v1/pods"
    assert PODS.path("d", "a", "eviction") == "/api/v1/namespaces/d/pods/a/eviction"
    assert DEPLOYMENTS.path("d") == "/apis/apps/v1/namespaces/d/deployments"
    assert NODES.path(name="n") == "/api/v1/nodes/n"
    assert NODES.path(name="a/../b") == "/api/v1/nodes/a%2F..%2Fb"


@pytest.mark.parametrize(("resource", "namespace", "name"), [(PODS, "", "a"), (NODES, "d", "n")])
def test_a_path_refuses_the_wrong_scope(resource: Resource, namespace: str, name: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        resource.path(namespace, name)


def test_our_own_kinds_are_where_their_crds_say() -> None:
    declared = [module.KIND for module in (verticalmodel, modelruntime, operatingstandard, evidence)]
    named = [
        resources.VERTICAL_MODELS,
        resources.MODEL_RUNTIMES,
        resources.OPERATING_STANDARDS,
        resources.EVIDENCES,
    ]
    assert [Resource.of(info) for info in declared] == named


def test_a_key_reads_as_people_write_it() -> None:
    assert (str(Key("d", "a")), str(Key("", "n"))) == ("d/a", "n")


async def test_apply_sends_a_strict_forced_patch_that_names_its_manager() -> None:
    async with connected() as (stub, connection):
        sent: list[Any] = []

        async def record(request: web.Request) -> web.StreamResponse:
            sent.append((request.method, request.path, dict(request.query), request.headers["Content-Type"]))
            sent.append(await request.json())
            return web.json_response({})

        stub.fault = record
        body = {"metadata": {"name": "a", "namespace": "d"}, "data": {}}
        await ApiClient(connection, manager="me").apply(CONFIG_MAPS, body, subresource="status", dry_run=True)
        query = {"fieldManager": "me", "dryRun": "All", "force": "true", "fieldValidation": "Strict"}
        path = "/api/v1/namespaces/d/configmaps/a/status"
        assert sent == [("PATCH", path, query, "application/apply-patch+yaml"), body]


async def test_delete_sends_its_preconditions() -> None:
    async with connected() as (stub, connection):
        sent: list[Any] = []

        async def record(request: web.Request) -> web.StreamResponse:
            sent.append(await request.json())
            return web.json_response({})

        stub.fault = record
        await ApiClient(connection).delete(PODS, POD, uid="u", propagation="Foreground", grace_seconds=0)
        assert sent == [{"propagationPolicy": "Foreground", "preconditions": {"uid": "u"}, "gracePeriodSeconds": 0}]


async def test_a_write_without_a_manager_is_a_mistake_of_the_caller() -> None:
    async with connected() as (stub, connection):
        with pytest.raises(ValueError, match="field manager"):
            await ApiClient(connection).apply(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "d"}})
        assert stub.requests == []


async def test_the_guard_stops_every_write_before_it_is_sent_and_no_read() -> None:
    def stop() -> None:
        raise PermissionError

    async with connected() as (stub, connection):
        api = ApiClient(connection, manager="m", guard=stop)
        body = {"metadata": {"name": "a", "namespace": "d"}}
        for write in (
            api.apply(PODS, body),
            api.create(PODS, body),
            api.replace(PODS, body),
            api.patch_json(PODS, POD, []),
            api.patch_merge(PODS, POD, {}),
            api.delete(PODS, POD),
        ):
            with pytest.raises(PermissionError):
                await write
        assert stub.requests == []
        assert await api.find(PODS, POD) is None
        assert len(stub.requests) == 1


async def test_no_answer_in_time_is_unreachable() -> None:
    async with connected() as (stub, connection):

        async def hang(_request: web.Request) -> web.StreamResponse | None:
            await asyncio.sleep(10)
            return None

        stub.fault = hang
        with pytest.raises(errors.Unreachable, match=r"^get Pod d/a: no answer in time"):
            await ApiClient(connection, timeout=0.05).get(PODS, POD)


async def test_a_refused_connection_is_unreachable() -> None:
    async with connected() as (_, connection):
        connection.server = "http://127.0.0.1:9"
        with pytest.raises(errors.Unreachable):
            await ApiClient(connection).get(PODS, POD)


async def test_a_cut_connection_is_unreachable() -> None:
    async with connected() as (stub, connection):

        async def cut(request: web.Request) -> web.StreamResponse | None:
            assert request.transport is not None
            request.transport.abort()
            return None

        stub.fault = cut
        with pytest.raises(errors.Unreachable):
            await ApiClient(connection, manager="m").patch_merge(PODS, POD, {})


async def test_an_answer_that_is_no_json_is_a_servers_error() -> None:
    async with connected() as (stub, connection):

        async def html(_request: web.Request) -> web.StreamResponse:
            return web.Response(text="<html>", status=200)

        stub.fault = html
        with pytest.raises(errors.ServerError, match="not JSON"):
            await ApiClient(connection).get(PODS, POD)


async def test_a_refusal_without_a_status_object_keeps_its_code() -> None:
    async with connected() as (stub, connection):

        async def html(_request: web.Request) -> web.StreamResponse:
            return web.Response(text="<html>", status=503, headers={"Retry-After": "4"})

        stub.fault = html
        with pytest.raises(errors.ServerError) as refused:
            await ApiClient(connection).get(PODS, POD)
        assert (refused.value.status, refused.value.retry_after) == (503, 4.0)


async def test_a_redirect_is_an_error_and_not_followed() -> None:
    async with connected(token="t") as (stub, connection):
        stub.fault = answering(302, {}, Location="http://127.0.0.1:9/elsewhere")
        with pytest.raises(ApiError) as refused:
            await ApiClient(connection).get(PODS, POD)
        assert refused.value.status == 302


async def streamed(stub: StubApi, connection: Any, *chunks: bytes, pause: float = 0.0) -> list[Any]:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            await asyncio.sleep(pause)
        return response

    stub.fault = stream
    events = []
    watch = ApiClient(connection).watch(PODS, resource_version="1", inactivity_seconds=0.3)
    async with aclosing(watch):
        async for event in watch:
            events.append(event)  # noqa: PERF401 - what came before an error counts too
    return events


def line(name: str, padding: int = 0) -> bytes:
    return orjson.dumps({"type": "ADDED", "object": {"metadata": {"name": name}, "x": "y" * padding}}) + b"\n"


async def test_lines_of_a_watch_may_be_long_and_arrive_in_pieces() -> None:
    whole = line("a", 1_500_000) + line("b") + line("c")
    cuts = [0, 5, 1_000_000, 1_500_040, len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(cuts)]
    async with connected() as (stub, connection):
        events = await streamed(stub, connection, *pieces, pause=0.01)
    assert [event.object["metadata"]["name"] for event in events] == ["a", "b", "c"]


async def test_a_watch_error_has_its_type() -> None:
    async with connected() as (stub, connection):
        gone = orjson.dumps({"type": "ERROR", "object": status(410, "Expired", "too old")}) + b"\n"
        with pytest.raises(errors.Gone, match="watch pods: 410 Expired: too old"):
            await streamed(stub, connection, line("a"), gone)


async def test_a_silent_watch_is_unreachable() -> None:
    async with connected() as (stub, connection):
        with pytest.raises(errors.Unreachable):
            await streamed(stub, connection, line("a"), pause=5)


async def test_a_garbled_watch_is_a_servers_error() -> None:
    async with connected() as (stub, connection):
        with pytest.raises(errors.ServerError, match="not JSON"):
            await streamed(stub, connection, b"<html>\n")


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_back_off_stays_between_its_floor_and_its_cap(failures: int, draw: float) -> None:
    backoff = Backoff(base=0.5, cap=60.0, floor=0.05)
    assert 0.05 <= backoff.delay(failures, draw) <= min(60.0, max(0.05, 0.5 * 2.0 ** min(failures - 1, 60)))


def test_back_off_doubles_its_ceiling() -> None:
    backoff = Backoff(base=1.0, cap=5.0, floor=0.0)
    assert [backoff.delay(failures, 0.5) for failures in (1, 2, 3, 4, 5)] == [0.5, 1.0, 2.0, 2.5, 2.5]
