"""A sealed artifact comes from a real S3 server with its own CA, by the init container's entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.s3_server import S3, SECRET_KEY, s3
from installation import ROOT
from unit.seal_artifacts import MIB, World, content
from verticalmodel.seal.reasons import Reason
from verticalmodel.seal.report import Report
from verticalmodel.seal.sizing import HEADROOM_BYTES

pytestmark = pytest.mark.e2e

FILES = {"model.onnx": content(70 * MIB, "m"), "deep/vocab.txt": b"words"}


class Bucket:
    """A world whose sealed and plain folders are in a bucket."""

    def __init__(self, server: S3, root: Path) -> None:
        self.server = server
        self.world = World(root)
        self.world.seal(FILES)
        bucket = server.buckets / "models"
        bucket.mkdir()
        self.world.sealed.rename(bucket / "sealed")
        self.world.sealed.symlink_to(bucket / "sealed")
        (bucket / "plain.onnx").write_bytes(FILES["model.onnx"])

    def deliver(self, uri: str = "s3://models/sealed", **more: object) -> Report:
        return self.world.deliver(**{"uri": uri, "mount": None, "credentials": self.server.credentials} | more)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3(tmp_path_factory.mktemp("s3")) as started:
        yield started


@pytest.fixture(scope="module")
def bucket(server: S3, tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(server, tmp_path_factory.mktemp("world"))


def test_a_sealed_artifact_is_delivered_from_a_bucket(bucket: Bucket) -> None:
    report = bucket.deliver(digest=bucket.world.digest)

    assert (report.reason, report.message) == (Reason.UNSEALED, "")
    assert bucket.world.delivered() == FILES


def test_a_plain_object_is_delivered_from_a_bucket(bucket: Bucket) -> None:
    assert bucket.deliver("s3://models/plain.onnx", key_file=None).reason is Reason.DELIVERED
    assert bucket.world.delivered() == {"plain.onnx": FILES["model.onnx"]}


def test_what_is_not_in_the_bucket_is_not_found(bucket: Bucket) -> None:
    assert bucket.deliver("s3://models/absent", key_file=None).reason is Reason.SOURCE_NOT_FOUND
    assert bucket.world.nothing_is_left()


def test_a_wrong_secret_is_denied_and_not_repeated(bucket: Bucket, tmp_path: Path) -> None:
    for path in bucket.server.credentials.iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "AWS_SECRET_ACCESS_KEY").write_text("wrong-" + SECRET_KEY)

    report = bucket.deliver(credentials=tmp_path)

    assert report.reason is Reason.SOURCE_DENIED
    assert SECRET_KEY not in report.message


def test_no_credentials_are_denied_without_asking_the_clouds_metadata(bucket: Bucket, tmp_path: Path) -> None:
    """Anonymous requests at once, rather than a wait for an address that policies forbid."""
    for name in ("ca.crt", "AWS_ENDPOINT_URL"):
        (tmp_path / name).write_text((bucket.server.credentials / name).read_text())

    report = bucket.deliver(credentials=tmp_path)

    assert (report.reason, report.seconds.total < 10) == (Reason.SOURCE_DENIED, True)


def test_an_endpoint_without_tls_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "AWS_ENDPOINT_URL").write_text("http://127.0.0.1:9")

    assert bucket.deliver(credentials=tmp_path).reason is Reason.SOURCE_INVALID


def test_the_process_stays_within_its_headroom(bucket: Bucket, tmp_path: Path) -> None:
    """Interpreter, libraries and buffers together: what the memory limit is told to leave beside the parameters."""
    # Asked of the process itself: what wait4 reports begins with the size of the process that started it.
    script = (
        "import re, sys, pathlib; from verticalmodel.seal.__main__ import main; status = main(sys.argv[1:]);"
        "print(re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1]); sys.exit(status)"
    )
    options = {
        "--source": "s3://models/sealed",
        "--target": tmp_path / "artifact",
        "--key": bucket.world.key(),
        "--credentials": bucket.server.credentials,
        "--report": tmp_path / "report",
    }
    arguments = [str(word) for option in options.items() for word in option]
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT / "operator")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert MIB < int(done.stdout.splitlines()[-1]) * 1024 < HEADROOM_BYTES
