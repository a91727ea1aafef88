"""What the tiers share: the record of bad input and what it produced (`--bad-input-table FILE`, hack/bad_inputs.py).

So are the records of lies (`--lie-table FILE`) and of attacks: pytest reads options before it looks into a tier.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from bad_inputs import Row
from lie_table import Lies, table
from recording import BadInput

_RECORD = pytest.StashKey[BadInput]()
_FAILED = pytest.StashKey[bool]()
_ROWS = pytest.StashKey[list[Row]]()
_LIES = pytest.StashKey[Lies]()


@pytest.fixture
def bad_input(request: pytest.FixtureRequest) -> BadInput:
    """Where a test states what bad input produced."""
    tier = request.node.path.relative_to(request.config.rootpath / "tests").parts[0]
    record = request.node.stash[_RECORD] = BadInput(tier, request.node.nodeid)
    return record


@pytest.fixture
def lies(request: pytest.FixtureRequest) -> Lies:
    """Where a test states what a lie came to."""
    return request.config.stash[_LIES]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bad-input-table", type=Path, metavar="FILE", help="append what bad input produced, as JSON lines"
    )
    parser.addoption("--lie-table", type=Path, metavar="FILE", help="write what lies about measurements came to")
    parser.addoption("--attack-table", type=Path, metavar="FILE", help="write how attacks from inside a server ended")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []
    config.stash[_LIES] = Lies()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or not report.passed
    if report.when == "teardown" and not item.stash[_FAILED] and _RECORD in item.stash:
        item.config.stash[_ROWS] += item.stash[_RECORD].rows
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows, path = config.stash[_ROWS], config.getoption("--bad-input-table")
    if rows:
        terminalreporter.write_line(f"bad input: {len(rows)} rows{f' appended to {path}' if path else ''}")
    if rows and path:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{row.line()}\n" for row in rows)
    told, path = config.stash[_LIES].rows, config.getoption("--lie-table")
    if told and path:
        path.write_text(table(told), encoding="utf-8")
        terminalreporter.write_line(f"lies: {len(told)} written to {path}")
