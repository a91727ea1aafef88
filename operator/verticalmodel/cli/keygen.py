"""`vmodel keygen`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from verticalmodel.cli.refusing import refusing
from verticalmodel.seal.wrapping import KEY_BYTES, LocalKey


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def command(file: Path) -> None:
    """Make a key-encryption key: 32 random bytes in FILE, readable by you alone.

    Keep it where your secrets are kept: without it, what it seals is lost. An existing FILE is never overwritten.
    Give the cluster its copy as a Secret in the model's namespace:

    \b
      kubectl create secret generic model-key --from-file=key=FILE
    """  # noqa: D301 (as in __main__)
    key = os.urandom(KEY_BYTES)
    if file.exists():
        raise click.ClickException(f"{file} is there already, and a key is never overwritten: name another file")
    with refusing():
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(key)
    click.echo(f"key id {LocalKey(key).key_id}")
