"""The table of attacks and how they ended, in the terminal's summary and by `--attack-table FILE`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended."""

    succeeded: bool
    said: str


@dataclass(frozen=True)
class Row:
    """One attack, what the same attempt came to where nothing keeps it, and how it ended."""

    attack: str
    control: str
    outcome: str
    held: bool


@dataclass
class Outcomes:
    """Every attack of a run."""

    rows: list[Row] = field(default_factory=list)

    def add(self, attack: str, *, kept: Outcome, control: Outcome, remark: str = "") -> None:
        """Record a row; before anything is asserted, so that what succeeded is in the table too.

        It held where it failed in the server and only there: what fails everywhere shows nothing.
        """
        said = f"{kept.said}; {remark}" if remark else kept.said
        self.rows.append(Row(attack, control.said, said, held=control.succeeded and not kept.succeeded))

    def markdown(self) -> str:
        """The rows as a table, in the order of their names."""
        lines = ["| attack | control | outcome | held |", "|---|---|---|---|"]
        lines += [
            f"| {row.attack} | {row.control} | {row.outcome} | {'yes' if row.held else '**NO**'} |"
            for row in sorted(self.rows, key=lambda one: one.attack)
        ]
        return "\n".join(lines)
