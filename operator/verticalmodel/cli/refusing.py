"""How every command says no: `vmodel: REASON: message` on standard error, exit status 1."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from verticalmodel.seal.reasons import Reason, Refusal

__all__ = ["refusing", "say_no"]


def say_no(reason: Reason, message: str) -> None:
    """Exits with status 1."""
    click.secho(f"{reason}: ", fg="red", bold=True, nl=False, err=True)
    click.echo(message, err=True)
    sys.exit(1)


@contextmanager
def refusing() -> Iterator[None]:
    """Turn a Refusal, or the operating system's, into a message and exit status 1."""
    try:
        yield
    except Refusal as refusal:
        say_no(refusal.reason, refusal.message)
    except OSError as error:
        say_no(Reason.SOURCE_INVALID, f"{error.filename}: {error.strerror}")
