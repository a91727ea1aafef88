"""Claims about the test clusters' certificates."""

from __future__ import annotations

import base64
import json
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from testcluster.pki import Authority, Pair, kubeconfig, write_secret


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("test-ca")


def parsed(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate)


def test_a_kubelets_certificate_verifies_by_its_address_under_the_clusters_authority(authority: Authority) -> None:
    leaf = parsed(authority.server("system:node:node1", ["node1"], [IPv4Address("10.77.0.11")]))
    verifier = PolicyBuilder().store(Store([parsed(authority.pair)]))
    verifier.build_server_verifier(x509.IPAddress(IPv4Address("10.77.0.11"))).verify(leaf, [])
    with pytest.raises(VerificationError):
        verifier.build_server_verifier(x509.IPAddress(IPv4Address("10.77.0.12"))).verify(leaf, [])


def test_another_authority_of_the_same_name_vouches_for_nothing(authority: Authority) -> None:
    leaf = parsed(authority.server("kube-apiserver", ["kubernetes"], []))
    stranger = PolicyBuilder().store(Store([parsed(Authority("test-ca").pair)]))
    with pytest.raises(VerificationError):
        stranger.build_server_verifier(x509.DNSName("kubernetes")).verify(leaf, [])


def test_a_client_certificate_names_user_and_groups_and_serves_nobody(authority: Authority) -> None:
    leaf = parsed(authority.client("system:node:node1", "system:nodes"))
    subject = [(attribute.oid, attribute.value) for attribute in leaf.subject]
    assert subject == [(NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, "system:node:node1")]
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_kubeconfig_carries_all_that_it_needs(authority: Authority) -> None:
    client = authority.client("admin", "system:masters")
    document = json.loads(kubeconfig("https://10.77.0.2:6443", authority.pair.certificate, client, name="demo"))
    assert document == {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "demo",
        "clusters": [
            {
                "name": "demo",
                "cluster": {
                    "server": "https://10.77.0.2:6443",
                    "certificate-authority-data": base64.b64encode(authority.pair.certificate).decode(),
                },
            },
        ],
        "users": [
            {
                "name": "demo",
                "user": {
                    "client-certificate-data": base64.b64encode(client.certificate).decode(),
                    "client-key-data": base64.b64encode(client.key).decode(),
                },
            },
        ],
        "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "demo"}}],
    }


def test_a_private_key_is_readable_by_its_owner_only(authority: Authority, tmp_path: Path) -> None:
    authority.client("admin").write(tmp_path, "admin")
    write_secret(tmp_path / "folder" / "secret", b"x")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert {name: oct(mode) for name, mode in modes.items() if name != "admin.crt"} == {
        "admin.key": "0o600",
        "secret": "0o600",
    }
