"""`hack/generate` writes the generated files; `hack/generate --check` fails on any difference and names the files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from generation.artifacts import GENERATED_FOLDERS, artifacts
from generation.tree import differences, write

ROOT = Path(__file__).resolve().parent.parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 up to date or written, 1 for a difference under --check."""
    parser = argparse.ArgumentParser(prog="hack/generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a file is not as generated")
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout to write to (default: this one)")
    options = parser.parse_args(arguments)
    wanted = artifacts()
    changes = differences(options.root, wanted, GENERATED_FOLDERS)
    if options.check:
        for change in changes:
            print(f"{change.path}: {change.kind}", file=sys.stderr)
        if changes:
            print("generated files differ from the code: run hack/generate and commit the result", file=sys.stderr)
        return 1 if changes else 0
    write(options.root, wanted, changes)
    for change in changes:
        print(f"{change.path}: {'removed' if change.kind == 'stale' else 'written'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
