"""One figure of a benchmark, in the form that bench/run.py passes on."""

from __future__ import annotations

import json
import operator
import os
import re
import statistics
import sys
from collections.abc import Sequence

_COMPARE = {"<=": operator.le, ">=": operator.ge}


def report(figure: str, unit: str, runs: Sequence[float], target: str = "") -> None:
    """Print the figure as one JSON line: the median of its runs, against a target such as `<= 1.2`."""
    value = statistics.median(runs)
    limit = re.fullmatch(r"(<=|>=) ([0-9.]+)", target)
    met = bool(_COMPARE[limit[1]](value, float(limit[2]))) if limit else None
    load = round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)
    line = {
        "id": figure,
        "value": rounded(value),
        "unit": unit,
        "target": target,
        "met": met,
        "runs": [rounded(run) for run in runs],
        "load": load,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def progress(text: str) -> None:
    """Say on stderr what is being done."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


def rounded(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")
