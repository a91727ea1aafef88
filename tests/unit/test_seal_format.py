"""The bytes on the wire are Tink's: what we seal Tink opens, what Tink seals we open, at each size with an edge."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import tink
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from tink import cleartext_keyset_handle, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

from unit.seal_artifacts import World, content
from verticalmodel.seal import segments
from verticalmodel.seal.manifest import Manifest
from verticalmodel.seal.reasons import Reason
from verticalmodel.seal.wrapping import LocalKey

streaming_aead.register()

FIRST = segments.SEGMENT_BYTES - segments.HEADER_BYTES - segments.TAG_BYTES
FULL = segments.SEGMENT_BYTES - segments.TAG_BYTES
EDGES = [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + FULL - 1, FIRST + FULL, FIRST + FULL + 1, 3 * FULL + 17]


def tink_primitive(data_key: bytes) -> streaming_aead.StreamingAead:
    """Tink's own AES256_GCM_HKDF_1MB with this key."""
    template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
    key_format = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKeyFormat.FromString(template.value)
    key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(version=0, params=key_format.params, key_value=data_key)
    keyset = tink_pb2.Keyset(primary_key_id=1)
    keyset.key.add(
        key_id=1,
        status=tink_pb2.ENABLED,
        output_prefix_type=tink_pb2.RAW,
        key_data=tink_pb2.KeyData(
            type_url=template.type_url,
            value=key.SerializeToString(),
            key_material_type=tink_pb2.KeyData.SYMMETRIC,
        ),
    )
    assert key_format.params.hkdf_hash_type == common_pb2.SHA256
    handle = cleartext_keyset_handle.read(tink.BinaryKeysetReader(keyset.SerializeToString()))
    return handle.primitive(streaming_aead.StreamingAead)


class _Kept(io.BytesIO):
    """Tink closes what it writes to; the bytes are wanted afterwards."""

    def close(self) -> None:
        self.kept = self.getvalue()
        super().close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("size", EDGES)
def test_tink_opens_what_we_seal(world: World, size: int) -> None:
    world.seal({"model.onnx": content(size)})
    manifest = world.manifest
    data_key = manifest.unlock(LocalKey(world.key().read_bytes()))
    bound_to = segments.associated_data(manifest.artifact, "model.onnx")

    with tink_primitive(data_key).new_decrypting_stream(world.blob("model.onnx").open("rb"), bound_to) as stream:
        assert stream.read() == content(size)


def test_a_sealed_file_is_bound_to_its_artifact_and_path(world: World) -> None:
    """With the right data key and another name, Tink refuses: not even the key's holder can move it by mistake."""
    world.seal({"model.onnx": b"weights"})
    manifest = world.manifest
    reader = tink_primitive(manifest.unlock(LocalKey(world.key().read_bytes())))
    for artifact, path in ((manifest.artifact, "other.onnx"), ("0" * 32, "model.onnx")):
        bound_to = segments.associated_data(artifact, path)
        with (
            reader.new_decrypting_stream(world.blob("model.onnx").open("rb"), bound_to) as stream,
            pytest.raises(tink.TinkError),
        ):
            stream.read()


@pytest.mark.parametrize("size", EDGES)
def test_we_open_what_tink_seals(world: World, size: int) -> None:
    """The same artifact with its blob sealed anew by Tink: only the header and the digest of the manifest change."""
    world.seal({"model.onnx": content(size)})
    manifest, provider = world.manifest, LocalKey(world.key().read_bytes())
    data_key = manifest.unlock(provider)
    sink = _Kept()
    with tink_primitive(data_key).new_encrypting_stream(
        sink, segments.associated_data(manifest.artifact, "model.onnx")
    ) as stream:
        stream.write(content(size))
    file = manifest.files[0].model_copy(update={"header": sink.kept[: segments.HEADER_BYTES].hex()})
    world.blob("model.onnx").write_bytes(sink.kept)
    wire = Manifest.sealed(manifest.artifact, [file], provider, (data_key, bytes(12)))
    (world.sealed / "manifest.json").write_bytes(wire)

    report = world.deliver()

    assert (report.reason, report.message) == (Reason.UNSEALED, "")
    assert world.delivered() == {"model.onnx": content(size)}


