"""Clause 6, compatible with TensorFlow 2.5 or PyTorch 1.10 and later (part II, section (1), item 2 (2)).

Reads: the prober's `framework-supported` evidence for each pod of which anything runs (`pod/NAME`, bound to the pod's
uid and its server): what the running server says of its platform, and of the file that it loaded.

The value is 1 where the report is supported, else 0:
- a server that runs PyTorch or TensorFlow itself, by its own version (`frameworkVersion`);
- an ONNX file that PyTorch wrote, by the version of PyTorch that wrote it;
- an ONNX file that tf2onnx wrote of a TensorFlow model, by its operator set of domain ai.onnx, where the edition names
  the least one (`parameters.opset`); the default edition names none.

Everything else is Unknown: a file of another producer (scikit-learn, say) shows nothing of either framework, and a
report may name no version. The entry's own value only says that there was a report.

Ignores: the format that the spec names, the image's name, the version of the server that runs the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed
from verticalmodel.judge.instances import Reading, of_each_pod
from verticalmodel.judge.verdict import Verdict, shortened

NAME = "framework-supported"
MEASURERS = frozenset({names.MANAGER_PROBER})
HOW = "The prober asks each running server for its framework's version, or for what wrote its ONNX file and in which"

_LEAST = {"pytorch": "1.10", "tensorflow": "2.5", "opset": ""}
_OF_TENSORFLOW = ("tf2onnx",)
"""Producers of ONNX files that begin with a model of TensorFlow."""
_REMEDY = "Export the model with a newer version of its framework, or serve it with one"
_VERSION = re.compile(
    r"(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?([._-]?(?:a|b|c|rc|alpha|beta|pre|dev)[.-]?\d*)?(?:[^\d].*)?",
    re.IGNORECASE,
)
"""Three numbers and the mark of a pre-release, as PEP 440 and semantic versioning write it."""
_QUOTE_LIMIT = 60


def framework_supported(clause: Clause, observed: Observed) -> Verdict:
    """Clause 6 over the server of every pod; value 1 where its framework is supported."""
    least = {name: clause.parameters.get(name, default) for name, default in _LEAST.items()}
    return of_each_pod(
        clause, observed, MEASURERS, lambda _: lambda entry: _read(entry, least), remedy=_REMEDY, of_server=True
    )


def _read(entry: Entry, least: Mapping[str, str]) -> Reading:
    seen = {one.name: one.value for one in entry.observations}
    what, version, limit = _decisive(seen, least)
    found, needed = _parsed(version), _parsed(limit)
    if found is None or needed is None:
        why = "no version of it" if needed is not None else _unlimited(seen)
        told = shortened(seen.get("platform", ""), _QUOTE_LIMIT)
        return Reading(None, f"the server reports {what} on platform {told!r}: {why}", ClauseReason.NOT_MEASURED)
    told = f"{what} {shortened(version, _QUOTE_LIMIT)}, {limit} or later is needed"
    return Reading(1.0 if found >= needed else 0.0, told)


def _unlimited(seen: Mapping[str, str]) -> str:
    """Why nothing is asked of what a server reports."""
    if seen.get("producer", "").lower() in _OF_TENSORFLOW:
        return "the standard names no least operator set (parameters.opset of the clause)"
    return "that shows nothing of TensorFlow or PyTorch"


def _decisive(seen: Mapping[str, str], least: Mapping[str, str]) -> tuple[str, str, str]:
    """What the report is judged by: a name for people, the version reported and the least one (empty: none)."""
    platform, producer = seen.get("platform", "").lower(), seen.get("producer", "").lower()
    for framework in ("pytorch", "tensorflow"):
        if platform.startswith(framework):
            return framework, seen.get("frameworkVersion", ""), least[framework]
    if producer == "pytorch":
        return "an ONNX file by pytorch", seen.get("producerVersion", ""), least["pytorch"]
    if producer in _OF_TENSORFLOW:
        return f"an ONNX file by {producer} with operator set", seen.get("opset", ""), least["opset"]
    return f"a file by {shortened(producer, _QUOTE_LIMIT)}" if producer else "a file of unknown origin", "", ""


def _parsed(version: str) -> tuple[int, int, int, bool] | None:
    """Three numbers of a version (`1.10.2+cu113`) and whether it was released; None where it is none.

    A pre-release (`1.10.0rc1`) comes before the version that it leads to.
    """
    found = _VERSION.fullmatch(version)
    if found is None:
        return None
    major, minor, patch = (int(found[number] or 0) for number in (1, 2, 3))
    return major, minor, patch, not found[4]
