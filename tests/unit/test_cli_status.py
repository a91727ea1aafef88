"""`vmodel status`: what a person reads first, and what a script may decide on."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import yaml

from unit.builders import EDITION, NOW, model, standard
from verticalmodel.api.conditions import Condition
from verticalmodel.api.model_status import ClauseStatus, VerticalModelStatus
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.cli.reading import say
from verticalmodel.cli.status_report import as_json, as_text, report

LATER = NOW + timedelta(minutes=7, seconds=30)
TLS: dict[str, Any] = {"id": 13, "condition": "TransportEncrypted", "reason": "Measured"}
SANDBOX: dict[str, Any] = {"id": 30, "condition": "SandboxEnforced", "reason": "ThresholdExceeded"}
NETWORK: dict[str, Any] = {
    "id": 3,
    "condition": "NetworkBandwidthSufficient",
    "reason": "NotMeasured",
    "verdict": "Unknown",
}
MET = ClauseStatus(**TLS, verdict="True", value=1.3, unit="TLS version", limit=1.3, valid_until=LATER)
BROKEN = ClauseStatus(**SANDBOX, verdict="False", value=1, unit="ways out", limit=0, instance="pod breast-screening-a")
OPEN = ClauseStatus(**NETWORK)


def condition(kind: str, status: str, reason: str, message: str = "") -> Condition:
    return Condition.model_validate(
        {"type": kind, "status": status, "reason": reason, "message": message, "last_transition_time": NOW}
    )


SERVES = (
    condition("Accepted", "True", "Planned"),
    condition("Ready", "True", "Serving"),
    condition("Compliant", "Unknown", "NotMeasured"),
)
SAID = condition(
    "SandboxEnforced", "False", "ThresholdExceeded", "the policy of pod breast-screening-a lets 1.1.1.1 in"
)


def seen(*clauses: ClauseStatus, conditions: tuple[Condition, ...] = SERVES, generation: int = 1) -> VerticalModel:
    """A model with this status."""
    status = VerticalModelStatus(
        observed_generation=generation,
        conditions=conditions,
        clauses=clauses,
        url="https://breast.radiology.svc",
        valid_until=min((one.valid_until for one in clauses if one.valid_until), default=None),
    )
    return model().model_copy(update={"status": status})


def test_what_is_broken_comes_first_then_what_nobody_knows_then_what_holds() -> None:
    told = report(seen(MET, BROKEN, OPEN, conditions=(*SERVES, SAID)), standard(), NOW)
    assert [line.id for line in told.clauses] == [30, 3, 13]
    assert as_text(told) == (
        "radiology/breast-screening  https://breast.radiology.svc  judged by vlm-2026\n"
        "  Accepted     True     Planned\n"
        "  Ready        True     Serving\n"
        "  Compliant    Unknown  NotMeasured\n"
        "\n"
        "BROKEN (1 of 3 clauses)\n"
        "   30 SandboxEnforced              1 ways out, at most 0 (pod breast-screening-a)\n"
        "      ThresholdExceeded: the policy of pod breast-screening-a lets 1.1.1.1 in\n"
        "      must act: model team\n"
        "\n"
        "UNKNOWN (1 of 3 clauses)\n"
        "  not measured by this version: 3; `vmodel explain N` says what would measure it\n"
        "\n"
        "MET (1 of 3 clauses)\n"
        "   13 TransportEncrypted           1.3 TLS version, at least 1.3 until 12:07:30Z, 7 min 30 s from now\n"
    )


def test_wide_leaves_nothing_out_of_any_clause() -> None:
    holds = condition("TransportEncrypted", "True", "Measured", "all 2 instances hold")
    nobody = condition("NetworkBandwidthSufficient", "Unknown", "NotMeasured", "nobody measures it")
    told = report(seen(MET, BROKEN, OPEN, conditions=(*SERVES, SAID, holds, nobody)), standard(), NOW)
    assert as_text(told, wide=True).partition("BROKEN")[2] == (
        " (1 of 3 clauses)\n"
        "   30 SandboxEnforced              1 ways out, at most 0 (pod breast-screening-a)\n"
        f"      {EDITION.clauses[29].title}\n"
        "      ThresholdExceeded: the policy of pod breast-screening-a lets 1.1.1.1 in\n"
        "      must act: model team\n"
        "\n"
        "UNKNOWN (1 of 3 clauses)\n"
        "    3 NetworkBandwidthSufficient\n"
        f"      {EDITION.clauses[2].title}\n"
        "      NotMeasured: nobody measures it\n"
        "      must act: platform\n"
        "\n"
        "MET (1 of 3 clauses)\n"
        "   13 TransportEncrypted           1.3 TLS version, at least 1.3 until 12:07:30Z, 7 min 30 s from now\n"
        f"      {EDITION.clauses[12].title}\n"
        "      Measured: all 2 instances hold\n"
    )


def test_json_and_yaml_are_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    told = as_json(report(seen(MET, BROKEN, OPEN), standard(), NOW))
    for output, load in (("json", json.loads), ("yaml", yaml.safe_load)):
        say(output, text="", document=told)
        assert load(capsys.readouterr().out) == told


def test_a_clause_that_this_version_measures_is_told_apart_from_those_that_it_does_not() -> None:
    awaited = ClauseStatus(id=13, condition="TransportEncrypted", reason="NotMeasured", verdict="Unknown")
    others = [
        ClauseStatus(id=one.id, condition=one.condition, reason="NotMeasured", verdict="Unknown")
        for one in standard().spec.clauses
        if one.id in (3, 4, 9, 10, 12)
    ]
    said = condition("TransportEncrypted", "Unknown", "NotMeasured", "pod/a:8443: not measured")
    told = as_text(report(seen(awaited, *others, conditions=(*SERVES, said)), standard(), NOW))
    assert "   13 TransportEncrypted\n      NotMeasured: pod/a:8443: not measured\n" in told
    assert "  not measured by this version: 3-4, 9-10, 12; `vmodel explain N`" in told


def test_a_true_whose_evidence_has_expired_is_unknown_whatever_is_stored() -> None:
    told = report(seen(MET), standard(), LATER)
    [line] = told.clauses
    assert (line.verdict, line.reason, told.met) == ("Unknown", "EvidenceExpired", 0)
    assert "has not renewed it" in as_text(told)
    assert report(seen(MET), standard(), LATER - timedelta(seconds=1)).met == 1


def test_what_rests_on_expired_evidence_lapses_in_the_head_too() -> None:
    """An operator that has stopped leaves its last word behind."""
    good = (*SERVES[:2], condition("Compliant", "True", "AllClausesMet"))
    for moment, expected in ((LATER - timedelta(seconds=1), "True"), (LATER, "Unknown")):
        told = report(seen(MET, conditions=good), standard(), moment)
        assert {one.type: one.status for one in told.head} == {
            "Accepted": "True",
            "Ready": expected,
            "Compliant": expected,
        }
        assert told.healthy is (expected == "True")


@pytest.mark.parametrize(
    ("subject", "healthy"),
    [
        (seen(MET, OPEN), True),
        (seen(MET, BROKEN), False),
        (seen(MET, conditions=(condition("Ready", "False", "PodsNotReady"),)), False),
        (seen(MET, generation=0), False),
        (model(), False),
    ],
    ids=["nothing is broken", "a clause is broken", "it does not serve", "an earlier spec", "no status yet"],
)
def test_a_script_may_go_on_where_the_present_spec_serves_and_nothing_is_broken(
    subject: VerticalModel, *, healthy: bool
) -> None:
    told = as_json(report(subject, standard(), NOW))
    assert told["healthy"] is healthy


def test_whoever_may_not_read_the_standard_still_reads_verdicts() -> None:
    told = report(seen(MET, BROKEN), None, NOW)
    assert [(line.id, line.verdict, line.title) for line in told.clauses] == [(30, "False", ""), (13, "True", "")]


def test_who_asks_before_there_is_a_status_is_told_where_to_look() -> None:
    assert "no status yet: is the operator running?" in as_text(report(model(), standard(), NOW))
