"""The manifest of a sealed artifact: what is in it, and what binds it together. Pure.

`source.digest` is the SHA-256 of the manifest's exact bytes. The manifest names every file with its size, blob and the
blob's header and digest; its own authentication code stands last, over the canonical form of all the rest.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from verticalmodel.seal import segments
from verticalmodel.seal.reasons import Reason, Refusal
from verticalmodel.seal.wrapping import KeyProvider, manifest_mac

__all__ = ["FORMAT", "MANIFEST_NAME", "MAX_MANIFEST_BYTES", "Manifest", "SealedFile", "WrappedKey"]

FORMAT: Final = "verticalmodel.io/sealed/v1"
MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
_MAX_FILES = 10_000
_MAX_PATH = 512

_Sha256 = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )


class WrappedKey(_Strict):
    """The data key, readable only with the key-encryption key."""

    provider: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    wrapped: Annotated[Base64Bytes, Field(max_length=4096)]


class SealedFile(_Strict):
    """One file. Sizes in bytes; the digest is the blob's, so that a store can be checked without any key."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=_MAX_PATH)]
    size: int = Field(ge=0, strict=True)
    blob: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    blob_size: int = Field(ge=0, strict=True)
    blob_digest: _Sha256
    header: Annotated[str, StringConstraints(pattern=r"^28[0-9a-f]{78}$")]
    """The blob's first 40 bytes: known beforehand, they tell a damaged blob from a foreign one."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if not usable_path(self.path):
            raise ValueError(f"path {self.path!r} must be relative, normal and free of control characters")
        if self.blob_size != segments.sealed_size(self.size):
            raise ValueError(f"blobSize {self.blob_size} is not that of {self.size} bytes of plaintext")
        return self

    @property
    def blob_header(self) -> segments.Header:
        return segments.Header.decode(bytes.fromhex(self.header))


class Manifest(_Strict):
    """A sealed artifact. Only `unlock` says whether it is genuine."""

    format: Literal["verticalmodel.io/sealed/v1"] = FORMAT
    cipher: Literal["AES256_GCM_HKDF_1MB"] = "AES256_GCM_HKDF_1MB"
    artifact: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    key: WrappedKey
    files: tuple[SealedFile, ...] = Field(min_length=1, max_length=_MAX_FILES)
    mac: Annotated[Base64Bytes, Field(max_length=32)] = b""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        paths = {file.path for file in self.files}
        if len(paths) < len(self.files) or len({file.blob for file in self.files}) < len(self.files):
            raise ValueError("two files have one path or one blob")
        if any(str(parent) in paths for path in paths for parent in PurePosixPath(path).parents):
            raise ValueError("a path is both a file and a folder")
        return self

    @staticmethod
    def parse(wire: bytes) -> Manifest:
        """Raises Refusal(ManifestInvalid); its message names the field."""
        if len(wire) > MAX_MANIFEST_BYTES:
            raise Refusal(Reason.MANIFEST_INVALID, f"{MANIFEST_NAME} has more than {MAX_MANIFEST_BYTES} bytes")
        try:
            manifest = Manifest.model_validate_json(wire)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "(root)"
            raise Refusal(Reason.MANIFEST_INVALID, f"{MANIFEST_NAME}: {where}: {first['msg']}") from None
        # The authentication code covers the canonical form: so nothing may be written in another.
        if manifest.encode() != wire:
            raise Refusal(Reason.MANIFEST_INVALID, f"{MANIFEST_NAME} is not in canonical form")
        return manifest

    @staticmethod
    def looks_like(wire: bytes) -> bool:
        """Whether these bytes claim to be a manifest of this family, of whatever version."""
        try:
            value = json.loads(wire)
        except ValueError:
            return False
        return isinstance(value, dict) and str(value.get("format", "")).startswith("verticalmodel.io/sealed/")

    @staticmethod
    def sealed(
        artifact: str, files: Sequence[SealedFile], provider: KeyProvider, secrets: tuple[bytes, bytes]
    ) -> bytes:
        """The exact bytes of a new manifest; `secrets` are the data key and 12 fresh random bytes."""
        data_key, nonce = secrets
        wrapped = provider.wrap(data_key, nonce, _context(artifact, provider.name))
        body = Manifest(
            artifact=artifact,
            key=WrappedKey.model_construct(provider=provider.name, id=provider.key_id, wrapped=wrapped),
            files=tuple(files),
        )
        mac = manifest_mac(data_key, body.body())
        return body.model_copy(update={"mac": mac}).encode()

    def unlock(self, provider: KeyProvider) -> bytes:
        """The data key of a genuine manifest. Raises Refusal: KeyWrong or ManifestForged."""
        if (self.key.provider, self.key.id) != (provider.name, provider.key_id):
            raise Refusal(
                Reason.KEY_WRONG,
                f"the artifact was sealed with {self.key.provider} key {self.key.id}, "
                f"the key given is {provider.name} key {provider.key_id}",
            )
        data_key = provider.unwrap(self.key.wrapped, _context(self.artifact, provider.name))
        if not hmac.compare_digest(manifest_mac(data_key, self.body()), self.mac):
            raise Refusal(
                Reason.MANIFEST_FORGED, f"{MANIFEST_NAME} of artifact {self.artifact} was changed after sealing"
            )
        return data_key

    def body(self) -> bytes:
        """What the authentication code covers: everything but itself, in canonical form."""
        return _canonical(self.model_dump(mode="json", exclude={"mac"}))

    def encode(self) -> bytes:
        """The canonical form: equal manifests have equal bytes, so the digest depends on nothing else."""
        return _canonical(self.model_dump(mode="json"))

    @property
    def size(self) -> int:
        """Bytes of plaintext."""
        return sum(file.size for file in self.files)


def digest(wire: bytes) -> str:
    """`sha256:<hex>` of exact bytes: what `source.digest` pins."""
    return "sha256:" + hashlib.sha256(wire).hexdigest()


def usable_path(path: str) -> bool:
    """Whether a path may be in an artifact: relative, in normal form, printable, one way to write it."""
    pure = PurePosixPath(path)
    return (
        str(pure) == path
        and not pure.is_absolute()
        and not {".", ".."} & set(path.split("/"))
        and path.isprintable()
        and "\\" not in path
    )


def _context(artifact: str, provider: str) -> bytes:
    return f"{FORMAT}\ndata key\n{provider}\n{artifact}".encode()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
