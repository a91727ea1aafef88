"""`python -m sample_model model PATH` writes the ONNX file; `heldout PATH [--check]` the cases to test it with."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from sample_model.training import export, held_out, same_outcome, train


def main() -> int:
    arguments = _parser().parse_args()
    training = train()
    exported = export(training)
    if arguments.what == "model":
        arguments.path.parent.mkdir(parents=True, exist_ok=True)
        arguments.path.write_bytes(exported)
        return 0
    generated = held_out(training, exported)
    if not arguments.check:
        arguments.path.write_text(_text(generated), encoding="utf-8")
        return 0
    if same_outcome(json.loads(arguments.path.read_text(encoding="utf-8")), generated):
        return 0
    print(
        f"{arguments.path} is not what training gives; write it anew: python -m sample_model heldout", file=sys.stderr
    )
    return 1


def _text(generated: dict[str, Any]) -> str:
    """JSON with one case a line, so that a change shows as the cases that changed."""
    rows = ",\n".join(f"  {json.dumps(row)}" for row in generated["rows"])
    rest = {key: value for key, value in generated.items() if key != "rows"}
    head = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in rest.items())
    return f'{{\n{head},\n "rows": [\n{rows}\n ]\n}}\n'


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sample_model", description=__doc__)
    parser.add_argument("what", choices=("model", "heldout"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--check", action="store_true", help="compare instead of writing; exit 1 on a difference")
    return parser


if __name__ == "__main__":
    sys.exit(main())
