"""What reaching a source takes, one file each in one folder: a mounted Secret, a ConfigMap projected beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from verticalmodel.seal.reasons import Reason, Refusal

__all__ = ["NAMES", "Credentials"]

NAMES = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
        "username",
        "password",
        "token",
        "ca.crt",
        "HTTPS_PROXY",
        "NO_PROXY",
    }
)
"""Files that are read; others are left alone."""
_MAX_BYTES = 1024 * 1024
_PUBLIC = frozenset({"AWS_REGION", "AWS_ENDPOINT_URL", "ca.crt", "NO_PROXY", "username"})


@dataclass(frozen=True)
class Credentials:
    """Values by file name. Its text form shows none of them."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    @staticmethod
    def read(folder: Path | None) -> Credentials:
        """Those of NAMES that are there; none where the folder is missing. Raises Refusal(SourceDenied)."""
        values = {}
        for name in NAMES if folder else ():
            path = Path(folder or "") / name
            try:
                values[name] = path.read_text(encoding="utf-8")[:_MAX_BYTES].strip()
            except FileNotFoundError:
                continue
            except (OSError, UnicodeDecodeError):
                raise Refusal(Reason.SOURCE_DENIED, f"credential {path} cannot be read as text") from None
        return Credentials({name: value for name, value in values.items() if value})

    def get(self, name: str) -> str | None:
        return self.values.get(name)

    def scrubbed(self, text: str) -> str:
        """`text` without any secret value."""
        for name, value in self.values.items():
            if name not in _PUBLIC:
                text = text.replace(value, "[redacted]")
        return text
