"""The table of attacks."""

from __future__ import annotations

from e2e.outcomes import Outcome, Outcomes

FAILED, SUCCEEDED = Outcome(succeeded=False, said="refused"), Outcome(succeeded=True, said="done")


def test_an_attack_was_held_off_only_where_it_fails_in_the_server_and_succeeds_elsewhere() -> None:
    outcomes = Outcomes()
    outcomes.add("c", kept=FAILED, control=FAILED)
    outcomes.add("b", kept=SUCCEEDED, control=SUCCEEDED)
    outcomes.add("a", kept=FAILED, control=SUCCEEDED, remark="others went on")
    assert outcomes.markdown().splitlines()[2:] == [
        "| a | done | refused; others went on | yes |",
        "| b | done | done | **NO** |",
        "| c | refused | refused | **NO** |",
    ]
