"""Keys: how a data key is wrapped, how a key is named without being shown, how a manifest is authenticated. Pure.

A key provider wraps and unwraps data keys of 32 bytes; `LocalKey` does it with a key-encryption key held in memory, a
KMS does it far away. Whatever the provider, the data key authenticates the manifest and opens the files.
"""

from __future__ import annotations

import hmac
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from verticalmodel.seal.reasons import Reason, Refusal

__all__ = ["KEY_BYTES", "KeyProvider", "LocalKey", "manifest_mac"]

KEY_BYTES = 32
NONCE_BYTES = 12


class KeyProvider(Protocol):
    """Whoever holds the key-encryption key."""

    name: str
    """Kind of provider, as a manifest names it."""
    key_id: str
    """Identifies the key-encryption key and reveals nothing about it: lower-case hexadecimal."""

    def wrap(self, data_key: bytes, nonce: bytes, context: bytes) -> bytes:
        """`data_key` for storage, bound to `context`. `nonce` is 12 fresh random bytes."""

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The data key. Raises Refusal(KeyWrong) for another key or another context."""


class LocalKey:
    """A key-encryption key of 32 bytes: AES-256-GCM, as nonce, ciphertext, tag."""

    name = "local"

    def __init__(self, key: bytes) -> None:
        """Raises ValueError for another length; the message does not quote the key."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, this has {len(key)}")
        self._cipher = AESGCM(key)
        self.key_id = _derived(key, b"verticalmodel.io/seal/v1 key id")[:16].hex()

    def wrap(self, data_key: bytes, nonce: bytes, context: bytes) -> bytes:
        return nonce + self._cipher.encrypt(nonce, data_key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise Refusal(
                Reason.KEY_WRONG, f"key {self.key_id} does not open this artifact's data key, or that was changed"
            ) from None


def manifest_mac(data_key: bytes, body: bytes) -> bytes:
    """HMAC-SHA256 of a manifest's body, under a key that is derived from the data key for this purpose alone."""
    return hmac.digest(_derived(data_key, b"verticalmodel.io/seal/v1 manifest"), body, "sha256")


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)
