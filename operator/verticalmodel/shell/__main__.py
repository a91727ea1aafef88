"""`python -m verticalmodel.shell`: the operator."""

from __future__ import annotations

import asyncio
import sys

import structlog

from verticalmodel.kube.kubeconfig import ConfigError
from verticalmodel.kube.logs import configure
from verticalmodel.shell.operate import operate
from verticalmodel.shell.settings import parse


def main() -> int:
    """0 after a signal; 1 where going on would be wrong, so that the pod is restarted."""
    settings = parse(sys.argv[1:])
    configure(settings.log_level)
    log = structlog.get_logger("verticalmodel.shell")
    try:
        asyncio.run(operate(settings))
    except ConfigError as error:
        log.error("no connection to a cluster", error=str(error))  # noqa: TRY400 - the message is for people; a traceback is not
        return 1
    except ExceptionGroup as group:
        log.exception("ending", errors=[f"{type(error).__name__}: {error}" for error in group.exceptions])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