@given(st.integers(min_value=0, max_value=2**42))
def test_segments_cover_a_file_without_gap_or_overlap(size: int) -> None:
    count = segments.segment_count(size)
    first, last = segments.segment(0, size), segments.segment(count - 1, size)

    assert (first.sealed_start, first.plain_start) == (segments.HEADER_BYTES, 0)
    assert last.last
    assert last.plain_start + last.plain_length == size
    assert last.sealed_start + last.sealed_length == segments.sealed_size(size)
    for number in {n for n in (0, 1, count // 2, count - 2) if 0 <= n < count - 1}:
        here, after = segments.segment(number, size), segments.segment(number + 1, size)
        assert not here.last
        assert here.sealed_start + here.sealed_length == after.sealed_start
        assert here.plain_start + here.plain_length == after.plain_start
        assert here.plain_length > 0


def test_a_size_that_the_format_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="segments"):
        segments.sealed_size(2**53)


def test_no_two_segments_share_a_nonce(world: World) -> None:
    header = segments.Header(bytes(32), bytes(7))
    nonces = [segments.segment(number, 5 * FULL).nonce(header) for number in range(6)]
    assert len(set(nonces)) == 6
    assert [nonce[-1] for nonce in nonces] == [0, 0, 0, 0, 0, 1]


def test_a_folder_comes_back_as_it_was(world: World) -> None:
    files = {
        "model.onnx": content(5 * FULL, "a"),
        "tokenizer/vocab.txt": b"a\nb\n",
        "empty": b"",
        "Prüfung 1.txt": b"x",
    }
    world.seal(files)

    report = world.deliver(digest=world.digest)

    assert report.reason is Reason.UNSEALED
    assert (report.sealed, report.files, report.bytes) == (True, 4, sum(map(len, files.values())))
    assert (report.artifact, report.digest) == (world.manifest.artifact, world.digest)
    assert world.delivered() == files


def test_sealing_twice_shares_nothing_that_could_be_compared(world: World) -> None:
    """Fresh keys, salts and ids: equal parameters cannot be recognised in two artifacts."""
    world.seal({"model.onnx": content(100)})
    world.seal({"model.onnx": content(100)}, out="again")
    first = world.manifest
    second = Manifest.parse((world.root / "again/manifest.json").read_bytes())

    assert first.artifact != second.artifact
    assert first.files[0].blob_digest != second.files[0].blob_digest
    assert first.key.wrapped != second.key.wrapped
    assert first.key.id == second.key.id


def test_nothing_written_reveals_plaintext_or_key(world: World) -> None:
    secret = content(4096, "weights")
    world.seal({"model.onnx": secret})
    written = b"".join(path.read_bytes() for path in world.sealed.iterdir())

    assert not any(secret[start : start + 16] in written for start in range(0, 4096, 16))
    assert world.key().read_bytes() not in written
    assert world.key().read_bytes().hex().encode() not in written


def test_a_data_key_opens_only_in_its_own_artifact(world: World) -> None:
    """A wrapped key that is carried over to another manifest is refused, whoever has the key-encryption key."""
    world.seal({"model.onnx": b"1"})
    world.seal({"model.onnx": b"2"}, out="other")
    foreign = json.loads((world.root / "other/manifest.json").read_bytes())["key"]
    value = json.loads((world.sealed / "manifest.json").read_bytes()) | {"key": foreign}
    wire = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    (world.sealed / "manifest.json").write_bytes(wire)

    assert world.deliver().reason is Reason.KEY_WRONG


def test_our_segments_are_plain_aes_256_gcm(world: World) -> None:
    """No mode of our own: one segment opens with nothing but its key, nonce and ciphertext."""
    world.seal({"model.onnx": b"seven by seven"})
    manifest, file = world.manifest, world.manifest.files[0]
    data_key = manifest.unlock(LocalKey(world.key().read_bytes()))
    sealed = world.blob("model.onnx").read_bytes()
    header = segments.Header.decode(sealed[:40])
    key = segments.segment_key(data_key, header, segments.associated_data(manifest.artifact, file.path))

    assert AESGCM(key).decrypt(header.prefix + bytes([0, 0, 0, 0, 1]), sealed[40:], None) == b"seven by seven"
