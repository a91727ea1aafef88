"""Whoever writes to a claim chooses its names and links; the init container must not be led astray by them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unit.seal_artifacts import World
from verticalmodel.seal.reasons import Reason


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.write({"model.onnx": b"weights", "deep/vocab.txt": b"words"})
    (tmp_path / "token").write_bytes(b"secret of the container")
    return world


def test_a_plain_file_is_a_folder_with_one_file(world: World) -> None:
    report = world.deliver(uri="pvc://claim/plain/model.onnx", key_file=None)

    assert (report.reason, report.files, report.sealed) == (Reason.DELIVERED, 1, False)
    assert world.delivered() == {"model.onnx": b"weights"}


def test_a_whole_claim_may_be_the_artifact(world: World) -> None:
    report = world.deliver(uri="pvc://claim", key_file=None, mount=world.plain)

    assert report.reason is Reason.DELIVERED
    assert world.delivered() == {"model.onnx": b"weights", "deep/vocab.txt": b"words"}


def test_a_sealed_claim_may_be_the_artifact(world: World) -> None:
    world.seal({})

    assert world.deliver(uri="pvc://claim/", mount=world.sealed).reason is Reason.UNSEALED


@pytest.mark.parametrize("place", ["plain/link", "plain/deep/link"])
def test_a_link_to_a_secret_is_refused_and_nothing_is_copied(world: World, place: str) -> None:
    (world.root / place).symlink_to(world.root / "token")

    report = world.deliver(uri="pvc://claim/plain", key_file=None)

    assert report.reason is Reason.SOURCE_INVALID
    assert world.nothing_is_left()


@pytest.mark.parametrize("uri", ["pvc://claim/elsewhere/token", "pvc://claim/plain/direct"])
def test_a_link_on_the_way_is_refused(world: World, uri: str) -> None:
    (world.root / "elsewhere").symlink_to(world.root)
    (world.plain / "direct").symlink_to(world.root / "token")

    assert not world.deliver(uri=uri, key_file=None).succeeded
    assert world.nothing_is_left()


def test_a_sealed_blob_that_is_a_link_is_refused(world: World) -> None:
    world.seal({})
    blob = world.blob("model.onnx")
    blob.rename(world.root / "elsewhere")
    blob.symlink_to(world.root / "elsewhere")

    assert world.deliver().reason is Reason.SOURCE_INVALID


@pytest.mark.timeout(20)
def test_a_named_pipe_is_refused_and_not_waited_for(world: World) -> None:
    os.mkfifo(world.plain / "pipe")

    assert world.deliver(uri="pvc://claim/plain", key_file=None).reason is Reason.SOURCE_INVALID
    assert world.deliver(uri="pvc://claim/plain/pipe", key_file=None).reason is Reason.SOURCE_INVALID


def test_a_claim_without_the_path_is_not_found(world: World) -> None:
    report = world.deliver(uri="pvc://claim/absent", key_file=None)

    assert (report.reason, "absent" in report.message) == (Reason.SOURCE_NOT_FOUND, True)


def test_an_empty_folder_is_no_artifact(world: World) -> None:
    (world.root / "empty").mkdir()

    assert world.deliver(uri="pvc://claim/empty", key_file=None).reason is Reason.SOURCE_NOT_FOUND


@pytest.mark.parametrize("name", ["a\nb", "a\\b", "a\x7fb"])
def test_a_name_that_cannot_be_listed_safely_is_refused(world: World, name: str) -> None:
    (world.plain / name).write_bytes(b"")

    assert world.deliver(uri="pvc://claim/plain", key_file=None).reason is Reason.SOURCE_INVALID


def test_somebody_elses_manifest_json_is_a_plain_file(world: World) -> None:
    (world.plain / "manifest.json").write_text('{"name": "a web app"}')

    assert world.deliver(uri="pvc://claim/plain", key_file=None).files == 3


def test_a_file_as_large_as_the_volume_is_refused_in_time(world: World) -> None:
    """Sparse: it would fill any volume, and is refused without being read."""
    with (world.plain / "huge.bin").open("wb") as file:
        file.truncate(2**42)

    report = world.deliver(uri="pvc://claim/plain", key_file=None)

    assert report.reason is Reason.TOO_LARGE
    assert (report.needed_bytes or 0) > 2**42
    assert world.nothing_is_left()
