"""`vmodel seal`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from verticalmodel.cli.progressing import progressing
from verticalmodel.cli.refusing import refusing
from verticalmodel.seal.keyfile import read_key
from verticalmodel.seal.progress import Progress
from verticalmodel.seal.sealing import files_of, seal


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--key", required=True, type=click.Path(path_type=Path), help="Key file; `vmodel keygen` makes one.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="New or empty folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(source: Path, key: Path, out: Path, as_json: bool) -> None:  # noqa: FBT001 (click passes by name)
    """Encrypt SOURCE, a file or a folder, into a sealed artifact in OUT.

    Each file is sealed with AES-256-GCM in the streaming format of Tink; manifest.json names them and is itself
    authenticated. Copy OUT as it is to a claim, a bucket or a web server: it tells nobody anything but the names and
    sizes of the files.

    The digest that is printed pins this very artifact. Put it into the model's spec.source.digest, and an older or
    another artifact is refused.
    """
    with refusing():
        provider = read_key(key)
        files = files_of(source)
        total = sum(file.stat().st_size for file in files.values())
        with progressing("sealing", total) as advanced:
            sealed = seal(files, out, provider, Progress(advanced), processors=len(os.sched_getaffinity(0)))
    facts = {
        "digest": sealed.digest,
        "artifact": sealed.manifest.artifact,
        "keyId": provider.key_id,
        "files": len(files),
        "bytes": total,
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        click.echo(f"{name:<10}{value}")
