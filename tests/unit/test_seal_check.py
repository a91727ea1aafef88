"""A check says what a delivery would, as far as that can be told beforehand, and neither fetches nor makes anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from unit.seal_artifacts import MIB, OTHER_KEY, World, content
from verticalmodel.seal.delivery import Request, check
from verticalmodel.seal.reasons import Reason
from verticalmodel.seal.report import Report
from verticalmodel.seal.sizing import Limits


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.seal({"model.onnx": content(3 * MIB, "m")})
    world.write({"model.onnx": b"weights"})
    return world


def checked(world: World, path: str = "sealed", key: bytes | None = b"", **more: object) -> Report:
    """A check of the sealed artifact with its key, unless told otherwise."""
    key_file = None if key is None else world.key(key) if key else world.key()
    return check(Request(uri=f"pvc://claim/{path}", target=world.target, mount=world.root, key_file=key_file, **more))  # type: ignore[arg-type]


def test_a_good_artifact_is_found_sealed_or_plain_and_nothing_is_made(world: World) -> None:
    sealed = checked(world, digest=world.digest)
    assert (sealed.reason, sealed.sealed, sealed.digest, sealed.bytes) == (Reason.FOUND, True, world.digest, 0)
    assert sealed.succeeded
    assert checked(world, "plain/model.onnx", None).reason is Reason.FOUND
    assert not world.target.exists()


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        (lambda w: checked(w, "absent"), Reason.SOURCE_NOT_FOUND),
        (lambda w: checked(w, key=OTHER_KEY), Reason.KEY_WRONG),
        (lambda w: checked(w, key=None), Reason.KEY_MISSING),
        (lambda w: checked(w, "plain"), Reason.NOT_SEALED),
        (lambda w: checked(w, digest="sha256:" + "0" * 64), Reason.DIGEST_MISMATCH),
        (lambda w: checked(w, limits=Limits(memory=MIB)), Reason.TOO_LARGE),
        (lambda w: checked(w, limits=Limits(volume=MIB)), Reason.TOO_LARGE),
        (lambda w: checked(w, "plain/model.onnx", None, limits=Limits(memory=MIB)), Reason.TOO_LARGE),
    ],
    ids=["absent", "other key", "no key", "plain", "other digest", "memory", "volume", "memory for a plain file"],
)
def test_what_a_delivery_would_be_refused_for_is_told(
    world: World, look: Callable[[World], Report], reason: Reason
) -> None:
    assert look(world).reason is reason


def test_a_cut_off_file_is_told_by_its_size(world: World) -> None:
    blob = world.blob("model.onnx")
    blob.write_bytes(blob.read_bytes()[:-1])
    assert checked(world).reason is Reason.TRUNCATED
