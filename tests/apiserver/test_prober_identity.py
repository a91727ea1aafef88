"""The certificate by which guards know the prober, in a real API server: made once, renewed, never overwritten."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import Key
from verticalmodel.shell.issuer import SERVING_DAYS
from verticalmodel.shell.prober_identity import ensure_prober_identity, first_prober_authority

pytestmark = pytest.mark.apiserver

START = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


async def stored(api: ApiClient, namespace: str) -> dict[str, bytes]:
    """What stands in the Secret."""
    secret = await api.get(resources.SECRETS, Key(namespace, names.PROBER_CLIENT))
    return {name: base64.b64decode(value) for name, value in secret["data"].items()}


async def test_the_certificate_is_the_probers_and_its_authority_signs_nothing_else(
    api: ApiClient, namespace: str
) -> None:
    told = await ensure_prober_identity(api, namespace, START)
    content = await stored(api, namespace)
    assert content.keys() == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    assert content["ca.crt"].decode() == told
    authority, leaf = (x509.load_pem_x509_certificate(content[name]) for name in ("ca.crt", "tls.crt"))
    leaf.verify_directly_issued_by(authority)
    alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(alternatives) == [x509.UniformResourceIdentifier(names.PROBER_IDENTITY)]
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]


async def test_nothing_is_written_again_before_two_thirds_of_its_life(api: ApiClient, namespace: str) -> None:
    told = await ensure_prober_identity(api, namespace, START)
    first = await stored(api, namespace)
    assert await ensure_prober_identity(api, namespace, START + timedelta(days=59)) == told
    assert await stored(api, namespace) == first


async def test_a_certificate_that_comes_due_is_renewed_by_the_same_authority(api: ApiClient, namespace: str) -> None:
    told = await ensure_prober_identity(api, namespace, START)
    first = await stored(api, namespace)
    later = START + timedelta(days=61)
    assert await ensure_prober_identity(api, namespace, later) == told
    second = await stored(api, namespace)
    assert {name for name in first if first[name] != second[name]} == {"tls.crt", "tls.key"}
    leaf = x509.load_pem_x509_certificate(second["tls.crt"])
    assert leaf.not_valid_after_utc == later + timedelta(days=SERVING_DAYS)


async def test_an_authority_whose_years_are_over_is_followed_by_another(api: ApiClient, namespace: str) -> None:
    told = await ensure_prober_identity(api, namespace, START)
    later = START + timedelta(days=3600)
    new = await ensure_prober_identity(api, namespace, later)
    assert new != told
    assert await ensure_prober_identity(api, namespace, later) == new
    content = await stored(api, namespace)
    authority, leaf = (x509.load_pem_x509_certificate(content[name]) for name in ("ca.crt", "tls.crt"))
    leaf.verify_directly_issued_by(authority)


async def test_replicas_that_begin_at_once_agree(api: ApiClient, namespace: str) -> None:
    told = await asyncio.gather(*(ensure_prober_identity(api, namespace, START) for _ in range(5)))
    assert set(told) == {(await stored(api, namespace))["ca.crt"].decode()}


@pytest.mark.parametrize("broken", [{}, {"tls.crt": "bm8gUEVN"}, {"ca.key": "bm8gUEVN"}, {"ca.crt": "bm8gUEVN"}])
async def test_a_secret_that_holds_something_else_is_left_alone_and_guards_know_no_prober(
    api: ApiClient, namespace: str, broken: dict[str, str]
) -> None:
    await ensure_prober_identity(api, namespace, START)
    key = Key(namespace, names.PROBER_CLIENT)
    secret = await api.get(resources.SECRETS, key)
    secret["data"] = {**secret["data"], **broken} if broken else {"tls.crt": "", "tls.key": ""}
    await api.replace(resources.SECRETS, secret)
    before = await stored(api, namespace)
    with pytest.raises(ValueError, match=r"."):
        await ensure_prober_identity(api, namespace, START)
    assert await first_prober_authority(api, namespace, START) == ""
    assert await stored(api, namespace) == before
