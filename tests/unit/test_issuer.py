"""Claims about the built-in certificate authority."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from verticalmodel.shell.issuer import issue, load_authority, new_authority, renew_after

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NAMES = ("m.ns.svc", "m.ns.svc.cluster.local")


def test_a_serving_certificate_verifies_for_its_names_and_lives_90_days() -> None:
    authority = new_authority(NOW)
    serving = issue(authority, NAMES, NOW)
    leaf = x509.load_pem_x509_certificate(serving.certificate_pem)
    for name in NAMES:
        verifier = (
            PolicyBuilder().store(Store([authority.certificate])).time(NOW).build_server_verifier(x509.DNSName(name))
        )
        verifier.verify(leaf, [])
    assert leaf.not_valid_after_utc == serving.not_after == NOW + timedelta(days=90)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_renewal_is_due_after_two_thirds_of_the_life() -> None:
    assert renew_after(NOW + timedelta(days=90)) == NOW + timedelta(days=60)


def test_an_encrypted_key_is_refused_as_a_value() -> None:
    """Whoever looks after the authorities expects it, and goes on with the one in force."""
    authority = new_authority(NOW)
    key = serialization.load_pem_private_key(authority.key_pem, password=None)
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked = key.private_bytes(pem, form, serialization.BestAvailableEncryption(b"secret"))
    with pytest.raises(ValueError, match="encrypted"):
        load_authority(authority.certificate_pem, locked)


def test_a_stored_authority_is_the_same_one() -> None:
    authority = new_authority(NOW)
    assert load_authority(authority.certificate_pem, authority.key_pem).fingerprint == authority.fingerprint


def test_halves_of_two_authorities_are_refused() -> None:
    with pytest.raises(ValueError, match="does not belong"):
        load_authority(new_authority(NOW).certificate_pem, new_authority(NOW).key_pem)


def test_no_key_material_shows_in_a_repr() -> None:
    authority = new_authority(NOW)
    assert "PRIVATE" not in repr(authority) + repr(issue(authority, NAMES, NOW))


def test_a_bundle_of_two_authorities_verifies_what_either_signed_and_nothing_of_a_third() -> None:
    first, second, stranger = (new_authority(NOW) for _ in range(3))
    bundle = Store([first.certificate, second.certificate])
    verifier = PolicyBuilder().store(bundle).time(NOW).build_server_verifier(x509.DNSName(NAMES[0]))
    for authority in (first, second):
        verifier.verify(x509.load_pem_x509_certificate(issue(authority, NAMES, NOW).certificate_pem), [])
    with pytest.raises(VerificationError):
        verifier.verify(x509.load_pem_x509_certificate(issue(stranger, NAMES, NOW).certificate_pem), [])
    assert first.certificate.subject != second.certificate.subject
