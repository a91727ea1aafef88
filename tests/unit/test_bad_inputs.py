"""The table of bad input: only what was observed, every case in its place, and a gap shown as a gap."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bad_inputs import CASES, Row, markdown, read

ROW = Row(
    case="wrong-quantity",
    given="cpu: two",
    tier="apiserver",
    produced=("a | b",),
    way_back="cpu: 2",
    ended=("Ready=True, Serving", "x\ny"),
    test="tests/x.py::test_a",
)


def test_a_row_survives_its_line_of_json() -> None:
    assert [row.line() for row in read([ROW.line(), ""])] == [ROW.line()]


def test_a_test_that_was_run_again_replaces_its_row() -> None:
    again = replace(ROW, produced=("c",))
    assert [list(row.produced) for row in read([ROW.line(), again.line()])] == [["c"]]


def test_every_case_is_in_the_table_and_a_gap_says_so() -> None:
    table = [line for line in markdown([ROW]).splitlines() if line.startswith("| ")]
    assert len(table) == 1 + len(CASES)
    assert "| Wrong quantity | cpu: two | apiserver | a \\| b | cpu: 2 | Ready=True, Serving<br>x y |" in table
    assert sum("not seen in this run" in line for line in table) == len(CASES) - 1


@pytest.mark.parametrize("change", [{"case": "anything"}, {"produced": ()}, {"ended": ()}])
def test_a_row_of_an_unknown_case_or_without_an_observation_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="case"):
        Row(**{**json.loads(ROW.line()), **change})
