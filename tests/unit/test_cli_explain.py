"""`vmodel explain`: a clause for whoever has to keep it, without a cluster."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from verticalmodel import standard
from verticalmodel.api import names
from verticalmodel.cli.__main__ import cli


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["explain", *arguments])


@pytest.mark.parametrize("which", ["13", "TransportEncrypted", "transportencrypted"])
def test_a_clause_is_explained_by_its_number_or_its_condition_type(which: str) -> None:
    told = explain(which)
    assert told.exit_code == 0
    assert told.stdout.splitlines()[0] == "13 TransportEncrypted: Data in transit by TLS 1.3"
    for part in ("Demand", "(Part II, section (3), item 2 (1))", "Reading", "at least 1.3 TLS", "600 s", "each model"):
        assert part in told.stdout
    assert "does not measure it yet" not in told.stdout


def test_a_clause_that_nobody_measures_says_so_and_what_would() -> None:
    told = explain("3")
    words = " ".join(told.stdout.split())
    assert "Node agents would time a bounded transfer" in words
    assert "This version does not measure it yet, so it is Unknown" in words


def test_all_clauses_are_listed_and_those_that_are_measured_are_marked() -> None:
    lines = explain().stdout.splitlines()[1:]
    assert [int(line.split()[0]) for line in lines] == [one.id for one in standard.load(names.DEFAULT_STANDARD).clauses]
    assert [line.split()[0] for line in lines if "*" in line] == [
        "1",
        "2",
        "5",
        "6",
        "7",
        "8",
        "13",
        "14",
        "20",
        "30",
        "31",
        "33",
        "34",
    ]


def test_programs_get_every_field() -> None:
    told = json.loads(explain("30", "--json").stdout)
    assert (told["id"], told["condition"], told["measuredByThisVersion"]) == (30, "SandboxEnforced", True)
    assert len(json.loads(explain("--json").stdout)) == 34


def test_what_is_no_clause_is_named_with_what_there_is() -> None:
    told = explain("99")
    assert told.exit_code == 2
    assert "'99' is no clause of vlm-2026; write a number from 1 to 34, or a condition type" in told.stderr
