"""What can go wrong, one class per situation that a caller treats differently."""

from __future__ import annotations


class ClusterError(Exception):
    """A cluster cannot do what was asked; the message says what, why and what to do next."""


class UsageError(ClusterError):
    """The request itself is wrong: a bad name, a shape that differs, a missing privilege or tool."""


class TimedOutError(ClusterError):
    """Something that should have happened did not happen in time."""


class CommandError(ClusterError):
    """A helper program ended with a non-zero status."""

    def __init__(self, argv: list[str], status: int, output: str) -> None:
        super().__init__(f"{' '.join(argv)} ended with status {status}: {output.strip() or '(no output)'}")
        self.argv = argv
        self.status = status
        self.output = output
