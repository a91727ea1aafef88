"""An image's name is its content, what goes in is listed, and this machine's settings reach a build without staying."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from imagebuild import base, client_config
from imagebuild.building import build, current
from imagebuild.catalogue import IMAGES, Image
from imagebuild.context import content_tag, freeze
from imagebuild.store import KEPT_ARCHIVES, KEPT_SECONDS, Built, Store
from installation import ROOT

LOCKS = {
    name: ROOT / f"requirements/{name}.txt"
    for name in ("operator", "serving", "guard", "unseal", "sample-model", "fake-gpu")
}


class Recorder:
    """An engine that writes what it was given to build into the archive."""

    base = "localhost/base:1"

    def __init__(self) -> None:
        self.built: list[str] = []
        self.forgotten: list[str] = []

    def build(self, context: Path, dockerfile: str, built: Built) -> None:
        self.built.append(built.name)
        built.archive.write_bytes((context / dockerfile).read_bytes())

    def forget(self, built: Built) -> None:
        self.forgotten.append(built.tag)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for image in IMAGES.values():
        for name in (image.dockerfile, *image.inputs):
            path = root / name
            if Path(name).suffix:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"content of {name}")
            else:
                path.mkdir(parents=True, exist_ok=True)
                (path / "module.py").write_text("x = 1")
    return root


@pytest.mark.parametrize("image", IMAGES.values(), ids=list(IMAGES))
def test_a_dockerfile_copies_what_is_listed_and_nothing_else(image: Image) -> None:
    """What is not listed is not there to be copied; what is listed in vain would change the name for nothing."""
    text = (ROOT / image.dockerfile).read_text()
    copied = [line.split()[1] for line in text.splitlines() if line.startswith("COPY ") and "--from=" not in line]
    for source in copied:
        assert any(source == name or source.startswith(f"{name}/") for name in image.inputs), source
    assert {name for name in image.inputs if not any(source.startswith(name) for source in copied)} == set()


@pytest.mark.parametrize("image", IMAGES.values(), ids=list(IMAGES))
def test_an_image_runs_as_a_number_and_installs_by_hash_only(image: Image) -> None:
    """Pod Security restricted wants a user id; `runAsNonRoot` cannot judge a name."""
    text = (ROOT / image.dockerfile).read_text()
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["65532:65532"]
    assert text.count("pip --python") + text.count("-m pip install") == text.count(
        "--require-hashes --only-binary :all:"
    )
    assert text.startswith("#")
    assert "ARG BASE=docker.io/library/python:3.11-slim\nFROM ${BASE}" in text


@pytest.mark.parametrize("lock", LOCKS.values(), ids=list(LOCKS))
def test_a_lock_pins_by_hash_and_names_no_index(lock: Path) -> None:
    """Every requirement has a version and a hash; where it came from is the machine's business."""
    text = lock.read_text()
    requirements = re.findall(r"^([A-Za-z0-9_.-]+)==\S+(?: ;[^\\]*)? \\\n +--hash=sha256:", text, re.MULTILINE)
    assert len(requirements) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)) > 0
    assert re.findall(r"://|^--|find-links", text, re.MULTILINE) == []


def test_the_name_follows_every_byte_that_goes_in(checkout: Path, tmp_path: Path) -> None:
    """Content, path and base change it; times, modes and leftovers of a Python run do not."""

    def tag(base_name: str = "base") -> str:
        into = tmp_path / os.urandom(4).hex()
        freeze(IMAGES["operator"], checkout, into)
        return content_tag(into, base_name)

    module = checkout / "operator/verticalmodel/module.py"
    first = tag()
    (module.parent / "__pycache__").mkdir()
    (module.parent / "__pycache__/module.cpython-311.pyc").write_bytes(b"bytecode")
    os.utime(module, (1, 1))
    module.chmod(0o600)
    assert tag() == first
    assert tag("another base") != first
    module.write_text("x = 2")
    changed = tag()
    module.rename(module.with_name("other.py"))
    assert len({first, changed, tag()}) == 3


def test_an_unchanged_image_is_not_built_again(checkout: Path, tmp_path: Path) -> None:
    """A change of the operator's source rebuilds the operator's image alone."""
    store, engine = Store(tmp_path / "cache"), Recorder()
    said: list[str] = []
    first = build(checkout, store, engine, IMAGES, said.append)
    assert engine.built == list(IMAGES)
    assert build(checkout, store, engine, IMAGES, said.append) == first
    assert engine.built == list(IMAGES)
    (checkout / "operator/verticalmodel/module.py").write_text("x = 2")
    second = build(checkout, store, engine, IMAGES, said.append)
    assert engine.built == [*IMAGES, "operator"]
    assert second == current(checkout, store, engine)
    assert {name for name in IMAGES if second[name] != first[name]} == {"operator"}


