"""`vmodel inspect`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from verticalmodel.cli.refusing import refusing
from verticalmodel.seal.credentials import Credentials
from verticalmodel.seal.hashing import check_blobs, hash_objects
from verticalmodel.seal.keyfile import read_key
from verticalmodel.seal.listing import folder_digest
from verticalmodel.seal.locating import Access, Plain, SealedAt, identify, place
from verticalmodel.seal.manifest import Manifest, digest
from verticalmodel.seal.source import Source


@click.command()
@click.argument("source")
@click.option("--key", type=click.Path(path_type=Path), help="Key file: also check that the manifest is genuine.")
@click.option("--verify", is_flag=True, help="Read every sealed file and compare its digest; needs no key.")
@click.option("--credentials", type=click.Path(path_type=Path), help="Folder with credentials for https:// and s3://.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(source: str, *, key: Path | None, verify: bool, credentials: Path | None, as_json: bool) -> None:
    """Show what SOURCE is: sealed or plain, its digest for spec.source.digest, its files.

    SOURCE is a file or a folder, or an https:// or s3:// address. Nothing is decrypted or written. Without --key the
    manifest is shown as it stands, genuine or not.
    """
    with refusing():
        access = Access(credentials=Credentials.read(credentials), processors=len(os.sched_getaffinity(0)))
        where = place(source, access)
        found = identify(where, sealed_expected=key is not None)
        facts = (
            _sealed(found, where.source, key, verify=verify)
            if isinstance(found, SealedAt)
            else _plain(found, where.source)
        )
    if as_json:
        click.echo(json.dumps(facts))
        return
    files = facts.pop("files")
    for name, value in facts.items():
        click.echo(f"{name:<11}{str(value).lower() if isinstance(value, bool) else value}")
    for file in files:
        click.echo(f"  {file['size']:>15,}  {file['path']}")


def _sealed(found: SealedAt, source: Source, key: Path | None, *, verify: bool) -> dict[str, Any]:
    manifest = Manifest.parse(found.wire)
    if key is not None:
        manifest.unlock(read_key(key))
    if verify:
        check_blobs(manifest, source, found.base)
    return {
        "sealed": True,
        "digest": digest(found.wire),
        "artifact": manifest.artifact,
        "keyId": manifest.key.id,
        "genuine": "yes" if key else "not checked (no --key)",
        "verified": "yes" if verify else "not checked (no --verify)",
        "bytes": manifest.size,
        "files": [{"path": file.path, "size": file.size} for file in manifest.files],
    }


def _plain(found: Plain, source: Source) -> dict[str, Any]:
    hashes = hash_objects(source, found.files)
    sizes = {path: source.size(name) for path, name in found.files.items()}
    return {
        "sealed": False,
        "digest": folder_digest(hashes) if found.folder else f"sha256:{next(iter(hashes.values()))}",
        "bytes": sum(sizes.values()),
        "files": [{"path": path, "size": size} for path, size in sizes.items()],
    }
