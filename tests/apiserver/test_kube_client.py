"""Claims about the API client and the informer, against a real API server."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound, Unauthorized
from verticalmodel.kube.informer import Informer
from verticalmodel.kube.kubeconfig import Access, from_kubeconfig
from verticalmodel.kube.resources import CONFIG_MAPS, NAMESPACES, PODS, SECRETS, SERVICE_ACCOUNTS, Key

pytestmark = pytest.mark.apiserver


def config_map(key: Key, **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": key.name, "namespace": key.namespace, "labels": {"test": "yes"}},
        "data": data,
    }


@pytest.fixture
def key(namespace: str) -> Key:
    return Key(namespace, "one")


async def test_apply_creates_then_updates_and_names_its_manager(api: ApiClient, key: Key) -> None:
    created = await api.apply(CONFIG_MAPS, config_map(key, a="1"))
    changed = await api.apply(CONFIG_MAPS, config_map(key, b="2"))
    assert (created["data"], changed["data"]) == ({"a": "1"}, {"b": "2"})
    assert [entry["manager"] for entry in changed["metadata"]["managedFields"]] == ["test"]
    assert created["metadata"]["uid"] == changed["metadata"]["uid"]


async def test_apply_without_force_reports_the_other_manager(api: ApiClient, key: Key) -> None:
    await api.apply(CONFIG_MAPS, config_map(key, a="1"))
    with pytest.raises(Conflict) as refused:
        await api.apply(CONFIG_MAPS, config_map(key, a="2"), manager="rival", force=False)
    assert [(cause.field, cause.reason) for cause in refused.value.causes] == [(".data.a", "FieldManagerConflict")]
    assert (await api.apply(CONFIG_MAPS, config_map(key, a="2"), manager="rival"))["data"] == {"a": "2"}


async def test_a_field_that_does_not_exist_is_refused_and_not_dropped(api: ApiClient, key: Key) -> None:
    body = {**config_map(key), "dota": {}}
    # The API server answers 500 to an apply of a built-in kind, and 400 to everything else.
    for write, status in ((api.apply(CONFIG_MAPS, body), 500), (api.create(CONFIG_MAPS, body), 400)):
        with pytest.raises(ApiError) as refused:
            await write
        assert refused.value.status == status
    assert await api.find(CONFIG_MAPS, key) is None


async def test_a_dry_run_changes_nothing(api: ApiClient, key: Key) -> None:
    answer = await api.create(CONFIG_MAPS, config_map(key, a="1"), dry_run=True)
    assert answer["data"] == {"a": "1"}
    assert await api.find(CONFIG_MAPS, key) is None


async def test_create_tells_existing_from_conflicting(api: ApiClient, key: Key) -> None:
    await api.create(CONFIG_MAPS, config_map(key))
    with pytest.raises(AlreadyExists):
        await api.create(CONFIG_MAPS, config_map(key))


async def test_replace_needs_the_current_resource_version(api: ApiClient, key: Key) -> None:
    first = await api.create(CONFIG_MAPS, config_map(key, a="1"))
    await api.replace(CONFIG_MAPS, {**first, "data": {"a": "2"}})
    with pytest.raises(Conflict):
        await api.replace(CONFIG_MAPS, {**first, "data": {"a": "3"}})


async def test_json_and_merge_patches(api: ApiClient, key: Key) -> None:
    await api.create(CONFIG_MAPS, config_map(key, a="1"))
    test = {"op": "test", "path": "/data/a", "value": "1"}
    patched = await api.patch_json(CONFIG_MAPS, key, [test, {"op": "add", "path": "/data/b", "value": "2"}])
    assert patched["data"] == {"a": "1", "b": "2"}
    with pytest.raises(Invalid):
        await api.patch_json(CONFIG_MAPS, key, [{**test, "value": "other"}])
    merged = await api.patch_merge(CONFIG_MAPS, key, {"data": {"a": None}})
    assert merged["data"] == {"b": "2"}


async def test_delete_spares_a_namesake_with_another_uid(api: ApiClient, key: Key) -> None:
    created = await api.create(CONFIG_MAPS, config_map(key))
    with pytest.raises(Conflict):
        await api.delete(CONFIG_MAPS, key, uid="00000000-0000-0000-0000-000000000000")
    assert await api.delete(CONFIG_MAPS, key, uid=created["metadata"]["uid"])
    assert not await api.delete(CONFIG_MAPS, key)


async def test_an_invalid_object_names_the_fields(api: ApiClient, key: Key) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": key.namespace}, "spec": {}}
    with pytest.raises(Invalid) as refused:
        await api.create(PODS, {**pod, "spec": {"containers": []}})
    assert [cause.field for cause in refused.value.causes] == ["spec.containers"]


async def test_a_missing_object_is_not_found(api: ApiClient, key: Key) -> None:
    with pytest.raises(NotFound) as refused:
        await api.get(CONFIG_MAPS, key)
    assert (refused.value.status, refused.value.reason) == (404, "NotFound")


async def test_metadata_only_reads_carry_no_content(api: ApiClient, key: Key) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": key.namespace},
        "stringData": {"password": "p"},
    }
    await api.create(SECRETS, secret)
    one = await api.get(SECRETS, Key(key.namespace, "s"), metadata_only=True)
    all_of_them = await api.list(SECRETS, key.namespace, metadata_only=True)
    assert {one["kind"], *(item["kind"] for item in all_of_them.items)} == {"PartialObjectMetadata"}
    assert not any("data" in item for item in (one, *all_of_them.items))


async def test_a_list_is_complete_across_pages_and_selects(api: ApiClient, namespace: str) -> None:
    wanted = {f"m{number}" for number in range(7)}
    for name in wanted:
        await api.create(CONFIG_MAPS, config_map(Key(namespace, name)))
    pages = [page async for page in api.pages(CONFIG_MAPS, namespace, page=3, labels={"test": "yes"})]
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert {page.resource_version for page in pages} == {pages[0].resource_version}
    whole = await api.list(CONFIG_MAPS, namespace, page=3, labels={"test": "yes"})
    assert {item["metadata"]["name"] for item in whole.items} == wanted
    by_field = await api.list(CONFIG_MAPS, namespace, fields={"metadata.name": "m3"})
    assert [item["metadata"]["name"] for item in by_field.items] == ["m3"]


async def test_a_watch_tells_what_happened_since_a_version(api: ApiClient, key: Key) -> None:
    version = (await api.list(CONFIG_MAPS, key.namespace)).resource_version
    await api.create(CONFIG_MAPS, config_map(key))
    await api.apply(CONFIG_MAPS, config_map(key, a="1"), manager="other")
    await api.delete(CONFIG_MAPS, key)
    told = []
    stream = api.watch(CONFIG_MAPS, key.namespace, resource_version=version, labels="test=yes")
    async with asyncio.timeout(10), aclosing(stream):
        async for kind, obj in stream:
            told.append((kind, obj["metadata"]["name"]))
            if kind == "DELETED":
                break
    assert told == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "one")]


async def test_discovery_shows_the_kinds_we_name(api: ApiClient) -> None:
    for resource in resources.BUILT_IN:
        group = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
        offered = {entry["name"]: entry for entry in (await api.read(group))["resources"]}
        entry = offered[resource.plural]
        assert (entry["kind"], entry["namespaced"]) == (resource.kind, resource.namespaced)


async def test_requests_are_observed_by_verb_resource_and_code(connection: Connection, key: Key) -> None:
    seen: list[tuple[str, str, str]] = []
    api = ApiClient(
        connection, manager="t", observe=lambda verb, plural, code, _seconds: seen.append((verb, plural, code))
    )
    await api.find(CONFIG_MAPS, key)
    await api.apply(CONFIG_MAPS, config_map(key))
    await api.delete(CONFIG_MAPS, key)
    assert seen == [("get", "configmaps", "404"), ("apply", "configmaps", "201"), ("delete", "configmaps", "200")]


def stranger(apiserver: Path) -> Access:
    """The same server, with a token that it never issued."""
    return replace(from_kubeconfig(apiserver), certificate_pem=None, key_pem=None, token="not-a-token")


async def test_unknown_credentials_are_unauthorized_and_not_repeated(apiserver: Path, namespace: str) -> None:
    async with Connection.to(stranger(apiserver)) as connection:
        with pytest.raises(Unauthorized) as refused:
            await ApiClient(connection).list(CONFIG_MAPS, namespace)
    assert "not-a-token" not in repr(refused.value)


async def test_an_account_without_rights_is_forbidden(apiserver: Path, api: ApiClient, namespace: str) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody", "namespace": namespace}}
    await api.create(SERVICE_ACCOUNTS, account)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": account["metadata"]}
    issued = await api.create(SERVICE_ACCOUNTS, {**request, "spec": {}}, subresource="token")
    access = replace(stranger(apiserver), token=issued["status"]["token"])
    async with Connection.to(access) as connection:
        with pytest.raises(Forbidden):
            await ApiClient(connection).list(CONFIG_MAPS, namespace)


@dataclass(frozen=True)
class Seen:
    """What the informer test keeps of a ConfigMap."""

    uid: str
    data: tuple[tuple[str, str], ...]


def seen(obj: dict[str, Any]) -> Seen:
    return Seen(obj["metadata"]["uid"], tuple(sorted((obj.get("data") or {}).items())))


async def until(event: asyncio.Queue[Any]) -> Any:
    async with asyncio.timeout(10):
        return await event.get()


async def test_an_informer_follows_creation_change_and_deletion(api: ApiClient, key: Key) -> None:
    changes: asyncio.Queue[tuple[Key, Seen | None, Seen | None]] = asyncio.Queue()
    existing = await api.create(CONFIG_MAPS, config_map(key, a="1"))
    informer = Informer(
        api, CONFIG_MAPS, seen, namespace=key.namespace, labels="test=yes", on_change=lambda *c: changes.put_nowait(c)
    )
    running = asyncio.create_task(informer.run())
    try:
        first = Seen(existing["metadata"]["uid"], (("a", "1"),))
        assert await until(changes) == (key, None, first)
        await informer.synced.wait()
        await api.apply(CONFIG_MAPS, config_map(key, a="2"))
        second = Seen(first.uid, (("a", "2"),))
        assert await until(changes) == (key, first, second)
        await api.delete(CONFIG_MAPS, key)
        assert await until(changes) == (key, second, None)
        assert dict(informer.values) == {}
    finally:
        running.cancel()


async def test_a_namespace_and_its_key(api: ApiClient, namespace: str) -> None:
    assert (await api.get(NAMESPACES, Key("", namespace)))["metadata"]["name"] == namespace
