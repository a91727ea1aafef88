"""The images as built: nothing of this machine in them, nothing that runs as root, nothing that could gain rights."""

from __future__ import annotations

import json
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.local_pod import Pod, built, image, pod
from imagebuild import client_config
from imagebuild.catalogue import IMAGES
from installation import ROOT
from unit.seal_artifacts import KEY, MIB, World, content
from verticalmodel.seal.reasons import Reason
from verticalmodel.seal.report import parse

pytestmark = pytest.mark.e2e

EVERY_IMAGE = pytest.mark.parametrize("name", IMAGES)


@pytest.fixture
def own_pod() -> Iterator[Pod]:
    with pod() as started:
        yield started


def files(name: str) -> Iterator[Path]:
    """The regular files of an image."""
    for path in image(name).rootfs.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


@EVERY_IMAGE
def test_an_image_holds_no_trace_of_this_machines_package_index(name: str) -> None:
    """Neither an index address, nor a proxy, nor an authority of this network, nor a client's configuration."""
    root = image(name).rootfs
    folders = ("run/secrets", "root/.config", "root/.cache", "etc/apt/sources.list.d")
    assert [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()] == []
    leftovers = ("etc/pip.conf", "root/.netrc", "etc/apt/sources.list", "etc/apt/apt.conf.d/99mmdebstrap")
    assert [path for path in leftovers if (root / path).exists()] == []
    private = private_texts(image("operator").rootfs)
    assert [path for path in files(name) if _holds_any(path, private)] == []


def _holds_any(path: Path, texts: set[bytes]) -> bool:
    content = path.read_bytes()
    return any(text in content for text in texts)


def test_the_search_for_traces_finds_them_where_they_are() -> None:
    """The positive control: what is private to this machine is found in this machine's own bundle, if there is any."""
    bundle = client_config.ca_bundle()
    private = {text for text in private_texts(image("operator").rootfs) if text in _authorities(bundle)}
    assert {text for text in private if bundle and text in bundle.read_bytes()} == private


def private_texts(root: Path) -> set[bytes]:
    """What may not be in an image: index addresses, proxies, and authorities that the distribution in `root` lacks."""
    settings = client_config.pip_settings()
    texts = [value for key in ("index-url", "extra-index-url", "proxy") for value in settings.get(key, "").split()]
    texts += [line.split('"')[1] for line in client_config.apt_options() if "Proxy" in line]
    shipped = {text for path in (root / "usr/share/ca-certificates").rglob("*.crt") for text in _authorities(path)}
    return {text.encode() for text in texts} | (_authorities(client_config.ca_bundle()) - shipped)


def _authorities(bundle: Path | None) -> set[bytes]:
    """The certificates in a file, each by its sixth line, which is well inside its key."""
    blocks = bundle.read_bytes().split(b"-----BEGIN CERTIFICATE-----\n")[1:] if bundle else []
    return {block.splitlines()[5] for block in blocks}


@EVERY_IMAGE
def test_an_image_runs_as_a_number_and_offers_no_way_up(name: str) -> None:
    """A user id that is not root's, and no file that runs as its owner or group."""
    folder = image(name).rootfs
    config = json.loads((folder.parent / "config.json").read_text())["config"]
    assert config["User"] == "65532:65532"
    assert [path for path in files(name) if path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)] == []


@EVERY_IMAGE
def test_an_image_needs_no_bytecode_written(name: str) -> None:
    """Every module of ours and of the locks is compiled, and its bytecode is valid whatever the file's time says."""
    root = image(name).rootfs
    sources = [path for folder in ("opt/operator", "opt/venv/lib") for path in (root / folder).rglob("*.py")]
    missing = []
    for source in sources:
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-311.pyc"
        # Flags 1: validated by hash, not to be checked (PEP 552); the file's time is the layer's, not the compiler's.
        if not compiled.exists() or compiled.read_bytes()[4:8] != b"\1\0\0\0":
            missing.append(source)
    assert [path for path in missing if not _is_template(path)] == []