def test_a_missing_input_is_named(checkout: Path, tmp_path: Path) -> None:
    """Rather than an image without it."""
    (checkout / "requirements/guard.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"image guard needs requirements/guard\.txt"):
        current(checkout, Store(tmp_path), Recorder(), ["guard"])


def test_a_build_that_fails_leaves_no_archive(tmp_path: Path) -> None:
    """An archive is there whole or not at all."""
    store = Store(tmp_path)
    built = store.built("guard", "0" * 12)
    with store.locked(), pytest.raises(FileNotFoundError), store.replacing(built.archive) as partial:
        partial.with_suffix(".half").write_bytes(b"half")  # and then the program that writes it ends
    assert list((tmp_path / "archives").iterdir()) == []


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """Its folder of unfinished things belongs to whoever holds the lock."""
    store = Store(tmp_path)
    (store.scratch / "half").mkdir(parents=True)
    with store.locked() as waited:
        assert (waited, list(store.scratch.iterdir())) == (False, [])


def test_old_contents_go_unless_someone_used_them_lately(tmp_path: Path) -> None:
    """The last few stay, and so does any archive that another run may still be loading."""
    store = Store(tmp_path)
    (tmp_path / "archives").mkdir()
    contents = [store.built("operator", f"{number:012x}") for number in range(KEPT_ARCHIVES + 3)]
    for age, built in enumerate(contents):
        built.archive.write_bytes(b"")
        os.utime(built.archive, (0, built.archive.stat().st_mtime - KEPT_SECONDS - age))
    store.built("operator-extra", "f" * 12).archive.write_bytes(b"")
    assert store.use(contents[-1])
    assert store.outdated("operator") == contents[KEPT_ARCHIVES - 1 : -1]
    assert not store.use(store.built("operator", "e" * 12))


PIP_LISTING = """\
:env:.default-timeout='180'
:env:.disable-pip-version-check='1'
:env:.find-links='/opt/wheels'
global.cert='/etc/ssl/some.pem'
global.index-url='https://mirror.example/simple'
install.index-url='https://nearer.example/simple'
install.trusted-host='mirror.example\\nnearer.example'
global.target='/somewhere'
"""


def test_a_build_gets_pips_network_settings_and_no_others() -> None:
    """A command's section wins over the global one; paths of this machine mean nothing inside a build."""
    settings = client_config.parse_pip_settings(PIP_LISTING)
    assert client_config.pip_conf(settings, with_ca_bundle=True).splitlines() == [
        "[global]",
        "index-url = https://nearer.example/simple",
        "timeout = 180",
        "trusted-host = mirror.example nearer.example",
        "cert = /run/secrets/ca-bundle",
    ]
    assert client_config.pip_conf({}, with_ca_bundle=False) == "[global]\n"


def test_the_certificate_bundle_is_the_one_that_clients_are_told_to_use(tmp_path: Path) -> None:
    """The first variable that names a file; none of them, none."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("")
    assert client_config.ca_bundle({"PIP_CERT": "/nowhere", "SSL_CERT_FILE": str(bundle)}) == bundle
    assert client_config.ca_bundle({}) is None


def test_apts_proxy_reaches_the_base_and_its_other_settings_do_not() -> None:
    """As `apt-config dump` prints them."""
    dump = 'APT::Architecture "amd64";\nAcquire::http::Proxy "http://proxy.example:3128";\nAcquire::https "";\n'
    assert client_config.parse_apt_options(dump) == ['Acquire::http::Proxy "http://proxy.example:3128";']


def test_the_base_comes_from_where_this_machines_apt_gets_debian() -> None:
    """Other repositories and other releases are left out; a machine of another release has none to offer."""
    listing = """\
http://mirror.example/debian/ bookworm main Debian
http://mirror.example/debian/ bookworm-updates main Debian
http://mirror.example/debian/ bookworm contrib Debian
http://security.example/ bookworm-security main Debian
https://other.example/ bookworm main Other
"""
    assert client_config.parse_apt_sources(listing, "bookworm") == [
        "deb http://mirror.example/debian/ bookworm main",
        "deb http://mirror.example/debian/ bookworm-updates main",
        "deb http://security.example/ bookworm-security main",
    ]
    assert client_config.parse_apt_sources(listing, "trixie") == []


def test_the_bases_name_follows_its_recipe_not_the_machine() -> None:
    """Mirrors and proxies are how it is fetched, not what it is."""
    call = base.command(Path("base.tar"), ["deb http://mirror.example bookworm main"], ['Acquire::Retries "3";'])
    assert call[-3:] == ["bookworm", "base.tar", "deb http://mirror.example bookworm main"]
    assert '--aptopt=Acquire::Retries "3";' in call
    assert "mirror.example" not in base.recipe()
