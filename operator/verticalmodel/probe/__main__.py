"""`python -m verticalmodel.probe`: the measurer."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import timedelta

import structlog

from verticalmodel import __version__
from verticalmodel.api import names
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.connection import Connection
from verticalmodel.kube.health import not_silent, serve_health
from verticalmodel.kube.kubeconfig import ConfigError, from_kubeconfig, in_cluster
from verticalmodel.kube.logs import configure
from verticalmodel.kube.resources import Key
from verticalmodel.probe.cluster import Cluster
from verticalmodel.probe.isolation import Control
from verticalmodel.probe.kubelet import Kubelets
from verticalmodel.probe.metrics import Metrics
from verticalmodel.probe.record import Recorder
from verticalmodel.probe.retention import keep_retention
from verticalmodel.probe.rounds import Rounds
from verticalmodel.probe.schedule import Schedule
from verticalmodel.probe.settings import Settings, parse
from verticalmodel.probe.survey import Survey

_log = structlog.get_logger("verticalmodel.probe")
_SETTLE_SECONDS = 0.3
_HUNG_SECONDS = 60.0


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Measure until `stop` is set. Raises ConfigError, OSError (health port), and whatever ends a cache's task."""
    access = in_cluster() if settings.kubeconfig is None else from_kubeconfig(settings.kubeconfig)
    metrics = Metrics()
    async with Connection.to(access) as connection:
        api = ApiClient(connection, manager=names.MANAGER_PROBER, observe=metrics.count_request)
        schedule: Schedule[Key] = Schedule(
            limit=settings.models_at_once, spacing=settings.spacing, settle=_SETTLE_SECONDS
        )
        rounds = Rounds(schedule, Recorder(api, settings.source, metrics), metrics, settings.canary_interval)
        cluster = Cluster(api, settings, rounds.touch, rounds.lost)
        kubelets = Kubelets(access, ca=settings.kubelet_ca, interval=settings.node_interval, metrics=metrics)
        control = Control(settings.pod_ip, settings.health_port)
        survey = Survey(cluster, kubelets, metrics, at_once=settings.targets_at_once, control=control)
        async with serve_health(
            settings.health_port,
            live={"rounds": not_silent("the round", lambda: rounds.silent_seconds, _HUNG_SECONDS)},
            ready={"caches": cluster.unfilled},
            registry=metrics.registry,
            host=settings.health_address,
        ) as port:
            _log.info("prober started", version=__version__, server=access.server, source=settings.source, health=port)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    *(
                        group.create_task(informer.run(), name=informer.resource.plural)
                        for informer in cluster.informers
                    ),
                    group.create_task(rounds.run(cluster, survey), name="rounds"),
                    group.create_task(
                        keep_retention(cluster, api, metrics, timedelta(seconds=settings.retention)), name="retention"
                    ),
                ]
                await stop.wait()
                for task in tasks:
                    task.cancel()
    _log.info("prober stopped")


async def _until_signalled(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(settings, stop)


def main() -> int:
    """Exit status 0 after SIGTERM or SIGINT, 2 where the configuration is wrong, 1 where going on would be."""
    settings = parse()
    configure(settings.log_level)
    try:
        asyncio.run(_until_signalled(settings))
    except ConfigError as error:
        _log.error("cannot reach the API server", error=str(error))
        return 2
    except OSError as error:
        _log.error("cannot listen", port=settings.health_port, error=error.strerror)
        return 2
    except ExceptionGroup:
        _log.exception("prober ends")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
