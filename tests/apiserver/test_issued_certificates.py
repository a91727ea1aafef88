"""Claims about certificates by cert-manager, against a real API server with cert-manager's own CRD.

No cert-manager runs here: what its controllers would write into a Certificate's status, the tests write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from apiserver.certmanager import NAME, certificate_crd
from apiserver.conftest import define
from apiserver.kubelet_reports import serves, tried
from apiserver.world import World, condition, kinds, namespace, operator_in, until
from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.resources import Key

__all__ = ["kinds", "namespace"]  # fixtures

pytestmark = pytest.mark.apiserver

ISSUER = {"name": "hospital", "kind": "ClusterIssuer"}
ISSUED = {"issuerRef": ISSUER}
STOPS_FIRST: dict[str, Any] = {"replicas": 1, "rollout": {"surge": False}}
NOT_AFTER, RENEWAL = "2027-02-24T08:00:00Z", "2027-01-25T08:00:00Z"


async def install(user: ApiClient) -> None:
    await define(user, certificate_crd())


@pytest.fixture
async def world(kinds: Path, namespace: str) -> AsyncIterator[World]:
    async with Connection.open(kinds) as connection:
        await install(ApiClient(connection, manager="user"))
    async with operator_in(kinds, namespace) as made:
        await until(lambda: made.caches.cert_manager.served)
        yield made


async def said(world: World, kind: str, status: str, message: str, **dates: str) -> None:
    """Write into the one Certificate's status what cert-manager would."""
    [certificate] = await world.children("Certificate")
    generation = certificate["metadata"]["generation"]
    told = {"type": kind, "status": status, "reason": "DoesNotExist" if status == "False" else "Ready"}
    told |= {"message": message, "observedGeneration": generation, "lastTransitionTime": "2026-11-26T08:00:00Z"}
    body = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {name: certificate["metadata"][name] for name in ("name", "namespace")},
        "status": {"conditions": [told], **dates},
    }
    await world.user.apply(resources.CERTIFICATES, body, manager="cert-manager", subresource="status", force=True)


async def good(world: World) -> None:
    await said(world, "Ready", "True", "up to date", notAfter=NOT_AFTER, renewalTime=RENEWAL)


def message(model: dict[str, Any], kind: str) -> str:
    [text] = [one["message"] for one in model["status"]["conditions"] if one["type"] == kind]
    return str(text)


async def mounted(world: World) -> str:
    """The Secret that new pods mount as the guard's certificate."""
    [deployment] = await world.children("Deployment")
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    [secret] = [one["secret"]["secretName"] for one in volumes if one["name"] == "certificate"]
    return str(secret)


async def secrets(world: World) -> dict[str, str]:
    """Name and version of every Secret of the namespace."""
    found = (await world.user.list(resources.SECRETS, world.namespace)).items
    return {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in found}


@asynccontextmanager
async def old_pod(world: World, digest: str) -> AsyncIterator[None]:
    """A live pod of the model `m` of this template; a ReplicaSet keeps it that no Deployment adopts."""
    labels = {names.LABEL_MODEL: "m", names.LABEL_COMPONENT: "server", names.LABEL_MANAGED_BY: names.MANAGED_BY}
    body = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "old", "namespace": world.namespace},
        "spec": {
            "selector": {"matchLabels": {"of": "old"}},
            "template": {
                "metadata": {
                    "labels": {**labels, "of": "old"},
                    "annotations": {names.ANNOTATION_TEMPLATE_DIGEST: digest},
                },
                "spec": {"containers": [{"name": "server", "image": "serving:1"}]},
            },
        },
    }
    model = (world.namespace, "m")
    await world.user.apply(resources.REPLICA_SETS, body)
    await until(lambda: len(world.caches.pods.group(model)) == 1)
    yield
    await world.user.delete(resources.REPLICA_SETS, Key(world.namespace, "old"))
    await until(lambda: not world.caches.pods.group(model))


async def create(world: World, **spec: Any) -> Key:
    """A suspended model: of its pods there are those alone that a test makes."""
    return await world.create(suspend=True, **spec)


async def test_cert_managers_schema_takes_every_field_of_a_rendered_certificate(world: World) -> None:
    """Under strict validation, which refuses a field that the schema does not know."""
    key = await create(world, certificate=ISSUED)
    model = await world.settle(key)
    assert condition(model, "Accepted") == ("True", "Planned")
    [certificate] = await world.children("Certificate")
    assert certificate["spec"]["issuerRef"] == {**ISSUER, "group": "cert-manager.io"}
    assert certificate["spec"]["dnsNames"] == [f"m.{world.namespace}.svc", f"m.{world.namespace}.svc.cluster.local"]
    assert certificate["spec"]["secretName"] == await mounted(world)
    assert certificate["metadata"]["ownerReferences"][0]["uid"] == model["metadata"]["uid"]
    assert await secrets(world) == {}, "the built-in authority signs nothing for it"


async def test_progressing_tells_cert_managers_words_until_the_certificate_is_there(world: World) -> None:
    key = await create(world, certificate=ISSUED)
    model = await world.settle(key)
    assert condition(model, "Progressing") == ("True", "CertificateNotIssued")
    assert "is its controller running?" in message(model, "Progressing")
    await said(world, "Ready", "False", "Referenced issuer not found")
    model = await world.settle(key)
    assert "ClusterIssuer 'hospital'" in message(model, "Progressing")
    assert "Referenced issuer not found" in message(model, "Progressing")
    assert "certificate" not in model["status"]
    await good(world)
    model = await world.settle(key)
    assert condition(model, "Progressing") == ("False", "Complete")
    assert model["status"]["certificate"] == {
        "notAfter": NOT_AFTER,
        "renewalTime": RENEWAL,
        "issuerRef": {**ISSUER, "group": "cert-manager.io"},
    }, "and no fingerprint, which nobody has seen"
    assert world.caches.issuers(datetime.now(UTC)) == frozenset()


