"""The Evidence object of one model: written as a whole, and never twice the same number, whatever the network does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import structlog

from verticalmodel import evidence
from verticalmodel.api import names
from verticalmodel.api.evidence import Binding, Evidence
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import ApiError, Conflict, Forbidden, Invalid, Unreachable
from verticalmodel.kube.resources import Key, Resource
from verticalmodel.probe.chain import subject_of
from verticalmodel.probe.cluster import Kept
from verticalmodel.probe.measurement import CANARY, MEASURES, Measurement
from verticalmodel.probe.metrics import Metrics
from verticalmodel.probe.model import Model
from verticalmodel.probe.record import Record, Recorder

MODEL = Model("ns", "m", "uid-m", (), None, dict.fromkeys(MEASURES, 600.0))
NAME = names.evidence_name("m", "uid-m", names.MANAGER_PROBER)


@dataclass
class Api:
    """One object, with optimistic locking. `fault` sees each apply after it took effect, `refuse` before."""

    stored: dict[str, Any] | None = None
    version: int = 0
    reads: int = 0
    fault: Callable[[], ApiError | None] = lambda: None
    refuse: Callable[[], ApiError | None] = lambda: None

    async def find(self, _resource: Resource, key: Key) -> dict[str, Any] | None:
        assert key == Key("ns", NAME)
        self.reads += 1
        return self.stored

    async def apply(self, _resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        if error := self.refuse():
            raise error
        expected = body["metadata"].get("resourceVersion", "")
        if self.stored is not None and expected not in ("", self.stored["metadata"]["resourceVersion"]):
            raise Conflict("apply: 409")
        self.version += 1
        stored: dict[str, Any] = json.loads(json.dumps(body))
        stored["metadata"] |= {"uid": "uid-e", "resourceVersion": str(self.version)}
        self.stored = stored
        if error := self.fault():
            raise error
        return stored


@dataclass
class Prober:
    """A record and what it logs."""

    api: Api
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.record = Record(Recorder(cast("ApiClient", self.api), "prober", self.metrics))

    async def measure(self, *instances: str) -> None:
        await self.record.refresh(MODEL, None)
        await self.record.write(MODEL, [look(instance) for instance in instances], ())

    def findings(self, finding: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "verticalmodel_prober_evidence_findings_total", {"finding": finding}
        )


def look(instance: str) -> Measurement:
    binding, seen = Binding(pod_uid="u"), {"answer": "good"}
    return Measurement(CANARY, instance, "s", 0.1, 1, 0.1, "test", binding, seen, datetime.now(UTC))


def sequences(api: Api) -> dict[str, int]:
    found = Evidence.model_validate(api.stored)
    assert evidence.verify(found, subject_of(MODEL)) == ""
    return {entry.instance: entry.sequence for entry in found.spec.entries}


def logged(lines: list[Any]) -> list[int]:
    return [line["entry"]["sequence"] for line in lines if line["event"] == "evidence"]


async def test_a_known_chain_is_read_once_and_each_entry_logged_once() -> None:
    api = Api()
    prober = Prober(api)
    with structlog.testing.capture_logs() as lines:
        await prober.measure("a", "b")
        await prober.measure("a")

    assert sequences(api) == {"b": 2, "a": 3}
    assert (api.reads, logged(lines)) == (1, [1, 2, 3])


async def test_a_write_whose_answer_was_lost_is_found_and_logged_then() -> None:
    api = Api(fault=lambda: Unreachable("apply: no answer"))
    prober = Prober(api)
    with structlog.testing.capture_logs() as lines:
        with pytest.raises(Unreachable):
            await prober.measure("a")
        assert logged(lines) == []
        api.fault = lambda: None
        await prober.measure("b")

    assert sequences(api) == {"a": 1, "b": 2}
    assert logged(lines) == [1, 2]


async def test_a_write_that_never_arrived_gives_its_number_to_the_next() -> None:
    api = Api(refuse=lambda: Unreachable("apply: no answer"))
    prober = Prober(api)
    with structlog.testing.capture_logs() as lines:
        with pytest.raises(Unreachable):
            await prober.measure("a")
        api.refuse = lambda: None
        await prober.measure("b")

    assert sequences(api) == {"b": 1}
    assert logged(lines) == [1]


async def test_two_probers_take_turns_and_no_number_is_lost() -> None:
    api = Api()
    one, other = Prober(api), Prober(api)
    await one.measure("a")
    await other.measure("b")
    with pytest.raises(Conflict):
        await one.measure("c")
    await one.measure("c")

    assert sequences(api) == {"a": 1, "b": 2, "c": 3}
    assert one.findings("written-by-another") == 1


@pytest.mark.parametrize("error", [Forbidden("apply: 403"), Invalid("apply: 422")])
async def test_a_refused_write_leaves_the_chain_where_it_was(error: ApiError) -> None:
    api = Api()
    prober = Prober(api)
    await prober.measure("a")
    api.refuse = lambda: error
    with pytest.raises(type(error)):
        await prober.measure("b")
    api.refuse = lambda: None
    await prober.measure("c")

    assert sequences(api) == {"a": 1, "c": 2}


async def test_what_the_watch_says_decides_whether_the_object_is_read_again() -> None:
    api = Api()
    prober = Prober(api)
    await prober.measure("a")

    def kept(uid: str, version: str) -> Kept:
        return Kept("m", "uid-m", uid, version, datetime.now(UTC))

    for unchanged in (None, kept("uid-e", "1"), kept("uid-e", "0")):
        await prober.record.refresh(MODEL, unchanged)
    assert api.reads == 1
    for changed in (kept("uid-e", "2"), kept("uid-other", "1")):
        await prober.record.refresh(MODEL, changed)
    assert api.reads == 3
    prober.record.lost("uid-unknown")
    await prober.record.refresh(MODEL, None)
    assert api.reads == 3
    prober.record.lost("uid-e")
    api.stored = None
    await prober.record.refresh(MODEL, None)
    assert (api.reads, prober.record.dirty, prober.findings("removed")) == (4, True, 1)


async def test_a_forged_object_is_told_and_replaced() -> None:
    api = Api()
    await Prober(api).measure("a", "b")
    assert api.stored is not None
    api.stored["spec"]["entries"][0]["value"] = 0.9
    prober = Prober(api)
    with structlog.testing.capture_logs() as lines:
        await prober.record.refresh(MODEL, None)
        assert (prober.record.entries, prober.record.dirty) == ({}, True)
        await prober.measure("a")

    assert sequences(api) == {"a": 3}
    assert prober.findings("not-believed") == 1
    assert [line["reason"] for line in lines if line["log_level"] == "error"] == [
        "the digest of entry 1 does not fit its content"
    ]


async def test_entries_that_have_no_room_are_counted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verticalmodel.probe.record.body_of", lambda *_: ({"metadata": {}, "spec": {}}, 3))
    prober = Prober(Api())
    with structlog.testing.capture_logs() as lines:
        await prober.measure("a")

    assert prober.metrics.registry.get_sample_value("verticalmodel_prober_entries_crowded_out_total") == 3
    assert [line["crowded_out"] for line in lines if line["log_level"] == "error"] == [3]
