"""The built-in authorities in a real API server: what stands in the Secret and in the bundle, step by step."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import Key
from verticalmodel.shell.authorities import Rotation, ensure_authority
from verticalmodel.shell.caches import Caches
from verticalmodel.shell.issuer import Authority, fingerprint, new_authority

OVERLAP = timedelta(hours=1)
START = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


class Operator:
    """A leader whose clock and models the test sets."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        self.api, self.key, self.now = api, Key(namespace, names.CA_NAME), START
        self.named: frozenset[str] = frozenset()
        self.signing = ""
        self.rotation = Rotation(
            api=api,
            namespace=namespace,
            overlap=OVERLAP,
            clock=lambda: self.now,
            named=lambda: self.named,
            on_signer=self.on_signer,
        )

    def on_signer(self, authority: Authority) -> None:
        self.signing = authority.fingerprint

    async def at(self, moment: datetime) -> list[str]:
        """What stands in the bundle after everything due at `moment` is done."""
        self.now = moment
        await self.rotation.advance()
        return await self.bundle()

    async def bundle(self) -> list[str]:
        published = await self.api.get(resources.CONFIG_MAPS, self.key)
        return [fingerprint(one) for one in x509.load_pem_x509_certificates(published["data"]["ca.crt"].encode())]

    async def ask_for_rotation(self) -> None:
        change = {"metadata": {"annotations": {names.ANNOTATION_CA_ROTATE: "now"}}}
        await self.api.patch_merge(resources.SECRETS, self.key, change)


@pytest.fixture
async def operator(api: ApiClient, namespace: str) -> Operator:
    operator = Operator(api, namespace)
    operator.on_signer(await ensure_authority(api, namespace, START))
    return operator


async def test_a_requested_rotation_overlaps_from_end_to_end(operator: Operator) -> None:
    old = operator.signing
    operator.named = frozenset({old})
    assert await operator.at(START) == [old]
    await operator.ask_for_rotation()
    [first, new] = await operator.at(START)
    assert (first, operator.signing) == (old, old)
    assert await operator.at(START + OVERLAP - timedelta(seconds=1)) == [old, new]
    promoted = START + OVERLAP
    assert await operator.at(promoted) == [new, old]
    assert operator.signing == new
    late = promoted + timedelta(days=30)
    assert await operator.at(late) == [new, old]  # a model still names it
    operator.named = frozenset({new})
    assert await operator.at(late) == [new, old]
    assert await operator.at(late + OVERLAP) == [new]
    secret = await operator.api.get(resources.SECRETS, operator.key)
    assert sorted(secret["data"]) == ["tls.crt", "tls.key"]
    assert names.ANNOTATION_CA_ROTATE not in secret["metadata"]["annotations"]


async def test_an_authority_stored_by_an_earlier_version_goes_on(operator: Operator) -> None:
    before = await operator.api.get(resources.SECRETS, operator.key)
    assert await operator.at(START) == [operator.signing]
    assert (await operator.api.get(resources.SECRETS, operator.key))["metadata"] == before["metadata"]


async def test_a_half_that_does_not_fit_is_refused_and_never_overwritten(operator: Operator) -> None:
    data = {"next.crt": base64.b64encode(b"no certificate").decode(), "next.key": ""}
    await operator.api.patch_merge(resources.SECRETS, operator.key, {"data": data})
    before = await operator.api.get(resources.SECRETS, operator.key)
    with pytest.raises(ValueError, match="PEM"):
        await operator.at(START)
    assert await operator.api.get(resources.SECRETS, operator.key) == before


async def test_a_secret_put_in_the_place_of_the_old_one_retires_that_one_while_models_show_its_certificates(
    operator: Operator,
) -> None:
    """After a leak an administrator may not wait for a rotation; clients must not lose what is being served."""
    old, stranger = operator.signing, await another_authority(operator)
    operator.named = frozenset({old})
    assert await operator.at(START) == [stranger, old]
    assert operator.signing == stranger
    operator.named = frozenset({stranger})
    later = START + timedelta(days=1)
    await operator.at(later)
    assert await operator.at(later + OVERLAP) == [stranger]


async def test_a_start_over_a_replaced_secret_takes_no_authority_out_of_the_bundle(operator: Operator) -> None:
    """It is too early to know which models show what."""
    old, stranger = operator.signing, await another_authority(operator)
    await ensure_authority(operator.api, operator.key.namespace, START)
    assert await operator.bundle() == [stranger, old]
    assert await operator.at(START) == [stranger], "no model shows a certificate of the old one"


async def another_authority(operator: Operator) -> str:
    """Another authority in the Secret, written by hand; its fingerprint."""
    fresh = new_authority(START)
    halves = {"tls.crt": fresh.certificate_pem, "tls.key": fresh.key_pem}
    data = {name: base64.b64encode(half).decode() for name, half in halves.items()}
    await operator.api.patch_merge(resources.SECRETS, operator.key, {"data": data})
    return fresh.fingerprint


async def test_what_somebody_adds_to_the_bundle_is_taken_out(operator: Operator) -> None:
    extra = new_authority(START).certificate_pem.decode()
    standing = (await operator.api.get(resources.CONFIG_MAPS, operator.key))["data"]["ca.crt"]
    for data in (standing + extra, "no certificate", ""):
        await operator.api.patch_merge(resources.CONFIG_MAPS, operator.key, {"data": {"ca.crt": data}})
        assert await operator.at(START) == [operator.signing]


def test_an_authority_is_named_as_long_as_a_certificate_of_its_own_is_in_force(api: ApiClient) -> None:
    """So a model that can no longer be reconciled keeps it in the bundle for a certificate's life, not for its own."""
    caches = Caches(api, lambda _: None)
    end = START + timedelta(days=90)
    certificate = {"issuer": "sha256:a", "notAfter": end.isoformat()}
    meta = {"name": "m", "namespace": "ns", "uid": "1", "resourceVersion": "1"}
    caches.put_model(Key("ns", "m"), {"metadata": meta, "spec": {}, "status": {"certificate": certificate}})
    assert caches.issuers(end - timedelta(seconds=1)) == {"sha256:a"}
    assert caches.issuers(end) == frozenset()
