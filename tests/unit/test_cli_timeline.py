"""`vmodel timeline`: where the seconds of a start went."""

from __future__ import annotations

from verticalmodel.api.model_status import Start, StartPhase
from verticalmodel.cli.timeline import as_text

PHASES = (("scheduled", 0.0), ("image", 4.0), ("unsealed", 5.0), ("firstAnswer", 8.0))


def test_each_phase_has_its_end_its_length_and_its_place() -> None:
    phases = tuple(StartPhase(name=name, seconds=end, source="stamp") for name, end in PHASES)
    assert as_text(Start(pod="m-0", kind="Unknown", seconds=8.0, phases=phases)) == (
        "m-0: 8.0 s from creation to the first good answer\n"
        f"  scheduled        0.0 s     +0.0 s  |{' ' * 40}|  stamp\n"
        f"  image            4.0 s     +4.0 s  |{'#' * 20}{' ' * 20}|  stamp\n"
        f"  unsealed         5.0 s     +1.0 s  |{' ' * 20}{'#' * 5}{' ' * 15}|  stamp\n"
        f"  firstAnswer      8.0 s     +3.0 s  |{' ' * 25}{'#' * 15}|  stamp\n"
    )


def test_stamps_of_other_clocks_that_lie_after_the_end_stay_within_the_bar() -> None:
    late = (
        StartPhase(name="loaded", seconds=9.0, source="stamp"),
        StartPhase(name="firstAnswer", seconds=8.4, source="ours"),
    )
    lines = as_text(Start(pod="m-0", kind="Unknown", seconds=8.4, phases=late)).splitlines()
    assert all(line.count("|") == 2 and len(line.split("|")[1]) == 40 for line in lines[1:])
