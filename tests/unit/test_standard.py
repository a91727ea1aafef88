"""The edition vlm-2026 as data: all 34 clauses, complete, faithful to their sources, loadable and appliable."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import pytest
import yaml

from verticalmodel import standard
from verticalmodel.api.operatingstandard import OperatingStandard
from verticalmodel.judge.merge import ROLLUP_TYPES

CONDITIONS = {
    1: "GPUMemorySufficient", 2: "MixedPrecisionSupported", 3: "NetworkBandwidthSufficient", 4: "NodePowerWithinLimit",
    5: "OperatingSystemSupported", 6: "FrameworkSupported", 7: "ColdStartWithinBudget", 8: "RestartWithinBudget",
    9: "TelemetryCollected", 10: "LogsRetained", 11: "AdminMFAEnforced", 12: "ChangesAudited", 13: "TransportEncrypted",
    14: "ParametersEncrypted", 15: "PilotValidated", 16: "RolloutOnSchedule", 17: "ReviewGroupCurrent",
    18: "IndustryConsulted", 19: "EfficiencyEvaluated", 20: "StandardCurrent", 21: "ResourcesPooled",
    22: "PriorityEnforced", 23: "PrecisionPreserved", 24: "CacheEffective", 25: "CollectiveTransferFast",
    26: "PipelineParallelised", 27: "HealthWithinBand", 28: "AnomalyWarningActive", 29: "FailoverWithinBudget",
    30: "SandboxEnforced", 31: "TenantsIsolated", 32: "PenetrationTested", 33: "LoadingAPIStandard",
    34: "ScenariosIsolated",
}  # fmt: skip

# (comparator, limit, unit) of the clauses whose text names a figure.
FIGURES = {
    1: ("AtLeast", 24, "GB"),
    3: ("AtLeast", 1, "Gbit/s"),
    4: ("AtMost", 2000, "W"),
    7: ("AtMost", 300, "s"),
    8: ("AtMost", 30, "s"),
    10: ("AtLeast", 90, "days"),
    13: ("AtLeast", 1.3, "TLS"),
    14: ("AtLeast", 256, "AES bits"),
    15: ("AtLeast", 3, "validated scenarios"),
    16: ("AtMost", 184, "days"),
    23: ("AtMost", 1, "% accuracy loss"),
    24: ("AtLeast", 80, "% hit rate"),
    25: ("AtMost", 3, "s"),
    26: ("AtLeast", 40, "% more throughput"),
    27: ("AtMost", 5, "% from reference"),
    28: ("AtLeast", 12, "h"),
    29: ("AtMost", 15, "s"),
    30: ("AtMost", 0, "missing limits"),
}

# Place in the regulation: part, section, item.
CITATIONS = {
    1: "II (1) 1 (1)", 2: "II (1) 1 (1)", 3: "II (1) 1 (2)", 4: "II (1) 1 (3)", 5: "II (1) 2 (1)", 6: "II (1) 2 (2)",
    7: "II (2) 1 (1)", 8: "II (2) 1 (2)", 9: "II (2) 2 (1)", 10: "II (2) 2 (2)", 11: "II (3) 1 (1)",
    12: "II (3) 1 (2)", 13: "II (3) 2 (1)", 14: "II (3) 2 (2)", 15: "III (1) 1", 16: "III (1) 2", 17: "III (2) 1",
    18: "III (2) 2", 19: "III (3) 1", 20: "III (3) 2", 21: "I (1) 1 (1)", 22: "I (1) 1 (2)", 23: "I (1) 1 (3)",
    24: "I (1) 2 (1)", 25: "I (1) 2 (2)", 26: "I (1) 2 (3)", 27: "I (2) 1 (1)", 28: "I (2) 1 (2)", 29: "I (2) 1 (3)",
    30: "I (2) 2 (1)", 31: "I (2) 2 (2)", 32: "I (2) 2 (3)", 33: "I (3) 1 (1)", 34: "I (2) 2",
}  # fmt: skip

DAY = 86400
CLAUSES = standard.load("vlm-2026").clauses


def raw(name: str) -> dict[str, Any]:
    """The file of an edition as it is written."""
    text = resources.files(standard).joinpath(standard.EDITIONS[name]).read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def test_the_edition_has_all_34_clauses_in_order_under_their_conditions() -> None:
    assert {one.id: one.condition for one in CLAUSES} == CONDITIONS
    assert [one.id for one in CLAUSES] == list(range(1, 35))


def test_each_figure_of_the_regulation_is_the_limit() -> None:
    assert {one.id: (one.comparator, one.limit, one.unit) for one in CLAUSES if one.id in FIGURES} == FIGURES


def test_each_clause_cites_its_place_in_the_regulation() -> None:
    written = {
        number: re.sub(r"(I+) (\(\d\)) (\S+)(.*)", r"Part \1, section \2, item \3\4", place)
        for number, place in CITATIONS.items()
    }
    assert {one.id: one.citation for one in CLAUSES} == written


def test_platform_wide_clauses_are_judged_once() -> None:
    assert [one.id for one in CLAUSES if one.scope == "Platform"] == [11, 12, 17, 18, 19, 20]


def test_every_clause_is_mandatory() -> None:
    assert all(one.mandatory for one in CLAUSES)


def test_conditions_and_measures_are_each_clauses_own() -> None:
    assert len({one.condition for one in CLAUSES}) == len({one.measure for one in CLAUSES}) == 34
    assert not {one.condition for one in CLAUSES} & set(ROLLUP_TYPES)


def test_every_clause_says_what_measures_it_in_one_sentence_without_a_full_stop() -> None:
    for one in CLAUSES:
        sentence = one.parameters["howMeasured"]
        assert sentence[0].isupper()
        assert not sentence.endswith(".")
        assert ";" not in sentence


def test_a_reading_adds_to_the_text() -> None:
    for one in CLAUSES:
        assert one.text.endswith(".")
        assert one.reading.endswith(".")
        assert one.reading != one.text
        assert not one.title.endswith(".")


def test_lifetimes_are_minutes_for_states_and_the_period_for_yearly_and_quarterly_duties() -> None:
    lifetimes = {one.id: one.lifetime_seconds for one in CLAUSES}
    assert {lifetimes[number] for number in (1, 13, 27, 30, 31)} == {600}
    assert {lifetimes[number] for number in (8, 19, 22, 29, 32)} == {92 * DAY}
    assert {lifetimes[number] for number in (17, 18, 20)} == {366 * DAY}


def test_nothing_in_the_file_is_lost_by_parsing() -> None:
    """Unknown fields are ignored when read, so a misspelt one would vanish without a word."""
    document = raw("vlm-2026")
    written = standard.manifest("vlm-2026")
    assert {key: document[key] for key in ("apiVersion", "kind", "metadata")} == {
        key: written[key] for key in ("apiVersion", "kind", "metadata")
    }
    spec = dict(document["spec"])
    defaults = {"mandatory": True, "scope": "Model"}
    spec["clauses"] = [{**defaults, **one} for one in spec["clauses"]]
    assert written["spec"] == spec


def test_the_manifest_is_an_operating_standard() -> None:
    read = OperatingStandard.model_validate(standard.manifest("vlm-2026"))
    assert (read.metadata.name, read.spec) == ("vlm-2026", standard.load("vlm-2026"))


def test_the_edition_is_for_real_hardware() -> None:
    assert not standard.load("vlm-2026").simulation


@pytest.mark.parametrize("name", ["vlm-2025", "", "../vlm_2026", "vlm_2026.yaml"])
def test_an_edition_that_does_not_exist_is_refused_with_those_that_do(name: str) -> None:
    for read in (standard.load, standard.manifest):
        with pytest.raises(LookupError, match=r"there is no edition .*; the operator comes with: vlm-2026"):
            read(name)
