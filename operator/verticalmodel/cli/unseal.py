"""`vmodel unseal`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from verticalmodel.cli.progressing import progressing
from verticalmodel.cli.refusing import say_no
from verticalmodel.seal.delivery import Request, deliver
from verticalmodel.seal.report import encode


@click.command()
@click.argument("source")
@click.option("--key", required=True, type=click.Path(path_type=Path), help="Key file that it was sealed with.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder to make; must not exist.")
@click.option("--digest", help="sha256:HEX; any other artifact is refused.")
@click.option("--credentials", type=click.Path(path_type=Path), help="Folder with credentials for https:// and s3://.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, as the init container does.")
def command(  # noqa: PLR0913 (one parameter per option, passed by name)
    source: str,
    *,
    key: Path,
    out: Path,
    digest: str | None,
    credentials: Path | None,
    as_json: bool,
) -> None:
    """Verify the sealed artifact SOURCE and decrypt it into OUT.

    SOURCE is a folder, or an https:// or s3:// address. OUT appears only when every byte was verified; after any
    refusal there is nothing. This is what the init container `unseal` does in a model's pod, with the same reasons.
    """
    if out.exists():
        raise click.BadParameter(f"{out} exists; it would be replaced", param_hint="--out")
    request = Request(
        uri=source,
        target=out.absolute(),
        digest=digest,
        key_file=key,
        credentials=credentials,
        processors=len(os.sched_getaffinity(0)),
    )
    with progressing("unsealing", None) as advanced:
        report = deliver(request, advanced)
    if as_json:
        click.echo(encode(report).decode())
    if not report.succeeded:
        say_no(report.reason, report.message)
    if not as_json:
        rate = report.bytes_per_second / 1e6
        click.echo(f"{report.files} files, {report.bytes} bytes, {report.seconds.total:.2f} s, {rate:.0f} MB/s")
