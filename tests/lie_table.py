"""What each lie came to, as a table (`pytest tests/apiserver/test_lies.py --lie-table FILE`); only observations fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_HEAD = """# Lies, and what they came to

Written by `pytest --lie-table` from what the tests observed. Before each lie the clause was True.
Names hold what the run drew by lot.

| Lie | Clause | Ended in | Because |
|---|---|---|---|
"""


@dataclass
class Lies:
    """The rows of a run."""

    rows: list[tuple[str, int, str, str]] = field(default_factory=list)

    def told(self, lie: str, clause: int, condition: Mapping[str, Any]) -> None:
        """A lie, the clause that it was about, and that clause's condition afterwards."""
        ended = f"{condition['status']}, {condition['reason']}"
        self.rows.append((lie, clause, ended, condition["message"]))


def table(rows: Iterable[tuple[str, int, str, str]]) -> str:
    """All rows in Markdown, by clause and lie."""
    ordered = sorted(rows, key=lambda row: (row[1], row[0]))
    return _HEAD + "".join(
        f"| {lie} | {clause} | {ended} | {message.replace('|', chr(92) + '|')} |\n"
        for lie, clause, ended, message in ordered
    )
