"""The trust bundle: the ConfigMap from which clients learn whom to trust."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import Key

LABELS = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_COMPONENT: "certificate-authority"}

Bundle = tuple[x509.Certificate, ...]


async def read_bundle(api: ApiClient, namespace: str) -> Bundle:
    """The bundle that is out; empty where there is none or where it holds something else. Raises ApiError."""
    found = await api.find(resources.CONFIG_MAPS, Key(namespace, names.CA_NAME)) or {}
    try:
        return tuple(x509.load_pem_x509_certificates((found.get("data") or {}).get("ca.crt", "").encode()))
    except ValueError:
        return ()


async def publish_bundle(api: ApiClient, namespace: str, wanted: Bundle, published: Bundle) -> None:
    """Write the bundle unless it is what is `published`. Raises ApiError."""
    if wanted == published:
        return
    await api.apply(
        resources.CONFIG_MAPS,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": names.CA_NAME, "namespace": namespace, "labels": LABELS},
            "data": {"ca.crt": "".join(one.public_bytes(Encoding.PEM).decode() for one in wanted)},
        },
    )
