"""The operator as a process of its own, started again where it ends, as a kubelet would; its log is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_RESTART_SECONDS = 1.0


@dataclass
class OperatorProcess:
    """A running operator; `log` grows."""

    arguments: list[str]
    log: Path
    starts: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)
    _process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[OperatorProcess]:
        """Keep it running until the block ends."""
        self.log.touch()
        keeper = threading.Thread(target=self._keep, name="kubelet of the operator")
        keeper.start()
        try:
            yield self
        finally:
            self._ended.set()
            if self._process is not None:
                self._process.terminate()
            keeper.join(timeout=20)

    def lines(self, start: int = 0) -> list[dict[str, Any]]:
        """What it has logged from byte `start` on; a line that is no JSON comes as {"raw": line}."""
        with self.log.open("rb") as file:
            file.seek(start)
            return [_parsed(line) for line in file.read().splitlines() if line]

    def size(self) -> int:
        """Bytes of the log so far."""
        return self.log.stat().st_size

    def _keep(self) -> None:
        command = [sys.executable, "-m", "verticalmodel.shell", *self.arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
        with self.log.open("ab") as log:
            while not self._ended.is_set():
                self.starts += 1
                self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
                if self._ended.is_set():
                    self._process.terminate()
                self._process.wait()
                self._ended.wait(_RESTART_SECONDS)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError:
        return {"raw": line.decode(errors="replace")}
    return parsed if isinstance(parsed, dict) else {"raw": line.decode(errors="replace")}


def tracebacks(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines that hold one, and those that are no log line at all."""
    return [line for line in lines if "exception" in line or "raw" in line or "Traceback" in json.dumps(line)]