async def test_another_issuer_is_asked_without_new_pods_and_told_of_until_it_has_signed(world: World) -> None:
    key = await create(world, certificate=ISSUED)
    await world.settle(key)
    await good(world)
    before = await world.settle(key)
    await create(world, certificate={"issuerRef": {"name": "other"}})
    model = await world.settle(key)
    assert model["status"]["templateDigest"] == before["status"]["templateDigest"]
    assert condition(model, "Progressing") == ("True", "CertificateNotIssued"), "what was said is of the former spec"
    assert "Issuer 'other'" in message(model, "Progressing")
    await good(world)
    assert condition(await world.settle(key), "Progressing") == ("False", "Complete")


async def test_the_built_in_certificate_is_kept_while_a_pod_of_the_earlier_template_lives(world: World) -> None:
    key = await create(world)
    before = await world.settle(key)
    built_in, digest = before["status"]["certificate"], before["status"]["templateDigest"]
    [(name, version)] = (await secrets(world)).items()
    async with old_pod(world, digest):
        await create(world, certificate=ISSUED)
        await world.settle(key)
        await good(world)
        model = await world.settle(key)
        assert model["status"]["templateDigest"] != digest, "pods have to mount another Secret"
        assert model["status"]["certificate"] == built_in
        assert world.caches.issuers(datetime.now(UTC)) == {built_in["issuer"]}, (
            "so its authority is not retired under it"
        )
    model = await world.settle(key)
    assert "issuer" not in model["status"]["certificate"]
    assert world.caches.issuers(datetime.now(UTC)) == frozenset()
    assert await secrets(world) == {name: version}, "left as it was, and never renewed"


async def test_back_again_the_built_in_authority_signs_and_the_certificate_goes_with_the_last_old_pod(
    world: World,
) -> None:
    key = await create(world)
    first = await mounted_after(world, key)
    await create(world, certificate=ISSUED)
    assert await mounted_after(world, key) != first
    await good(world)
    model = await world.settle(key)
    async with old_pod(world, model["status"]["templateDigest"]):
        await create(world)
        assert await mounted_after(world, key) == first
        assert len(await world.children("Certificate")) == 1, "the old pod's certificate is still renewed"
    model = await world.settle(key)
    assert await world.children("Certificate") == []
    assert model["status"]["certificate"]["issuer"].startswith("sha256:")
    assert "issuerRef" not in model["status"]["certificate"]


async def test_a_template_waits_until_the_certificate_that_its_pods_mount_is_there(world: World) -> None:
    key = await world.create(**STOPS_FIRST)
    await serves(world, key)
    before = await world.settle(key)
    await world.create(**STOPS_FIRST, certificate={"issuerRef": {"name": "mistyped"}})
    await world.settle(key)
    await tried(world, code=0, report='{"reason": "Found"}')
    await said(world, "Ready", "False", "Referenced issuer not found")
    model = await world.settle(key)
    assert model["status"]["templateDigest"] == before["status"]["templateDigest"]
    assert model["status"]["certificate"] == before["status"]["certificate"]
    assert "Referenced issuer not found" in message(model, "Progressing")
    await good(world)
    model = await world.settle(key)
    assert model["status"]["templateDigest"] != before["status"]["templateDigest"]


async def test_what_serves_keeps_its_certificate_while_a_template_waits_that_goes_back_to_the_built_in_authority(
    world: World,
) -> None:
    key = await world.create(**STOPS_FIRST, certificate=ISSUED)
    await world.settle(key)
    await good(world)
    await serves(world, key)
    before = await world.settle(key)
    await world.create(**STOPS_FIRST)
    model = await world.settle(key)
    assert condition(model, "Progressing") == ("True", "Preflight")
    assert model["status"]["certificate"] == before["status"]["certificate"]
    assert len(await world.children("Certificate")) == 1, "it is renewed as long as a pod serves it"
    assert await secrets(world) == {}, "and nothing is signed before there is a use for it"


async def mounted_after(world: World, key: Key) -> str:
    await world.settle(key)
    return await mounted(world)


async def test_without_the_crd_the_model_is_refused_and_what_it_had_stays_until_the_crd_is_back(world: World) -> None:
    key = await create(world)
    before = await world.settle(key)
    [deployment] = await world.children("Deployment")
    definition = Key("", NAME)
    await world.user.delete(resources.CUSTOM_RESOURCE_DEFINITIONS, definition)
    await until(lambda: not world.caches.cert_manager.served)
    await create(world, certificate=ISSUED)
    model = await world.settle(key)
    assert condition(model, "Accepted") == ("False", "CertManagerNotInstalled")
    assert "install cert-manager" in message(model, "Accepted")
    assert model["status"]["certificate"] == before["status"]["certificate"]
    [still] = await world.children("Deployment")
    assert still["metadata"]["generation"] == deployment["metadata"]["generation"]
    await install(world.user)
    await until(lambda: world.caches.cert_manager.served)
    model = await world.settle(key)
    assert condition(model, "Accepted") == ("True", "Planned")
    assert len(await world.children("Certificate")) == 1
