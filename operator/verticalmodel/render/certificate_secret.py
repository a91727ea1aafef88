"""The Secret with the serving certificate. The key material is minted by the shell and passed through once."""

from __future__ import annotations

import base64
from typing import Any

from verticalmodel.api import names
from verticalmodel.plan import Owner
from verticalmodel.render.metadata import ROLE_CERTIFICATE, metadata

SERVING_DAYS = 90
"""The most that a serving certificate lives (DESIGN section 7)."""


def certificate_secret(owner: Owner, certificate_pem: bytes, key_pem: bytes) -> dict[str, Any]:
    """A kubernetes.io/tls Secret, mounted by the guard only."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(owner, names.child_name(owner.name, ROLE_CERTIFICATE), component=ROLE_CERTIFICATE),
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": base64.b64encode(certificate_pem).decode(),
            "tls.key": base64.b64encode(key_pem).decode(),
        },
    }


def server_names(owner: Owner, cluster_domain: str, host: str | None = None) -> tuple[str, ...]:
    """DNS names of the serving certificate: those forms of the Service's name that are nobody else's, and the exposed
    host.

    Not the short ones: `name` is another Service in each namespace, and `name.namespace` may be a real domain.
    """
    service = f"{owner.name}.{owner.namespace}.svc"
    return (service, f"{service}.{cluster_domain}", *([host] if host else []))
