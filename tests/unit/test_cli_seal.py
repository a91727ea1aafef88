"""`vmodel keygen, seal, inspect, unseal`: what a person types, with exit statuses that a script can trust."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from unit.seal_artifacts import MIB, World, content
from verticalmodel.cli.__main__ import COMMANDS, cli
from verticalmodel.seal.reasons import Reason

FILES = {"model.onnx": content(2 * MIB, "m"), "vocab/words.txt": b"one two"}


def vmodel(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_from_a_new_key_to_the_same_files_again(world: World) -> None:
    world.write(FILES)
    key, sealed, out = world.root / "new.key", world.root / "sealed", world.root / "out"

    assert vmodel("keygen", key).exit_code == 0
    made = json.loads(vmodel("seal", world.plain, "--key", key, "-o", sealed, "--json").stdout)
    seen = json.loads(vmodel("inspect", sealed, "--key", key, "--verify", "--json").stdout)
    opened = vmodel("unseal", sealed, "--key", key, "-o", out, "--digest", made["digest"])

    assert opened.exit_code == 0, opened.output
    assert {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()} == FILES
    assert {name: seen[name] for name in ("digest", "artifact", "keyId", "bytes")} == {
        name: made[name] for name in ("digest", "artifact", "keyId", "bytes")
    }
    assert (seen["sealed"], seen["genuine"], seen["verified"]) == (True, "yes", "yes")


def test_a_new_key_is_for_its_owner_alone_and_never_replaces_one(world: World) -> None:
    key = world.root / "new.key"
    assert vmodel("keygen", key).exit_code == 0
    before = key.read_bytes()

    again = vmodel("keygen", key)

    assert (again.exit_code, key.read_bytes(), key.stat().st_mode & 0o777) == (1, before, 0o600)
    assert "is there already, and a key is never overwritten: name another file" in again.stderr
    assert len(before) == 32


def test_a_refusal_has_its_reason_on_standard_error_and_status_1(world: World) -> None:
    world.seal(FILES)
    blob = world.blob("model.onnx")
    blob.write_bytes(blob.read_bytes()[:-1] + b"\0")

    refused = vmodel("unseal", world.sealed, "--key", world.key(), "-o", world.root / "out")
    checked = vmodel("inspect", world.sealed, "--verify")

    assert (refused.exit_code, checked.exit_code) == (1, 1)
    assert refused.stderr.startswith(f"{Reason.CORRUPTED}: ")
    assert checked.stderr.startswith(f"{Reason.CORRUPTED}: ")
    assert not (world.root / "out").exists()


def test_json_is_all_there_is_on_standard_output(world: World) -> None:
    world.seal(FILES)

    opened = vmodel("unseal", world.sealed, "--key", world.key(), "-o", world.root / "out", "--json")

    assert json.loads(opened.stdout)["reason"] == Reason.UNSEALED


def test_an_existing_folder_is_not_replaced(world: World) -> None:
    world.seal(FILES)

    assert vmodel("unseal", world.sealed, "--key", world.key(), "-o", world.plain).exit_code == 2
    assert vmodel("seal", world.plain, "--key", world.key(), "-o", world.sealed).exit_code == 1
    assert (world.plain / "model.onnx").read_bytes() == FILES["model.onnx"]


def test_a_plain_folder_is_inspected_with_the_digest_that_coreutils_compute(world: World) -> None:
    world.write(FILES)
    listing = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    expected = subprocess.run(["sh", "-c", listing], cwd=world.plain, capture_output=True, text=True, check=True)

    seen = json.loads(vmodel("inspect", world.plain, "--json").stdout)

    assert seen["digest"] == f"sha256:{expected.stdout.split()[0]}"
    assert seen["digest"] == world.deliver(uri="pvc://claim/plain", key_file=None).digest


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_command_explains_itself(name: str) -> None:
    result = vmodel(*filter(None, [name]), "--help")

    assert result.exit_code == 0
    assert len(result.stdout) > 300
    assert "\b" not in result.stdout
    assert all(command in vmodel("--help").stdout for command in COMMANDS)


def test_an_unknown_command_is_wrong_usage() -> None:
    assert vmodel("unsael").exit_code == 2


def test_help_loads_neither_ciphers_nor_clients() -> None:
    """The list of commands grows; what `vmodel --help` imports does not."""
    script = (
        "import sys; from verticalmodel.cli.__main__ import cli; cli(['--help'], standalone_mode=False);"
        "print(sorted({'cryptography', 'obstore', 'pydantic', 'kubernetes', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"
