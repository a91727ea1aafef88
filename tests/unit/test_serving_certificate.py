"""Claims about serving certificates from cert-manager: who signs, what is rendered, what its status says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from unit.kube_stub import StubApi, connected
from unit.probe_servers import authority
from unit.test_exposure import known as reachable
from unit.test_plan import facts, model, planned
from unit.test_render import pod_spec, rendered
from verticalmodel import progress
from verticalmodel.api.certificate import IssuerRef
from verticalmodel.api.model_status import CertificateStatus
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import CONFIG_MAPS, VERTICAL_MODELS
from verticalmodel.plan import Plan, pin_key, plan
from verticalmodel.probe.cluster import Cluster
from verticalmodel.probe.settings import parse
from verticalmodel.refusals import Refusal, RefusalReason
from verticalmodel.serving_certificate import Issued, read
from verticalmodel.shell.issuer import new_authority
from verticalmodel.shell.serving_certificates import built_in, renewal

NOW = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
DIGEST = "sha256:" + "1" * 64
ISSUER = {"name": "hospital", "kind": "ClusterIssuer"}
ISSUED = {"certificate": {"issuerRef": ISSUER}}


def asked(**spec: Any) -> Plan:
    return planned(model(**{**ISSUED, **spec}), reachable(cert_manager=True))


def refusal(certificate: dict[str, Any], *, installed: bool = True) -> Refusal:
    found = plan(model(certificate=certificate), facts(cert_manager=installed))
    assert isinstance(found, Refusal)
    return found


def test_without_an_issuer_the_built_in_authority_signs_and_no_certificate_is_asked_for() -> None:
    built = planned(model())
    assert built.issuer is None
    assert "Certificate" not in rendered(built)


def test_the_certificate_asks_for_the_names_and_the_life_of_a_built_in_one() -> None:
    certificate = rendered(asked(exposure={"host": "breast.example.org"}))["Certificate"]
    name = certificate["metadata"]["name"]
    assert certificate["spec"] == {
        "secretName": name,
        "dnsNames": ["m.ns.svc", "m.ns.svc.cluster.local", "breast.example.org"],
        "issuerRef": {"name": "hospital", "kind": "ClusterIssuer", "group": "cert-manager.io"},
        "duration": "2160h",
        "renewBefore": "720h",
        "privateKey": {"algorithm": "ECDSA", "size": 256, "encoding": "PKCS8", "rotationPolicy": "Always"},
        "usages": ["digital signature", "server auth"],
    }
    assert certificate["metadata"]["ownerReferences"][0]["uid"] == "u-1"


def test_pods_mount_the_issuers_secret_and_no_two_writers_share_one() -> None:
    secrets = [
        next(one["secret"]["secretName"] for one in pod_spec(plan)["volumes"] if one["name"] == "certificate")
        for plan in (planned(model()), asked())
    ]
    assert secrets[0] != secrets[1] == rendered(asked())["Certificate"]["spec"]["secretName"]


def test_changing_to_an_issuer_asks_for_new_pods_and_changing_the_issuer_does_not() -> None:
    other = {"issuerRef": {"name": "other"}, "caBundle": authority().pem}
    assert pin_key(model(certificate=other)) == pin_key(model(**ISSUED)) != pin_key(model())


def test_without_cert_manager_the_refusal_says_what_to_do() -> None:
    found = refusal({"issuerRef": ISSUER}, installed=False)
    assert found.reason is RefusalReason.CERT_MANAGER_NOT_INSTALLED
    for words in ("spec.certificate.issuerRef", "ClusterIssuer 'hospital'", "install cert-manager", "remove spec.cert"):
        assert words in found.message


@pytest.mark.parametrize("bundle", ["-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----", "nonsense", ""])
def test_a_bundle_without_a_certificate_is_refused_and_not_quoted(bundle: str) -> None:
    found = refusal({"issuerRef": ISSUER, "caBundle": bundle})
    assert found.reason is RefusalReason.CA_BUNDLE_UNREADABLE
    assert "spec.certificate.caBundle" in found.message
    assert "nonsense" not in found.message


def test_a_bundle_of_two_authorities_is_a_bundle() -> None:
    two = authority().pem + new_authority(NOW).certificate_pem.decode()
    assert asked(certificate={"issuerRef": ISSUER, "caBundle": two}).issuer == IssuerRef(**ISSUER)


def certificate(*conditions: dict[str, Any], generation: int = 2, **status: Any) -> dict[str, Any]:
    return {"metadata": {"generation": generation}, "status": {"conditions": list(conditions), **status}}


READY = {"type": "Ready", "status": "True", "reason": "Ready", "message": "up to date", "observedGeneration": 2}
MISSING = {**READY, "status": "False", "reason": "DoesNotExist", "message": "the Secret does not exist"}
ISSUING = {**READY, "type": "Issuing", "reason": "DoesNotExist", "message": "issuing, for there is no Secret"}
DATES = {"notAfter": "2027-02-24T08:00:00Z", "renewalTime": "2027-01-25T08:00:00Z"}


def test_a_ready_certificate_tells_when_it_ends_and_when_it_is_renewed() -> None:
    assert read(certificate(READY, **DATES)) == Issued(
        ready=True,
        not_after=datetime(2027, 2, 24, 8, tzinfo=UTC),
        renewal_time=datetime(2027, 1, 25, 8, tzinfo=UTC),
    )


def test_one_that_is_not_issued_tells_why_in_cert_managers_words() -> None:
    found = read(certificate(MISSING, ISSUING))
    assert not found.ready
    assert found.message == "DoesNotExist: issuing, for there is no Secret; DoesNotExist: the Secret does not exist"
    assert "is its controller running?" in read(certificate()).message
    assert "gone" in read(None).message


def test_what_was_said_of_an_earlier_spec_is_not_said_of_this_one() -> None:
    assert not read(certificate(READY, generation=3, **DATES)).ready
    said_by_old_versions = {key: value for key, value in READY.items() if key != "observedGeneration"}
    assert read(certificate(said_by_old_versions, generation=3)).ready


def test_progressing_says_certificate_not_issued_until_it_is_and_leaves_the_rest() -> None:
    told = progress.waiting("x")
    [held, other] = progress.until_issued(told, asked(), Issued(ready=False, message="no such issuer"))
    assert (held.status, held.reason) == ("True", "CertificateNotIssued")
    assert "ClusterIssuer 'hospital'" in held.message
    assert "no such issuer" in held.message
    assert other == told[1]
    assert progress.until_issued(told, asked(), Issued(ready=True)) == told
    assert progress.until_issued(told, planned(model()), None) == told


def test_only_a_built_in_certificate_is_the_operators_to_renew() -> None:
    later = NOW + timedelta(days=90)
    ours = CertificateStatus(not_after=later, fingerprint=DIGEST, issuer=DIGEST)
    theirs = CertificateStatus(not_after=later, issuer_ref=IssuerRef(**ISSUER))
    assert (built_in(ours), built_in(theirs), built_in(None)) == (True, False, False)
    assert renewal(ours, NOW) == (60 * 86400.0,)
    assert renewal(theirs, NOW) == renewal(None, NOW) == ()


@pytest.fixture
async def cluster() -> AsyncIterator[tuple[StubApi, Cluster]]:
    async with connected() as (stub, connection):
        made = Cluster(ApiClient(connection, manager="test"), parse([]), lambda _: None, lambda _k, _u: None)
        running = [asyncio.create_task(one.run()) for one in (made.wishes, made.authorities)]
        yield stub, made
        for task in running:
            task.cancel()
        for task in running:
            with suppress(asyncio.CancelledError):
                await task


def trusts(cluster: Cluster, name: str) -> list[bytes] | None:
    trust = cluster.trust_in("ns", name)
    return None if trust is None else [*trust.verified.get_ca_certs(binary_form=True)]


async def test_the_prober_verifies_a_model_by_its_own_bundle_and_others_by_the_installations(
    cluster: tuple[StubApi, Cluster],
) -> None:
    stub, seen = cluster
    own, built = new_authority(NOW), new_authority(NOW)
    collection = VERTICAL_MODELS.path("ns")
    spec = {"runtime": {"name": "r"}}
    data = {"ca.crt": built.certificate_pem.decode()}
    await stub.put(CONFIG_MAPS.path("verticalmodel-system"), "verticalmodel-ca", data=data)
    await stub.put(collection, "built", spec=spec)
    await stub.put(collection, "unbundled", spec={**spec, **ISSUED})
    for name, bundle in (("own", own.certificate_pem.decode()), ("broken", "nonsense")):
        await stub.put(collection, name, spec={**spec, "certificate": {"issuerRef": ISSUER, "caBundle": bundle}})
    async with asyncio.timeout(5):
        while len(seen.wishes) < 4 or not len(seen.authorities):  # noqa: ASYNC110 - a look at a dict
            await asyncio.sleep(0.01)
    theirs, ours = (one.certificate.public_bytes(Encoding.DER) for one in (own, built))
    assert trusts(seen, "own") == [theirs]
    assert trusts(seen, "built") == trusts(seen, "unbundled") == [ours]
    assert trusts(seen, "broken") is None
