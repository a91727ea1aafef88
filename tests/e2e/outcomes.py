"""The table of attacks and how they ended, shown in the terminal's summary; written to a file where one is named."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILE = "VERTICALMODEL_E2E_OUTCOMES"
"""Names the file: JSON where it ends in .json, else Markdown."""


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

    def add(self, attack: str, *, control: str, outcome: str, held: bool) -> None:
        """Record a row; before anything is asserted, so that what succeeded is in the table too."""
        self.rows.append(Row(attack, control, outcome, held))

    def markdown(self) -> str:
        """The rows as a table, in the order of their names."""
        lines = ["| attack | control | outcome | |", "|---|---|---|---|"]
        lines += [
            f"| {row.attack} | {row.control} | {row.outcome} | {'held' if row.held else '**BROKEN**'} |"
            for row in sorted(self.rows, key=lambda one: one.attack)
        ]
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """Keep the table in a file."""
        listed = [asdict(row) for row in self.rows]
        path.write_text(json.dumps(listed, indent=1) if path.suffix == ".json" else self.markdown() + "\n")
