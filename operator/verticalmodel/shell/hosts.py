"""Which models ask for which host, and which of them keeps it: who has it, else the older one (DESIGN section 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from verticalmodel.kube.resources import Key

__all__ = ["Hosts"]

Rank = tuple[bool, str]
"""Smaller is first: who serves under the host already, then who was created first."""


class Hosts:
    """Hosts of `spec.exposure` by model; `wake` runs for the others that ask for a host when one comes or goes."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self._wake = wake
        self._asked: dict[Key, str] = {}
        self._by_host: dict[str, dict[Key, Rank]] = {}

    def saw(self, key: Key, body: Mapping[str, Any]) -> None:
        """Remember what a model asks for as its newest body shows it."""
        host = ((body.get("spec") or {}).get("exposure") or {}).get("host") or ""
        rank = (not _serves_under(host, body.get("status") or {}), body["metadata"].get("creationTimestamp") or "")
        if host and self._by_host.get(host, {}).get(key) == rank:
            return
        self.forget(key)
        if host:
            self._asked[key] = host
            self._tell(host)
            self._by_host.setdefault(host, {})[key] = rank

    def forget(self, key: Key) -> None:
        """A model is gone, or asks for none any more."""
        host = self._asked.pop(key, "")
        if host:
            del self._by_host[host][key]
            self._tell(host)
            if not self._by_host[host]:
                del self._by_host[host]

    def keeper(self, host: str) -> Key | None:
        """The model that keeps the host.

        The one whose status names a certificate or a route for it, so that nobody takes a host that is in use by asking
        with an older object; else the one created first, of the same second the first by namespace and name.
        """
        asking = self._by_host.get(host, {})
        return min(asking, key=lambda key: (asking[key], key)) if asking else None

    def exposed(self) -> Iterable[Key]:
        """Every model that asks for a host."""
        return tuple(self._asked)

    def _tell(self, host: str) -> None:
        for key in self._by_host.get(host, {}):
            self._wake(key)


def _serves_under(host: str, status: Mapping[str, Any]) -> bool:
    """A route for it stands, or the built-in authority signed it; what cert-manager signed may be long let go of."""
    signed = status.get("certificate") or {}
    return status.get("url") == f"https://{host}" or (bool(signed.get("issuer")) and signed.get("host") == host)
