"""Claims about image archives made without a builder."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from testcluster.archive import Image, identity, write_archive
from testcluster.errors import UsageError
from testcluster.images import canonical


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF")
    return path


def image(program: Path, **changes: Any) -> Image:
    good: dict[str, Any] = {
        "reference": "docker.io/demo/app:1",
        "files": {"/bin/app": program},
        "entrypoint": ["/bin/app"],
    }
    return Image(**(good | changes))


def tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def test_the_same_contents_make_the_same_bytes(program: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.tar", tmp_path / "other.tar"
    write_archive(image(program), one)
    program.touch()
    write_archive(image(program), other)
    assert one.read_bytes() == other.read_bytes()


def test_an_archive_says_truly_what_its_layers_and_configuration_are(program: Path, tmp_path: Path) -> None:
    target = tmp_path / "app.tar"
    write_archive(image(program, links={"/bin/sh": "app"}), target)
    with tarfile.open(target) as archive:
        contents = {member.name: archive.extractfile(member).read() for member in archive.getmembers()}  # type: ignore[union-attr]
    (entry,) = json.loads(contents["manifest.json"])
    configuration = json.loads(contents[entry["Config"]])
    (layer,) = entry["Layers"]
    assert entry["RepoTags"] == ["docker.io/demo/app:1"]
    assert entry["Config"] == f"{hashlib.sha256(contents[entry['Config']]).hexdigest()}.json"
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(contents[layer]).hexdigest()}"]
    assert configuration["config"] == {"User": "65532:65532", "Entrypoint": ["/bin/app"], "Env": ["PATH=/bin"]}
    with tarfile.open(fileobj=io.BytesIO(contents[layer])) as files:
        listed = {member.name: (oct(member.mode), member.type, member.linkname) for member in files.getmembers()}
    assert listed == {
        "bin": ("0o755", tarfile.DIRTYPE, ""),
        "bin/app": ("0o755", tarfile.REGTYPE, ""),
        "bin/sh": ("0o644", tarfile.SYMTYPE, "app"),
        "etc": ("0o755", tarfile.DIRTYPE, ""),
        "tmp": ("0o1777", tarfile.DIRTYPE, ""),
    }


def test_an_interrupted_write_leaves_no_half_archive(program: Path, tmp_path: Path) -> None:
    missing = image(program, files={"/bin/app": program, "/bin/other": tmp_path / "missing"})
    with pytest.raises(FileNotFoundError):
        write_archive(missing, tmp_path / "app.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["program"]


def test_another_program_is_another_identity(program: Path, tmp_path: Path) -> None:
    write_archive(image(program), tmp_path / "one.tar")
    program.write_bytes(b"changed")
    write_archive(image(program), tmp_path / "other.tar")
    one, other = identity(tmp_path / "one.tar"), identity(tmp_path / "other.tar")
    assert one[1] == other[1] == ("docker.io/demo/app:1",)
    assert one[0] != other[0]


def test_an_oci_archive_is_known_by_its_index(tmp_path: Path) -> None:
    index = {"manifests": [{"annotations": {"io.containerd.image.name": "docker.io/demo/app:1"}}, {}]}
    content = json.dumps(index).encode()
    archive = tar(tmp_path / "oci.tar", {"oci-layout": b"{}", "index.json": content})
    assert identity(archive) == (hashlib.sha256(content).hexdigest(), ("docker.io/demo/app:1",))


@pytest.mark.parametrize("kind", ["missing", "text", "other"])
def test_what_is_no_image_archive_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"{kind}.tar"
    if kind == "text":
        path.write_text("no tar")
    elif kind == "other":
        tar(path, {"readme": b""})
    with pytest.raises(UsageError, match=rf"{kind}\.tar is (not a readable tar|neither a docker-archive nor)"):
        identity(path)


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("demo/app", "docker.io/demo/app:latest"),
        ("demo/app:1", "docker.io/demo/app:1"),
        ("localhost/demo/app:1", "localhost/demo/app:1"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("registry.example/demo/app:1", "registry.example/demo/app:1"),
        ("demo/app@sha256:00", "docker.io/demo/app@sha256:00"),
    ],
)
def test_a_short_reference_stands_for_a_full_one(reference: str, full: str) -> None:
    assert canonical(reference) == full
    assert canonical(full) == full
