"""Clause 6, compatible with TensorFlow 2.5 or PyTorch 1.10 and later (part II, section (1), item 2 (2)).

Reads: the prober's `framework-supported` evidence for each pod of which anything runs (`pod/NAME`, bound to the pod's
uid and its server): what the running server says of its platform, and of the file that it loaded.

The value is 1 where the report is supported, else 0:
- a server that runs PyTorch or TensorFlow itself, by its own version (`frameworkVersion`);
- an ONNX file that PyTorch wrote, by the version of PyTorch that wrote it;
- an ONNX file of any other producer, by its operator set of domain ai.onnx: at least `parameters.opset`, by default 9,
  which PyTorch 1.10 and the converter of TensorFlow 2.5 (tf2onnx 1.8) both write where nobody asks for another.

A report that names a platform and no version is Unknown. The entry's own value only says that there was a report.

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
HOW = "The prober asks each running server for its framework's version, or for the producer and opset of its ONNX file"

_LEAST = {"pytorch": "1.10", "tensorflow": "2.5", "opset": "9"}
_REMEDY = "Export the model with a newer version of its framework, or serve it with one"
_VERSION = re.compile(r"(\d{1,6})(?:\.(\d{1,6}))?(?:[^\d].*)?")
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
        return Reading(
            None,
            f"the server names platform {shortened(seen.get('platform', ''), _QUOTE_LIMIT)!r} and no version of "
            f"{what} to go by",
            ClauseReason.NOT_MEASURED,
        )
    told = f"{what} {shortened(version, _QUOTE_LIMIT)}, {limit} or later is needed"
    return Reading(1.0 if found >= needed else 0.0, told)


def _decisive(seen: Mapping[str, str], least: Mapping[str, str]) -> tuple[str, str, str]:
    """What the report is judged by: a name for people, the version reported and the least one."""
    platform, producer = seen.get("platform", "").lower(), seen.get("producer", "").lower()
    for framework in ("pytorch", "tensorflow"):
        if platform.startswith(framework):
            return framework, seen.get("frameworkVersion", ""), least[framework]
    if producer == "pytorch":
        return "an ONNX file by pytorch", seen.get("producerVersion", ""), least["pytorch"]
    by = f" by {shortened(producer, _QUOTE_LIMIT)}" if producer else ""
    opset = seen.get("opset", "") if platform.startswith("onnx") else ""
    return f"an ONNX file{by} with operator set", opset, least["opset"]


def _parsed(version: str) -> tuple[int, int] | None:
    """Major and minor of a version (`1.10.2+cu113`); None where it is none."""
    found = _VERSION.fullmatch(version)
    return (int(found[1]), int(found[2] or 0)) if found else None
