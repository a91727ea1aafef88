"""Claims about storing a serving certificate in a real API server when two would do it at once."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.errors import Conflict
from verticalmodel.kube.resources import Key, Resource
from verticalmodel.plan import Owner
from verticalmodel.shell.certificates import Certificates
from verticalmodel.shell.issuer import Authority, fingerprint, new_authority

pytestmark = pytest.mark.apiserver


class Delayed(ApiClient):
    """A client whose updates arrive after `meanwhile` has happened."""

    meanwhile: Callable[[], Awaitable[object]]

    async def replace(self, resource: Resource, body: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        if not more.get("dry_run"):
            await self.meanwhile()
        return await super().replace(resource, body, **more)


def certificates(api: ApiClient, authority: Authority) -> Certificates:
    return Certificates(api, authority, "cluster.local", lambda: datetime.now(UTC))


async def stored(api: ApiClient, key: Key) -> str:
    """Fingerprint of the leaf that is in the Secret."""
    secret = await api.get(resources.SECRETS, key)
    chain = x509.load_pem_x509_certificates(base64.b64decode(secret["data"]["tls.crt"]))
    return fingerprint(chain[0])


async def existing_owner(api: ApiClient, namespace: str) -> Owner:
    """A model that is there: the garbage collector takes away what belongs to none."""
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "VerticalModel",
        "metadata": {"name": "m", "namespace": namespace},
        "spec": {"runtime": {"name": "r"}, "source": {"uri": "pvc://claim/model.onnx"}},
    }
    made = await api.apply(resources.VERTICAL_MODELS, body)
    return Owner("m", namespace, made["metadata"]["uid"])


async def test_of_two_that_store_a_certificate_the_later_one_is_refused(
    api: ApiClient, connection: Connection, namespace: str, crds: None
) -> None:
    """A leader that was replaced while its update was on the way does not undo what its successor has stored."""
    authority, owner = new_authority(datetime.now(UTC)), await existing_owner(api, namespace)
    key = Key(namespace, names.child_name("m", "certificate"))
    successor = certificates(api, authority)
    first = await successor.ensure(owner, None, host=None, doubtful=False)
    assert await stored(api, key) == first.fingerprint
    delayed = Delayed(connection, manager="test")
    told: list[str | None] = []

    async def meanwhile() -> None:
        told.append((await successor.ensure(owner, None, host=None, doubtful=False)).fingerprint)

    delayed.meanwhile = meanwhile
    with pytest.raises(Conflict):
        await certificates(delayed, authority).ensure(owner, None, host=None, doubtful=False)
    assert [await stored(api, key)] == told
