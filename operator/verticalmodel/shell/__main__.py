"""`python -m verticalmodel.shell`: the operator."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import structlog

from verticalmodel.kube.errors import ApiError
from verticalmodel.kube.kubeconfig import ConfigError
from verticalmodel.kube.leader import LeadershipLost
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
        # A server that is gone is no defect of ours: its name says it all. What else there is shows where it arose.
        defect = group.split((ApiError, LeadershipLost))[1]
        log.error("ending", errors=list(_told(group)), exc_info=defect)  # noqa: TRY400
        return 1
    return 0


def _told(group: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    """Every error of the group, however deep."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _told(error)
        else:
            yield f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
