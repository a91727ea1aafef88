"""Clause 33 at the guard: the prober alone, by its client certificate, loads, asks and unloads a canary model.

The certificate is signed by an authority that signs nothing else. Whoever shows another one, or none, is a client like
any other: the routes below are not there for him. They lead to models named `canary-<hex digits>` only, so that not
even the prober can unload what is served; the reference runtime refuses its own name besides.
"""

from __future__ import annotations

from typing import Any

from verticalmodel.api import names

MOST_BYTES = 128 * 1024
"""Largest body of a load: a model of 64 KiB in base64, and what is around it."""
# Envoy takes small patterns only: one that counts to 32 is too large.
_CANARY = "canary-[0-9a-f]+"

Tree = dict[str, Any]


def validation(authority: str) -> Tree:
    """The TLS validation context. Any certificate may be shown, and only the prober's counts."""
    exactly = {"san_type": "URI", "matcher": {"exact": names.PROBER_IDENTITY}}
    return {
        "trusted_ca": {"inline_string": authority},
        "match_typed_subject_alt_names": [exactly],
        "trust_chain_verification": "ACCEPT_UNTRUSTED",
    }


def routes(action: Tree) -> list[Tree]:
    """What the prober may ask beside what everybody may; `action` leads to the server."""
    repository = f"/v2/repository/models/{_CANARY}"
    paths = (f"{repository}/load", f"{repository}/unload", f"/v2/models/{_CANARY}/infer")
    return [{"match": _asked(path), **action} for path in paths]


def _asked(path: str) -> Tree:
    return {
        "safe_regex": {"regex": path},
        "headers": [
            {"name": ":method", "string_match": {"exact": "POST"}},
            {"name": "content-length", "range_match": {"start": 0, "end": MOST_BYTES + 1}},
        ],
        "tls_context": {"presented": True, "validated": True},
    }
