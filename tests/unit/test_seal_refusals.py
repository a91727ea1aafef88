"""Every way to tamper with an artifact is refused, for a reason of its own, and leaves the server nothing to read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from unit.seal_artifacts import KEY, MIB, OTHER_KEY, World, content
from verticalmodel.seal.reasons import Reason
from verticalmodel.seal.sizing import HEADROOM_BYTES, Limits

FILES = {"model.onnx": content(4 * MIB, "model"), "twin.onnx": content(4 * MIB, "twin"), "small.txt": b"vocabulary"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.seal(FILES)
    return world


def flip(position: int) -> Callable[[World], None]:
    def tamper(world: World) -> None:
        blob = world.blob("model.onnx")
        data = bytearray(blob.read_bytes())
        data[position] ^= 1
        blob.write_bytes(data)

    return tamper


def swap_chunks(first: int, second: int) -> Callable[[World], None]:
    def tamper(world: World) -> None:
        blob = world.blob("model.onnx")
        chunks = [blob.read_bytes()[start : start + MIB] for start in range(0, blob.stat().st_size, MIB)]
        chunks[first], chunks[second] = chunks[second], chunks[first]
        blob.write_bytes(b"".join(chunks))

    return tamper


def repeat_a_chunk(world: World) -> None:
    data = world.blob("model.onnx").read_bytes()
    world.blob("model.onnx").write_bytes(data[: 2 * MIB] + data[MIB : 2 * MIB] + data[3 * MIB :])


def chunk_of_a_sibling(world: World) -> None:
    ours, theirs = world.blob("model.onnx").read_bytes(), world.blob("twin.onnx").read_bytes()
    world.blob("model.onnx").write_bytes(ours[:MIB] + theirs[MIB : 2 * MIB] + ours[2 * MIB :])


def siblings_exchanged(world: World) -> None:
    ours, theirs = world.blob("model.onnx"), world.blob("twin.onnx")
    first, second = ours.read_bytes(), theirs.read_bytes()
    ours.write_bytes(second)
    theirs.write_bytes(first)


def blob_of_another_artifact(world: World) -> None:
    """Sealed with the same key, from the same bytes, even under the same path."""
    other = world.seal(FILES, out="other")
    blob = next(path for path in sorted(other.glob("*.sealed")) if path.stat().st_size > MIB)
    world.blob("model.onnx").write_bytes(blob.read_bytes())


def shorten(count: int) -> Callable[[World], None]:
    def tamper(world: World) -> None:
        blob = world.blob("model.onnx")
        os.truncate(blob, blob.stat().st_size - count)

    return tamper


def whole_segment_dropped(world: World) -> None:
    os.truncate(world.blob("model.onnx"), 3 * MIB)


def lengthen(world: World) -> None:
    with world.blob("model.onnx").open("ab") as blob:
        blob.write(b"more")


def in_manifest(change: Callable[[dict[str, object]], None]) -> Callable[[World], None]:
    """The manifest changed with care: still canonical, still consistent, only its authentication code is not ours."""

    def tamper(world: World) -> None:
        path = world.sealed / "manifest.json"
        value = json.loads(path.read_bytes())
        change(value)
        path.write_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())

    return tamper


def rename_a_file(value: dict[str, object]) -> None:
    value["files"][0]["path"] = "renamed.onnx"  # type: ignore[index]


def drop_a_file(value: dict[str, object]) -> None:
    value["files"] = value["files"][:1]  # type: ignore[index]


def point_to_another_blob(value: dict[str, object]) -> None:
    first, last = value["files"][0], value["files"][2]  # type: ignore[index]
    first["blob"], last["blob"] = last["blob"], first["blob"]


def climb_out(value: dict[str, object]) -> None:
    value["files"][0]["path"] = "../server"  # type: ignore[index]


def unknown_version(value: dict[str, object]) -> None:
    value["format"] = "verticalmodel.io/sealed/v9"


def another_cipher(value: dict[str, object]) -> None:
    value["cipher"] = "NONE"


def not_canonical(world: World) -> None:
    path = world.sealed / "manifest.json"
    path.write_bytes(path.read_bytes() + b"\n")


def blob_missing(world: World) -> None:
    world.blob("small.txt").unlink()


TAMPERED = {
    "a bit of the body": (flip(2 * MIB + 77), Reason.CORRUPTED),
    "a bit of a tag": (flip(2 * MIB - 1), Reason.CORRUPTED),
    "a bit of the salt": (flip(5), Reason.CORRUPTED),
    "the header's length": (flip(0), Reason.CORRUPTED),
    "a bit of the last segment": (flip(-1), Reason.CORRUPTED),
    "bytes appended": (lengthen, Reason.CORRUPTED),
    "two chunks swapped": (swap_chunks(1, 2), Reason.SPLICED),
    "the first chunk swapped": (swap_chunks(0, 1), Reason.SPLICED),
    "a chunk repeated": (repeat_a_chunk, Reason.SPLICED),
    "a chunk of another file": (chunk_of_a_sibling, Reason.SPLICED),
    "two files exchanged": (siblings_exchanged, Reason.SPLICED),
    "a file of another artifact": (blob_of_another_artifact, Reason.SPLICED),
    "one byte missing": (shorten(1), Reason.TRUNCATED),
    "a segment's end missing": (shorten(MIB), Reason.TRUNCATED),
    "cut between segments": (whole_segment_dropped, Reason.TRUNCATED),
    "a file renamed in the manifest": (in_manifest(rename_a_file), Reason.MANIFEST_FORGED),
    "a file dropped from the manifest": (in_manifest(drop_a_file), Reason.MANIFEST_FORGED),
    "blobs exchanged in the manifest": (in_manifest(point_to_another_blob), Reason.MANIFEST_FORGED),
    "a path that climbs out": (in_manifest(climb_out), Reason.MANIFEST_INVALID),
    "an unknown version": (in_manifest(unknown_version), Reason.MANIFEST_INVALID),
    "another cipher": (in_manifest(another_cipher), Reason.MANIFEST_INVALID),
    "spaces in the manifest": (not_canonical, Reason.MANIFEST_INVALID),
    "a blob removed": (blob_missing, Reason.SOURCE_NOT_FOUND),
}


@pytest.mark.parametrize(("tamper", "reason"), TAMPERED.values(), ids=list(TAMPERED))
def test_a_tampered_artifact_is_refused_and_leaves_nothing(
    world: World, tamper: Callable[[World], None], reason: Reason
) -> None:
    assert world.deliver().succeeded, "the control: untouched, it is delivered"
    tamper(world)

    report = world.deliver()

    assert (report.reason, report.bytes > 0 and report.succeeded) == (reason, False), report.message
    assert report.message
    assert world.nothing_is_left()


def test_a_refusal_says_whose_bytes_are_in_the_wrong_place(world: World) -> None:
    siblings_exchanged(world)

    assert "is the sealed form of" in world.deliver().message


def test_another_key_is_refused(world: World) -> None:
    report = world.deliver(key_file=world.key(OTHER_KEY))

    assert report.reason is Reason.KEY_WRONG
    assert world.nothing_is_left()
    assert world.manifest.key.id in report.message, "which key would have been right"


def test_a_missing_key_is_reported_before_the_source_is_asked(world: World) -> None:
    report = world.deliver(key_file=world.root / "absent", uri="pvc://claim/nowhere")

    assert (report.reason, report.message) == (
        Reason.KEY_MISSING,
        f"key file {world.root / 'absent'}: No such file or directory",
    )


def test_a_sealed_artifact_without_a_key_is_refused_and_named(world: World) -> None:
    report = world.deliver(key_file=None)

    assert (report.reason, report.sealed, report.digest) == (Reason.KEY_MISSING, True, world.digest)


@pytest.mark.parametrize("wrong", [b"", KEY[:31], KEY + b"\n", b"zz" * 32, KEY.hex().encode()[:-1]])
def test_a_file_that_is_no_key_is_refused_without_being_quoted(world: World, wrong: bytes) -> None:
    path = world.root / "key"
    path.write_bytes(wrong)

    report = world.deliver(key_file=path)

    assert report.reason is Reason.KEY_INVALID
    assert not wrong or wrong.decode("latin-1") not in report.message


def test_a_key_may_be_written_in_hexadecimal(world: World) -> None:
    path = world.root / "key"
    path.write_text(KEY.hex() + "\n")

    assert world.deliver(key_file=path).succeeded


def test_an_older_artifact_than_the_digest_pins_is_refused(world: World) -> None:
    """Genuine, sealed with the right key, and not the one that was asked for."""
    world.seal(FILES | {"small.txt": b"newer"}, out="newer")
    (world.sealed).rename(world.root / "older")
    (world.root / "newer").rename(world.sealed)
    pinned = world.digest
    assert world.deliver(digest=pinned).succeeded

    report = world.deliver(digest=pinned, uri="pvc://claim/older")

    assert report.reason is Reason.DIGEST_MISMATCH
    assert pinned in report.message
    assert report.digest != pinned
    assert world.nothing_is_left()


def test_plain_parameters_are_refused_where_sealed_ones_are_expected(world: World) -> None:
    report = world.deliver(uri="pvc://claim/plain")

    assert report.reason is Reason.NOT_SEALED
    assert world.nothing_is_left()


SIZES = sum(-(-len(data) // 4096) * 4096 for data in FILES.values())


@pytest.mark.parametrize(
    ("limits", "needed"),
    [
        (Limits(memory=SIZES + HEADROOM_BYTES - 1), SIZES + HEADROOM_BYTES),
        (Limits(volume=SIZES - 1), SIZES),
    ],
)
def test_what_does_not_fit_is_refused_with_the_number_needed_before_it_is_fetched(
    world: World, limits: Limits, needed: int
) -> None:
    for file in world.manifest.files:
        (world.sealed / file.blob).unlink()

    report = world.deliver(limits=limits)

    assert (report.reason, report.needed_bytes) == (Reason.TOO_LARGE, needed), "not SourceNotFound: nobody looked"
    assert str(needed) in report.message


def test_what_just_fits_is_delivered(world: World) -> None:
    assert world.deliver(limits=Limits(memory=SIZES + HEADROOM_BYTES, volume=SIZES)).succeeded


def test_a_refused_run_takes_away_what_an_earlier_one_delivered(world: World) -> None:
    """A container that runs again must not find yesterday's parameters when today's are refused."""
    assert world.deliver().succeeded
    flip(2 * MIB)(world)

    assert not world.deliver().succeeded
    assert world.nothing_is_left()


def test_the_target_is_not_there_while_bytes_arrive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from verticalmodel.seal.delivery import Request, deliver  # noqa: PLC0415

    seen: list[bool] = []
    (world.root / "volume").mkdir()
    request = Request(uri=str(world.sealed), target=world.target, key_file=world.key(), processors=1)

    assert deliver(request, lambda _done: seen.append(world.target.exists())).succeeded
    assert len(seen) > 3
    assert not any(seen)
    assert world.target.is_dir()
