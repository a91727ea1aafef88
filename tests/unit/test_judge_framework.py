"""Clause 6 under an edition that names the least operator set of what TensorFlow's exporter writes."""

from __future__ import annotations

import pytest

from unit.builders import FRAMEWORK, NAME, clause, good_world, standard
from verticalmodel.judge.judge import judge


@pytest.mark.parametrize(
    ("opset", "status"), [("9", "True"), ("15", "True"), ("8", "False"), ("", "Unknown")], ids=["9", "15", "8", "none"]
)
def test_a_file_of_tensorflows_exporter_is_judged_by_its_operator_set(opset: str, status: str) -> None:
    six = clause(6)
    strict = standard(six.model_copy(update={"parameters": {**six.parameters, "opset": "9"}}))
    world = good_world(standard=strict)
    for one in world.pods:
        seen = {"producer": "tf2onnx", "producerVersion": "1.16", "opset": opset or None}
        world = world.changed(FRAMEWORK, f"pod/{one.name}", seen=seen)
    (found,) = judge(world.observed())
    assert (found.status, NAME in (found.instance or "")) == (status, True), found.message
