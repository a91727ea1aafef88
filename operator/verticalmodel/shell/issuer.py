"""The built-in certificate authority: P-256, serving certificates of at most 90 days (DESIGN sections 7 and 12).

Effects stay with the caller: this module reads no clock and stores nothing; it only draws key material.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from verticalmodel.render.certificate_secret import SERVING_DAYS

_AUTHORITY_DAYS = 3650
# Other clocks in the cluster may be a little behind.
_BACKDATED = timedelta(minutes=5)
_RENEW_AT = 2 / 3
_COMMON_NAME_LENGTH = 64


@dataclass(frozen=True)
class Authority:
    """A certificate authority with its private key; never logged, never in a status."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The public half, as clients need it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private half, for the one Secret that holds it."""
        return _key_pem(self.key)

    @property
    def fingerprint(self) -> str:
        """`sha256:<hex>` of the certificate."""
        return fingerprint(self.certificate)

    def __repr__(self) -> str:
        """Without the key."""
        return f"Authority({self.fingerprint})"


@dataclass(frozen=True)
class Serving:
    """A freshly issued serving certificate."""

    certificate_pem: bytes
    key_pem: bytes
    not_after: datetime
    fingerprint: str

    def __repr__(self) -> str:
        """Without the key."""
        return f"Serving({self.fingerprint})"


def new_authority(now: datetime) -> Authority:
    """A new self-signed authority that may sign leaf certificates only."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # Names differ, so that whoever looks an issuer up by its name alone finds the right one in a bundle of two.
    common_name = f"verticalmodel built-in CA {serial:x}"[:_COMMON_NAME_LENGTH]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def load_authority(certificate_pem: bytes, key_pem: bytes) -> Authority:
    """The authority stored in a Secret. Raises ValueError for an unusable key, and where the halves do not fit."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("the key of the certificate authority is encrypted or of an unknown kind") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key of the certificate authority is not an elliptic-curve key")  # noqa: TRY004 - a bad value in a Secret, not a programming error
    if key.public_key() != certificate.public_key():
        raise ValueError("the key of the certificate authority does not belong to its certificate")
    return Authority(certificate, key)


def issue(authority: Authority, server_names: Sequence[str], now: datetime) -> Serving:
    """A serving certificate for the names. The common name stays empty: names of 64 and more would not fit."""
    return _issue(authority, [x509.DNSName(name) for name in server_names], ExtendedKeyUsageOID.SERVER_AUTH, now)


def issue_to_client(authority: Authority, identity: str, now: datetime) -> Serving:
    """A client's certificate for the URI that is its identity, as long-lived as a serving one."""
    return _issue(authority, [x509.UniformResourceIdentifier(identity)], ExtendedKeyUsageOID.CLIENT_AUTH, now)


def _issue(
    authority: Authority, alternatives: Sequence[x509.GeneralName], usage: x509.ObjectIdentifier, now: datetime
) -> Serving:
    key = ec.generate_private_key(ec.SECP256R1())
    not_after = min(now + timedelta(days=SERVING_DAYS), authority.certificate.not_valid_after_utc).replace(
        microsecond=0
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(_authority_key_id(authority), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return Serving(
        certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key), not_after, fingerprint(certificate)
    )


def renew_after(not_after: datetime) -> datetime:
    """When a serving certificate is due for renewal: after two thirds of its life."""
    return not_after - timedelta(days=SERVING_DAYS) * (1 - _RENEW_AT)


def fingerprint(certificate: x509.Certificate) -> str:
    """`sha256:<hex>` of the DER form."""
    return "sha256:" + hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _authority_key_id(authority: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    flags: dict[str, Any] = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(digital_signature=True, key_cert_sign=signs_certificates, crl_sign=signs_certificates, **flags)