def _is_template(path: Path) -> bool:
    """Whether a file only looks like a module: templates and tests of other interpreters do not compile."""
    call = ["python3", "-c", "import ast, sys; ast.parse(open(sys.argv[1], 'rb').read())", str(path)]
    return subprocess.run(call, capture_output=True, check=False).returncode != 0


def test_the_guards_image_holds_envoy_and_the_c_library_alone() -> None:
    """No shell and no interpreter: whoever breaks Envoy finds nothing to run."""
    names = {str(path.relative_to(image("guard").rootfs)) for path in files("guard")}
    assert {name for name in names if not name.startswith(("lib/", "lib64/"))} == {
        "usr/local/bin/envoy",
        "usr/share/doc/envoy/LICENSE",
    }


def test_the_operators_source_is_a_thin_layer_on_its_dependencies() -> None:
    """So that a change of a line is a megabyte to build, load and pull."""
    with tarfile.open(built("operator").archive) as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json"))
        sizes = [archive.getmember(layer).size for layer in manifest["Layers"]]
    thin = sizes[-2:]
    assert max(thin) < 8_000_000 < max(sizes)


def test_what_is_built_twice_is_the_same_name_and_no_work() -> None:
    """By the command that users call."""
    call = [ROOT / "hack/images", "build", "guard", "-o", "json"]
    first, second = (subprocess.run(call, capture_output=True, text=True, check=True) for _ in range(2))
    assert first.stdout == second.stdout
    assert "guard: unchanged" in second.stderr
    row = json.loads(second.stdout)["guard"]
    printed = subprocess.run([ROOT / "hack/images", "path", "guard"], capture_output=True, text=True, check=True)
    assert (row["built"], row["archive"]) == (True, printed.stdout.strip())


def test_the_sample_model_is_delivered_once(own_pod: Pod, tmp_path: Path) -> None:
    """Unprivileged, with a read-only root: the first run writes the file, the second finds it there."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    reports = []
    for log in (tmp_path / "first.log", tmp_path / "second.log"):
        with own_pod.run(
            image("sample-model"),
            log=log,
            environment={"TARGET": "/mnt/target/breast-screening/model.onnx"},
            mounts=[(volume, "/mnt/target", "rw")],
        ) as container:
            assert container.process.wait(30) == 0
        reports.append(json.loads(log.read_text()))
    assert [report.pop("written") for report in reports] == [True, False]
    assert reports[0] == reports[1]
    shipped = image("sample-model").rootfs / "models/breast-screening/model.onnx"
    assert [path.name for path in (volume / "breast-screening").iterdir()] == ["model.onnx"]
    assert (volume / "breast-screening/model.onnx").read_bytes() == shipped.read_bytes()


def test_sealed_parameters_are_unsealed_by_a_user_without_rights(own_pod: Pod, tmp_path: Path) -> None:
    """With a read-only root, the key and the claim mounted read-only, and a volume that is all it may write to."""
    world = World(tmp_path)
    world.seal({"model.onnx": content(3 * MIB), "vocab/words.txt": b"words"})
    tmp_path.chmod(0o755)
    volume, keys, log = tmp_path / "volume", tmp_path / "keys", tmp_path / "unseal.log"
    for folder in (volume, keys):
        folder.mkdir()
        folder.chmod(0o777)
    (keys / "key").write_bytes(KEY)
    arguments = {
        "--source": "pvc://claim/sealed",
        "--mount": "/mnt/source",
        "--target": "/mnt/target/artifact",
        "--key": "/run/unseal/key/key",
        "--digest": world.digest,
        "--memory-limit": str(2**28),
        "--report": "/mnt/target/report",
    }
    mounts = [(tmp_path, "/mnt/source", "ro"), (keys, "/run/unseal/key", "ro"), (volume, "/mnt/target", "rw")]
    words = [word for option in arguments.items() for word in option]
    with own_pod.run(image("unseal"), *words, log=log, mounts=mounts) as container:
        assert container.process.wait(30) == 0, log.read_text()
    report = parse((volume / "report").read_text())
    assert report is not None
    assert (report.reason, report.digest) == (Reason.UNSEALED, world.digest)
    assert world.delivered() == {"model.onnx": content(3 * MIB), "vocab/words.txt": b"words"}
