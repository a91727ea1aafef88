"""An artifact comes over HTTPS from a server with a CA of its own, through what networks do to it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from unit.probe_servers import authority
from unit.seal_artifacts import MIB, World, content
from unit.seal_servers import Behaviour, serving
from verticalmodel.seal.credentials import Credentials
from verticalmodel.seal.locating import Access, place
from verticalmodel.seal.reasons import Reason, Refusal
from verticalmodel.seal.report import Report
from verticalmodel.seal.sizing import HEADROOM_BYTES, Limits
from verticalmodel.seal.source import Patience

FILES = {"model.onnx": content(7 * MIB, "m"), "deep/er/vocab 1.txt": b"vocabulary"}
QUICK = Patience(timedelta(seconds=2), timedelta(seconds=0.3), timedelta(seconds=5), 2, timedelta(seconds=5))


class Site:
    """A world behind an HTTPS server."""

    def __init__(self, world: World, url: str, behaviour: Behaviour) -> None:
        self.world, self.url, self.behaviour = world, url, behaviour
        self.secret = world.root / "secret"
        self.secret.mkdir()
        self.credential("ca.crt", authority().pem)

    def credential(self, name: str, value: str) -> None:
        (self.secret / name).write_text(value)

    def deliver(self, path: str = "sealed", **more: object) -> Report:
        return self.world.deliver(
            **{"uri": f"{self.url}/{path}", "mount": None, "credentials": self.secret, "patience": QUICK} | more
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    world, behaviour = World(tmp_path), Behaviour()
    world.seal(FILES)
    with serving(tmp_path, behaviour) as url:
        yield Site(world, url, behaviour)


def test_a_sealed_artifact_is_fetched_in_ranges(site: Site) -> None:
    report = site.deliver(digest=site.world.digest)

    assert (report.reason, report.message) == (Reason.UNSEALED, "")
    assert site.world.delivered() == FILES
    assert f"bytes=0-{2 * MIB - 1}" in site.behaviour.ranges()
    assert f"bytes={2 * MIB}-{4 * MIB - 1}" in site.behaviour.ranges()


def test_the_manifest_itself_may_be_named(site: Site) -> None:
    assert site.deliver("sealed/manifest.json").succeeded


def test_a_plain_file_is_fetched_and_compared_with_its_digest(site: Site) -> None:
    report = site.deliver("plain/model.onnx", key_file=None)

    assert (report.reason, report.sealed) == (Reason.DELIVERED, False)
    assert site.world.delivered() == {"model.onnx": FILES["model.onnx"]}
    assert site.deliver("plain/model.onnx", key_file=None, digest=report.digest).succeeded
    assert site.deliver("plain/model.onnx", key_file=None, digest=site.world.digest).reason is Reason.DIGEST_MISMATCH


@pytest.mark.parametrize("etags", [True, False])
def test_cut_connections_cost_only_what_was_cut(site: Site, etags: bool) -> None:  # noqa: FBT001
    """With ETags the body goes on where it broke off; without them its range is asked for again."""
    site.behaviour.cuts, site.behaviour.etags = 3, etags

    report = site.deliver()

    assert (report.reason, report.message) == (Reason.UNSEALED, "")
    assert site.world.delivered() == FILES
    assert site.behaviour.cuts == 0


def test_errors_of_the_server_are_waited_out(site: Site) -> None:
    site.behaviour.errors = 3

    assert site.deliver().reason is Reason.UNSEALED
    assert site.behaviour.errors == 0


def test_a_stalled_answer_is_asked_for_again(site: Site) -> None:
    site.behaviour.stalls, site.behaviour.stall_seconds = 1, 1.0

    assert site.deliver().reason is Reason.UNSEALED
    assert site.behaviour.stalls == 0


def test_a_server_that_only_fails_is_given_up(site: Site) -> None:
    site.behaviour.errors = 10**6

    report = site.deliver(patience=Patience(retries=1, total=timedelta(seconds=1)))

    assert report.reason is Reason.SOURCE_UNREACHABLE
    assert "500" in report.message
    assert site.world.nothing_is_left()


def test_a_source_that_never_answered_is_given_up_sooner_than_one_that_did(site: Site) -> None:
    impatient = Patience(retries=0, total=timedelta(minutes=5), first=timedelta(seconds=0.5))

    nobody = site.deliver(uri="https://127.0.0.1:1/sealed", patience=impatient)
    site.behaviour.errors = 5
    failing_later = site.deliver(patience=impatient)

    assert (nobody.reason, nobody.seconds.total < 10) == (Reason.SOURCE_UNREACHABLE, True)
    assert failing_later.reason is Reason.UNSEALED


def test_nobody_listening_is_unreachable(site: Site) -> None:
    patience = Patience(retries=0, total=timedelta(seconds=1))

    assert site.deliver(uri="https://127.0.0.1:1/sealed", patience=patience).reason is Reason.SOURCE_UNREACHABLE


def test_a_server_of_an_unknown_authority_is_not_believed(site: Site) -> None:
    (site.secret / "ca.crt").unlink()
    report = site.deliver(patience=Patience(retries=0, total=timedelta(seconds=1)))

    assert report.reason is Reason.SOURCE_UNREACHABLE
    assert site.behaviour.requests == []


def test_tampering_on_the_server_is_refused_as_on_a_disk(site: Site) -> None:
    blob = site.world.blob("model.onnx")
    data = bytearray(blob.read_bytes())
    data[3 * MIB] ^= 1
    blob.write_bytes(data)

    assert site.deliver().reason is Reason.CORRUPTED
    assert site.world.nothing_is_left()


def test_a_file_shorter_on_the_server_is_truncated(site: Site) -> None:
    os.truncate(site.world.blob("model.onnx"), 3 * MIB)

    assert site.deliver().reason is Reason.TRUNCATED


def test_a_file_that_shrinks_after_it_was_measured_is_truncated(site: Site) -> None:
    plain = site.world.plain / "model.onnx"
    site.behaviour.overstated = 10

    report = site.deliver("plain/model.onnx", key_file=None)

    assert report.reason is Reason.TRUNCATED
    assert str(plain.stat().st_size) in report.message
    assert site.world.nothing_is_left()


def test_secrets_are_taken_out_of_whatever_a_library_says(tmp_path: Path) -> None:
    for name, value in {"AWS_SECRET_ACCESS_KEY": "abc/def+", "token": "t0k3n", "AWS_REGION": "eu-north-1"}.items():
        (tmp_path / name).write_text(value)

    said = Credentials.read(tmp_path).scrubbed("eu-north-1: signed with abc/def+, bearer t0k3n")

    assert said == "eu-north-1: signed with [redacted], bearer [redacted]"


def test_too_large_is_known_from_the_manifest_alone(site: Site) -> None:
    report = site.deliver(limits=Limits(memory=HEADROOM_BYTES + MIB))

    assert report.reason is Reason.TOO_LARGE
    assert {path for _, path, _ in site.behaviour.requests} == {"/sealed/manifest.json"}


@pytest.mark.parametrize(
    ("names", "header"),
    [
        ({"token": "t0k3n"}, "Bearer t0k3n"),
        ({"username": "reader", "password": "s3cr3t"}, "Basic " + base64.b64encode(b"reader:s3cr3t").decode()),
    ],
)
def test_credentials_of_the_secret_are_sent(site: Site, names: dict[str, str], header: str) -> None:
    site.behaviour.authorization = header
    assert site.deliver().reason is Reason.SOURCE_DENIED
    for name, value in names.items():
        site.credential(name, value + "\n")

    assert site.deliver().succeeded


def test_no_secret_is_in_a_refusal(site: Site) -> None:
    site.behaviour.authorization = "Bearer other"
    site.credential("token", "t0k3n-of-the-test")
    site.credential("HTTPS_PROXY", "http://user:pr0xyword@127.0.0.1:1")

    report = site.deliver(patience=Patience(retries=0, total=timedelta(seconds=1)))

    assert report.reason is Reason.SOURCE_UNREACHABLE, "the proxy is not there: it was asked, the server was not"
    assert not site.behaviour.requests
    assert "t0k3n" not in report.model_dump_json()
    assert "pr0xyword" not in report.model_dump_json()
    assert "t0k3n" not in repr(Credentials.read(site.secret))


def test_a_missing_object_is_not_found(site: Site) -> None:
    assert site.deliver("nowhere", key_file=None).reason is Reason.SOURCE_NOT_FOUND
    assert site.deliver("nowhere").reason is Reason.SOURCE_NOT_FOUND
    assert site.deliver("plain/model.onnx").reason is Reason.NOT_SEALED


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:hunter2@host/model",
        "https://host/model?X-Amz-Signature=hunter2",
        "https://host/",
        "https:///model",
        "https://host/a/../b",
        "https://host/a/%2e%2e/b",
        "http://host/model",
        "ftp://host/model",
        "pvc://claim/../other",
    ],
)
def test_a_uri_that_cannot_be_used_is_refused_without_its_secrets(uri: str) -> None:
    with pytest.raises(Refusal) as refused:
        place(uri, Access(mount=Path("/mnt")))

    assert refused.value.reason is Reason.SOURCE_INVALID
    assert "hunter2" not in refused.value.message
