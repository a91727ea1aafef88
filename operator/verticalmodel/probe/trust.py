"""What the prober trusts when it connects to a guard: the installation's certificate authority, or the model's own."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

__all__ = ["Trust", "trusted"]


@dataclass(frozen=True)
class Trust:
    """TLS contexts of one set of authorities; building them costs milliseconds, so they are kept."""

    verified: ssl.SSLContext
    """TLS 1.3 only; chain and host name are verified."""
    unverified: ssl.SSLContext
    """TLS 1.3 only; never believed, only asked which certificate is shown."""
    pem: str = field(repr=False)

    @classmethod
    def from_pem(cls, pem: str) -> Trust:
        """Trust the certificates in `pem` (one or more) and no others. Raises ValueError where it holds none."""
        verified, unverified = (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for _ in range(2))
        for context in (verified, unverified):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        try:
            verified.load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError) as error:
            raise ValueError("ca.crt holds no certificate; write one or more in PEM form") from error
        return cls(verified, unverified, pem)

    def showing(self, folder: Path) -> Trust | None:
        """The same trust by who shows the certificate `tls.crt` with `tls.key` in `folder`; None where there is none.

        Made anew each time: the files are replaced as they come due.
        """
        fresh = Trust.from_pem(self.pem)
        try:
            fresh.verified.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        except (OSError, ssl.SSLError):
            return None
        return fresh


@lru_cache(maxsize=256)
def trusted(pem: str) -> Trust | None:
    """Trust in a model's own bundle; None where it holds no certificate, which the operator tells its owner."""
    try:
        return Trust.from_pem(pem)
    except ValueError:
        return None
