"""The sample model's held-out cases are what the e2e tier takes them for, and its delivery is all or nothing."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from installation import ROOT
from sample_model import deliver as delivery
from sample_model.deliver import deliver

HELD_OUT = ROOT / "tests/e2e/data/breast_screening_heldout.json"
DELIVER = ROOT / "hack/sample_model/deliver.py"


def test_the_held_out_file_is_small_and_consistent() -> None:
    """114 cases of 30 measurements, their labels, and an accuracy that follows from labels and predictions."""
    assert HELD_OUT.stat().st_size <= 100_000
    content = json.loads(HELD_OUT.read_text())
    rows, labels, predictions = content["rows"], content["labels"], content["predictions"]
    assert content["input"] == {"name": "features", "datatype": "FP32", "shape": [114, 30]}
    assert ([len(rows), len(labels), len(predictions)], {len(row) for row in rows}) == ([114] * 3, {30})
    right = sum(label == prediction for label, prediction in zip(labels, predictions, strict=True))
    assert content["baselineAccuracy"] == round(right / 114, 6)
    assert content["baselineAccuracy"] > 0.95
    assert set(labels) == {0, 1}


def test_the_rows_are_what_the_model_was_tested_on() -> None:
    """Each number is the text of an FP32, so that sending it as FP32 loses nothing."""
    values = [value for row in json.loads(HELD_OUT.read_text())["rows"] for value in row]
    as_fp32 = struct.unpack(f"{len(values)}f", struct.pack(f"{len(values)}f", *values))
    assert [value for value, single in zip(values, as_fp32, strict=True) if abs(value - single) > single * 2**-24] == []


def test_delivery_writes_the_file_once(tmp_path: Path) -> None:
    """The second time there is nothing to do, and nothing is touched."""
    source, target = tmp_path / "source", tmp_path / "volume/models/model.onnx"
    source.write_bytes(b"weights")
    assert deliver(source, target)
    inode = target.stat().st_ino
    assert not deliver(source, target)
    assert (target.read_bytes(), target.stat().st_ino, oct(target.stat().st_mode & 0o777)) == (
        b"weights",
        inode,
        "0o644",
    )
    assert list(target.parent.iterdir()) == [target]


def test_delivery_replaces_another_version_by_a_rename(tmp_path: Path) -> None:
    """A reader that has the old file open keeps the old bytes."""
    source, target = tmp_path / "source", tmp_path / "model.onnx"
    target.write_bytes(b"old")
    source.write_bytes(b"new weights")
    with target.open("rb") as reader:
        assert deliver(source, target)
        assert reader.read() == b"old"
    assert target.read_bytes() == b"new weights"


def test_a_delivery_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, say: half a file is nowhere to be seen."""
    source, target = tmp_path / "source", tmp_path / "volume/model.onnx"
    target.parent.mkdir()
    target.write_bytes(b"old")
    source.write_bytes(b"new weights")

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(delivery.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        deliver(source, target)
    assert {path.name: path.read_bytes() for path in target.parent.iterdir()} == {"model.onnx": b"old"}


def test_deliveries_at_once_end_with_one_whole_file(tmp_path: Path) -> None:
    """Two Jobs on one volume do not mix their bytes."""
    source, target = tmp_path / "source", tmp_path / "volume/model.onnx"
    source.write_bytes(b"weights" * 100_000)
    threads = [threading.Thread(target=deliver, args=(source, target)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(target.parent.iterdir()) == [target]
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("environment", "status", "complaint"),
    [
        ({}, 2, "set SOURCE and TARGET"),
        ({"SOURCE": "/nowhere", "TARGET": "/tmp/x"}, 1, "cannot deliver /nowhere to /tmp/x: No such file or directory"),  # noqa: S108
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(environment: dict[str, str], status: int, complaint: str) -> None:
    """No traceback: it ends up in a Job's log."""
    finished = subprocess.run([sys.executable, DELIVER], env=environment, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout, len(finished.stderr.splitlines())) == (status, "", 1)
    assert complaint in finished.stderr
