"""`python -m verticalmodel.seal`: the init container that delivers a model's parameters.

Exit status 0: the target folder is there, verified. 1: it is not; the report at --report says why. 2: wrong arguments.
With --check nothing is fetched or made: 0 says that what can be told beforehand is in order.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import structlog

from verticalmodel.seal import logs
from verticalmodel.seal.delivery import Request, check, deliver
from verticalmodel.seal.reasons import Reason
from verticalmodel.seal.report import Report, encode
from verticalmodel.seal.sizing import Limits

_log = structlog.get_logger(__name__)
_LOG_EVERY_SECONDS = 5.0


class _StoppedError(Exception):
    """SIGTERM or SIGINT arrived."""


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    logs.configure()
    # Process 1 of a container has no default action for SIGTERM.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _stop)
    # Not the source: what is wrong with it may be a password in it.
    _log.info("started", target=str(arguments.target), processors=arguments.cpus)
    report = _run(_request(arguments), only_check=arguments.check)
    text = encode(report)
    try:
        arguments.report.write_bytes(text)
    except OSError as error:
        _log.error("report not written", path=str(arguments.report), error=error.strerror)
    level = _log.info if report.succeeded else _log.error
    level("finished", **report.model_dump(mode="json", by_alias=True, exclude_none=True))
    return 0 if report.succeeded else 1


def _run(request: Request, *, only_check: bool) -> Report:
    try:
        return check(request) if only_check else deliver(request, _telling())
    except _StoppedError:
        return Report(reason=Reason.INTERRUPTED, message="stopped by a signal before the end")
    except Exception as error:  # noqa: BLE001 (a report is owed whatever happens)
        # The text of an unexpected error may hold anything; its kind cannot hold a secret.
        _log.exception("defect")
        return Report(reason=Reason.INTERNAL_ERROR, message=f"{type(error).__name__}; the container's log has details")


def _telling() -> Callable[[int], None]:
    """Logs bytes done, every few seconds."""
    due = time.monotonic() + _LOG_EVERY_SECONDS

    def advanced(done: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _LOG_EVERY_SECONDS
            _log.info("unsealing", bytes=done)

    return advanced


def _request(arguments: argparse.Namespace) -> Request:
    return Request(
        uri=arguments.source,
        target=arguments.target,
        digest=arguments.digest,
        key_file=arguments.key,
        mount=arguments.mount,
        credentials=arguments.credentials,
        limits=Limits(memory=arguments.memory_limit, volume=arguments.size_limit),
        processors=min(arguments.cpus, len(os.sched_getaffinity(0))),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m verticalmodel.seal", description=__doc__)
    add = parser.add_argument
    add("--source", required=True, help="pvc://CLAIM/PATH, https://HOST/PATH or s3://BUCKET/PATH")
    add("--target", required=True, type=Path, help="folder to make, in a memory volume; an earlier one is replaced")
    add("--check", action="store_true", help="tell whether it could be delivered, and make nothing")
    add("--digest", type=_digest, help="sha256:HEX of the artifact; any other is refused")
    add("--key", type=Path, help="key file. Given: only a sealed artifact is delivered; not given: only a plain one")
    add("--mount", type=Path, help="where the claim of a pvc:// source is mounted")
    add("--credentials", type=Path, help="folder with the source's credentials; may be missing")
    add("--memory-limit", type=_positive, help="of this container, in bytes")
    add("--size-limit", type=_positive, help="of the target's volume, in bytes")
    add("--cpus", type=_positive, default=len(os.sched_getaffinity(0)), help="whole cores (default: %(default)s)")
    add("--report", type=Path, default=Path("/dev/termination-log"), help="(default: %(default)s)")
    return parser


def _digest(text: str) -> str:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not sha256: and 64 lower-case hexadecimal digits")
    return text


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _stop(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the signal module's signature)
    raise _StoppedError


if __name__ == "__main__":
    sys.exit(main())
