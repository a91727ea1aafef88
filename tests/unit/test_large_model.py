"""The large model for figures on loading is a real ONNX file of the size asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

import large_model
from verticalmodel.serving.onnx_header import read_header


def test_it_has_the_size_asked_for_and_a_header_that_the_server_reads(tmp_path: Path) -> None:
    size = large_model.write(tmp_path / "model.onnx", 1)

    assert size == (tmp_path / "model.onnx").stat().st_size
    assert 0 < size - large_model.MATRIX_BYTES < 1000, "steps of one matrix"
    assert read_header(tmp_path / "model.onnx").producer_name == "hack/large_model.py"


@pytest.mark.parametrize("mebibytes", [0, -1, 2048])
def test_what_one_file_cannot_hold_is_refused(tmp_path: Path, mebibytes: int) -> None:
    with pytest.raises(ValueError, match="1984"):
        large_model.write(tmp_path / "model.onnx", mebibytes)
