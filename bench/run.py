"""Runs benchmarks: one JSON line per figure on stdout, a table on stderr (`make bench`, `make bench ONLY=P1`).

A figure is {id, value, unit, target, met, runs, load}: `target` as people say it, `met` its outcome or null where there
is none, `runs` every value behind the median, `load` the 1-minute load average per core when it was taken. Benchmarks
compare ratios in one run and never gate a test.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROGRAMS = {"fleet.py": ("P1", "P2", "P3", "P5")}
"""Which program prints which figures."""


def main() -> int:
    """0 where every program ran, 1 where one failed; a missed target is no failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [figure for figures in PROGRAMS.values() for figure in figures]
    parser.add_argument(
        "--only", metavar="ID", choices=known, help=f"only the program of this figure: {', '.join(known)}"
    )
    only = parser.parse_args().only
    failed: list[str] = []
    figures: list[dict[str, Any]] = []
    for program, ids in PROGRAMS.items():
        if only is None or only in ids:
            figures += run(program, failed)
    table([figure for figure in figures if only is None or figure["id"].startswith(only)])
    for program in failed:
        sys.stderr.write(f"bench: {program} failed; its own words are above\n")
    return 1 if failed else 0


def run(program: str, failed: list[str]) -> list[dict[str, Any]]:
    """Run one program; passes its lines on as they come and returns them."""
    figures = []
    with subprocess.Popen([sys.executable, HERE / program], stdout=subprocess.PIPE, text=True) as running:
        for line in running.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            figures.append(json.loads(line))
    if running.returncode:
        failed.append(program)
    return figures


def table(figures: list[dict[str, Any]]) -> None:
    """What was measured, for people."""
    for figure in figures:
        met = {True: "met", False: "MISSED", None: ""}[figure["met"]]
        target = f"target {figure['target']}" if figure["target"] else ""
        sys.stderr.write(f"{figure['id']:<12}{figure['value']:>10} {figure['unit']:<50}{target:<16}{met:<8}")
        sys.stderr.write(f"load {figure['load']}\n")


if __name__ == "__main__":
    sys.exit(main())
