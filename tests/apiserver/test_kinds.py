"""Claims about the kinds in use on a real API server: scale, status, merging of writers, and what kubectl shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from apiserver import objects
from apiserver.kubectl import apply_crds, kubectl
from apiserver.objects import Wire, changed
from verticalmodel.api import names
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.errors import Invalid
from verticalmodel.kube.resources import EVIDENCES, MODEL_RUNTIMES, VERTICAL_MODELS, Resource, key_of

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("kinds")]


@pytest.fixture(scope="module")
def kinds(apiserver: Path) -> None:
    """The CRDs of this checkout."""
    apply_crds(apiserver)


async def test_scale_is_the_one_knob_for_replicas(api: ApiClient, namespace: str) -> None:
    """What an autoscaler sees and sets: autoscaling/v1 Scale, with the selector of the pods."""
    created = await api.create(VERTICAL_MODELS, objects.model(namespace))
    key = key_of(created)
    status = {"replicas": 2, "selector": "verticalmodel.io/model=breast-screening"}
    await api.patch_merge(VERTICAL_MODELS, key, {"status": status}, subresource="status")
    await api.patch_merge(VERTICAL_MODELS, key, {"spec": {"replicas": 5}}, subresource="scale")
    scale = await api.get(VERTICAL_MODELS, key, subresource="scale")
    assert (scale["kind"], scale["spec"], scale["status"]) == ("Scale", {"replicas": 5}, status)
    now = await api.get(VERTICAL_MODELS, key)
    assert (now["spec"]["replicas"], now["metadata"]["generation"]) == (5, created["metadata"]["generation"] + 1)


async def test_scale_keeps_to_the_limits_of_the_spec(api: ApiClient, namespace: str) -> None:
    key = key_of(await api.create(VERTICAL_MODELS, objects.model(namespace)))
    with pytest.raises(Invalid, match="less than or equal to 1000"):
        await api.patch_merge(VERTICAL_MODELS, key, {"spec": {"replicas": 1001}}, subresource="scale")


async def test_status_and_spec_are_written_apart(api: ApiClient, namespace: str) -> None:
    obj = objects.model(namespace) | {"status": {"met": "34/34"}}
    created = await api.create(VERTICAL_MODELS, obj)
    assert "status" not in created
    change = {"spec": {"replicas": 7}, "status": {"met": "1/34"}}
    by_status = await api.patch_merge(VERTICAL_MODELS, key_of(created), change, subresource="status")
    assert (by_status["spec"], by_status["status"]) == (created["spec"], {"met": "1/34"})
    assert by_status["metadata"]["generation"] == created["metadata"]["generation"]
    by_spec = await api.patch_merge(VERTICAL_MODELS, key_of(created), {**change, "status": {"met": "2/34"}})
    assert (by_spec["spec"]["replicas"], by_spec["status"]) == (7, {"met": "1/34"})


async def test_two_managers_each_keep_their_conditions(api: ApiClient, namespace: str) -> None:
    created = await api.create(VERTICAL_MODELS, objects.model(namespace))

    async def apply(manager: str, *conditions: Wire) -> list[Wire]:
        body = {key: created[key] for key in ("apiVersion", "kind")} | {
            "metadata": {"name": created["metadata"]["name"], "namespace": namespace},
            "status": {"conditions": list(conditions)},
        }
        answer = await api.apply(VERTICAL_MODELS, body, manager=manager, subresource="status")
        found: list[Wire] = answer["status"]["conditions"]
        return found

    ready, compliant = objects.condition("Ready", "True"), objects.condition("Compliant", "Unknown")
    armed = objects.condition("FailoverArmed", "False")
    assert await apply(names.MANAGER_STATUS, ready, compliant) == [ready, compliant]
    assert await apply("verticalmodel-continuity", armed) == [ready, compliant, armed]
    broken = {**ready, "status": "False"}
    assert await apply(names.MANAGER_STATUS, broken) == [broken, armed]


async def test_entries_are_kept_apart_by_measure_and_instance(api: ApiClient, namespace: str) -> None:
    """The same instance under another measure is another entry; the same pair twice is none."""
    drafts = [objects.draft("pod/a"), objects.draft("pod/b"), objects.draft("pod/a", "sandbox-enforced")]
    whole = objects.evidence_of(namespace, drafts=drafts)
    first, second, third = whole["spec"]["entries"]
    await api.apply(EVIDENCES, changed(whole, ("spec", "entries"), [first, second]), manager="one")
    merged = await api.apply(EVIDENCES, changed(whole, ("spec", "entries"), [third]), manager="two")
    assert merged["spec"]["entries"] == [first, second, third]
    with pytest.raises(Invalid) as refused:
        await api.replace(EVIDENCES, changed(merged, ("spec", "entries"), [first, {**first, "sequence": 2}]))
    assert [(cause.field, cause.reason) for cause in refused.value.causes] == [
        ("spec.entries[1]", "FieldValueDuplicate")
    ]


async def test_an_atomic_list_has_one_owner(api: ApiClient) -> None:
    """Arguments of two writers are never mixed: the order is the meaning."""
    body = changed(objects.runtime(f"test-{uuid4().hex[:10]}"), ("spec", "args"), ["--a"])
    await api.apply(MODEL_RUNTIMES, body, manager="one")
    try:
        answer = await api.apply(MODEL_RUNTIMES, changed(body, ("spec", "args"), ["--b"]), manager="two")
        assert answer["spec"]["args"] == ["--b"]
    finally:
        await api.delete(MODEL_RUNTIMES, key_of(body))


@pytest.fixture
def table(connection: Connection) -> Any:
    """Columns and cells of a collection as the server prints them for `kubectl get`."""

    async def read(resource: Resource, namespace: str = "", name: str = "") -> tuple[list[tuple[str, int]], list[Any]]:
        path = connection.server + resource.path(namespace, name)
        accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        async with connection.session.get(path, headers=accept) as answer:
            body = await answer.json()
        columns = [(column["name"], column["priority"]) for column in body["columnDefinitions"]]
        return columns, [row["cells"] for row in body["rows"]]

    return read


async def test_a_model_is_shown_with_its_verdicts(api: ApiClient, namespace: str, table: Any) -> None:
    key = key_of(await api.create(VERTICAL_MODELS, objects.model(namespace)))
    status = {
        "conditions": [
            objects.condition("Ready", "True", "Serving"),
            objects.condition("Compliant", "Unknown", "ClausesUnknown"),
            objects.condition("TransportEncrypted", "True"),
        ],
        "clauses": [
            {"id": 7, "condition": "ColdStartWithinBudget", "verdict": "True", "reason": "Measured", "value": 41.5}
        ],
        "met": "2/34",
        "url": "https://breast-screening.radiology.svc",
        "validUntil": "2026-11-23T12:10:00Z",
    }
    await api.patch_merge(VERTICAL_MODELS, key, {"status": status}, subresource="status")
    columns, rows = await table(VERTICAL_MODELS, namespace)
    assert columns == [
        ("Name", 0),
        ("Ready", 0),
        ("Compliant", 0),
        ("Met", 0),
        ("URL", 0),
        ("ColdStart", 0),
        ("Reason", 0),
        ("Age", 0),
        ("Transport", 1),
        ("Sandbox", 1),
        ("Valid Until", 1),
    ]
    (cells,) = rows
    assert [cell for (name, _), cell in zip(columns, cells, strict=True) if name != "Age"] == [
        "breast-screening",
        "True",
        "Unknown",
        "2/34",
        "https://breast-screening.radiology.svc",
        41.5,
        "Serving",
        "True",
        None,
        "2026-11-23T12:10:00Z",
    ]


async def test_kubectl_knows_the_short_names_and_the_category(api: ApiClient, namespace: str, apiserver: Path) -> None:
    await api.create(VERTICAL_MODELS, objects.model(namespace))
    await api.create(EVIDENCES, objects.evidence_of(namespace))

    def get(what: str) -> list[str]:
        return kubectl(apiserver, "get", what, "-n", namespace, "-o", "name").split()

    model, evidence = "verticalmodel.verticalmodel.io/breast-screening", "evidence.verticalmodel.io/breast-0123456789"
    assert [get(what) for what in ("vmodel", "verticalmodel", "evd")] == [[model], [model], [evidence]]
    assert set(get("vmodels")) == {model, evidence}, "what belongs to no namespace is not listed with it"
