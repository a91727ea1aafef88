"""Container images of this checkout: `build [NAME...]`, `list`, `path NAME`, `packages`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from imagebuild.building import build, current
from imagebuild.catalogue import IMAGES, PACKAGES
from imagebuild.engines import Engine, MissingProgramError, pick
from imagebuild.store import Built, Store

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.command == "packages":
        print("\n".join(PACKAGES))
        return 0
    store = Store.default()
    try:
        engine = pick(store)
        if arguments.command == "build":
            return _build(arguments, store, engine)
        if arguments.command == "list":
            return _list(arguments, store, engine)
        return _path(arguments, store, engine)
    except MissingProgramError as error:
        print(error, file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(error.output or "", file=sys.stderr)
        print(f"exit status {error.returncode} from: {' '.join(error.cmd)}", file=sys.stderr)
        return 1


def _build(arguments: argparse.Namespace, store: Store, engine: Engine) -> int:
    started = time.monotonic()

    def report(line: str) -> None:
        print(f"[{time.monotonic() - started:6.1f}s] {line}", file=sys.stderr, flush=True)

    _show(build(ROOT, store, engine, arguments.names or IMAGES, report), arguments.output)
    return 0


def _list(arguments: argparse.Namespace, store: Store, engine: Engine) -> int:
    _show(current(ROOT, store, engine), arguments.output)
    return 0


def _show(images: Mapping[str, Built], output: str) -> None:
    sizes = {name: built.archive.stat().st_size if built.archive.exists() else None for name, built in images.items()}
    if output == "json":
        rows = {
            name: {
                "reference": built.reference,
                "archive": str(built.archive),
                "built": sizes[name] is not None,
                "bytes": sizes[name],
            }
            for name, built in images.items()
        }
        print(json.dumps(rows, indent=2))
        return
    for name, built in images.items():
        size = sizes[name]
        print(f"{built.reference}  {'not built' if size is None else f'{size / 1e6:.0f} MB'}  {built.archive}")


def _path(arguments: argparse.Namespace, store: Store, engine: Engine) -> int:
    built = current(ROOT, store, engine, [arguments.name])[arguments.name]
    if not built.archive.exists():
        print(f"{built.reference} is not built: hack/images build {built.name}", file=sys.stderr)
        return 1
    print(built.archive)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hack/images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build what is missing (all images, or those named)")
    building.add_argument("names", nargs="*", choices=[*IMAGES, []], metavar="NAME", help=", ".join(IMAGES))
    listing = commands.add_parser("list", help="references and archives at the present content")
    for command in (building, listing):
        command.add_argument("-o", "--output", choices=("table", "json"), default="table")
    path = commands.add_parser("path", help="an image's archive")
    path.add_argument("name", choices=list(IMAGES), metavar="NAME")
    commands.add_parser("packages", help="Debian packages that a build without Docker needs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
