"""`python -m verticalmodel.serving`: the container's entry point."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from verticalmodel.serving import logs

DEFAULT_PORT = 8080
DEFAULT_MAX_BODY_BYTES = 8 * 1024 * 1024


def main() -> int:
    # First of all: process 1 of a container has no default action for SIGTERM, and the imports below take a second.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    logs.configure()
    arguments = _parser().parse_args()

    from verticalmodel.serving.server import Settings, serve  # noqa: PLC0415 (see above)

    return serve(
        Settings(
            model_name=arguments.model_name,
            model_path=arguments.model_path,
            port=arguments.port,
            grace_seconds=arguments.grace_seconds,
            max_body_bytes=arguments.max_body_bytes,
            termination_log=arguments.termination_log,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="verticalmodel.serving", description=__doc__)
    parser.add_argument("--model-name", required=True, help="name in the protocol's paths")
    parser.add_argument("--model-path", required=True, type=Path, help="an ONNX file, or a folder with exactly one")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="on 127.0.0.1 (default: %(default)s)")
    parser.add_argument(
        "--grace-seconds", type=int, default=60, help="for requests in flight at SIGTERM (default: %(default)s)"
    )
    parser.add_argument(
        "--max-body-bytes", type=int, default=DEFAULT_MAX_BODY_BYTES, help="of one request (default: %(default)s)"
    )
    parser.add_argument(
        "--termination-log", type=Path, default=Path("/dev/termination-log"), help="(default: %(default)s)"
    )
    return parser


def _stop(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the signal module's signature)
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
