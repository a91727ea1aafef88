"""What the operator tells Prometheus. Names follow the Prometheus conventions; `promtool check metrics` agrees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from verticalmodel.api.conditions import Status
from verticalmodel.kube.resources import Key
from verticalmodel.shell.queue import Outcome, WorkQueue

__all__ = ["Metrics"]

_PREFIX = "verticalmodel_"
_RUN_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)
_STATUS_VALUE: Mapping[Status, float] = {"True": 1.0, "False": 0.0, "Unknown": -1.0}


class Metrics:
    """All series of one process, in a registry of its own. Also the queue's hooks and the client's observer."""

    def __init__(self, version: str) -> None:
        # The creation-time series double every counter and no query of ours reads them.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._reconciles = self._histogram(
            "reconcile_duration_seconds", "Time of one pass over one model.", ("outcome",), _RUN_SECONDS
        )
        self._waits = self._histogram(
            "queue_wait_duration_seconds", "Time from an event to the start of its pass.", (), _RUN_SECONDS
        )
        self._retries = self._counter("reconcile_retries_total", "Passes that failed and were put back.", ())
        self._requests = self._histogram(
            "api_request_duration_seconds",
            "Requests to the API server.",
            ("verb", "resource", "code"),
            _REQUEST_SECONDS,
        )
        self._leader = Gauge(f"{_PREFIX}leader", "1 while this replica leads.", registry=self.registry)
        build = Gauge(f"{_PREFIX}build_info", "Always 1; the label is what runs.", ("version",), registry=self.registry)
        build.labels(version).set(1)
        self._conditions = _Conditions()
        self.registry.register(self._conditions)

    def waited(self, seconds: float) -> None:
        """Queue hook: one key waited this long for its pass."""
        self._waits.observe(seconds)

    def worked(self, seconds: float, outcome: Outcome) -> None:
        """Queue hook: one pass ended."""
        self._reconciles.labels(outcome).observe(seconds)

    def retried(self) -> None:
        """Queue hook: one failed pass was put back."""
        self._retries.inc()

    def requested(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """Client observer: one request ended; a watch counts when it ends."""
        if verb != "watch":
            self._requests.labels(verb, resource, code).observe(seconds)

    def leads(self, leads: bool) -> None:  # noqa: FBT001 - the leader's callback
        """Leader callback."""
        self._leader.set(1 if leads else 0)

    def conditions(self, model: Key, statuses: Mapping[str, Status]) -> None:
        """What one model's conditions say now; types that are not in `statuses` lose their series."""
        self._conditions.models[model] = {name: _STATUS_VALUE[status] for name, status in statuses.items()}

    def forget(self, model: Key) -> None:
        """A model is gone, and its series with it."""
        self._conditions.models.pop(model, None)

    def clear(self) -> None:
        """This replica no longer leads: the conditions are the next leader's to tell."""
        self._conditions.models.clear()

    def watch_queue(self, queue: WorkQueue[Key]) -> None:
        """Show a queue's depth at each scrape."""
        depth = Gauge(f"{_PREFIX}queue_depth", "Keys in the work queue, by state.", ("state",), registry=self.registry)
        depth.labels("ready").set_function(lambda: queue.ready)
        depth.labels("running").set_function(lambda: queue.running)
        depth.labels("delayed").set_function(lambda: queue.delayed)

    def _histogram(self, name: str, text: str, labels: Iterable[str], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(_PREFIX + name, text, labels, buckets=buckets, registry=self.registry)

    def _counter(self, name: str, text: str, labels: Iterable[str]) -> Counter:
        return Counter(_PREFIX + name, text, labels, registry=self.registry)


class _ConditionSamples(list[Sample]):
    """Samples that exist only while they are written out: a thousand models have 40 000."""

    def __init__(self, models: list[tuple[Key, dict[str, float]]]) -> None:
        super().__init__()
        self._models = models

    def __iter__(self) -> Iterator[Sample]:
        for model, statuses in self._models:
            for name, value in statuses.items():
                labels = {"namespace": model.namespace, "name": model.name, "condition": name}
                yield Sample(_Conditions.NAME, labels, value)


class _Conditions(Collector):
    """One number per model and condition type, kept as plain floats: a client-library child would take 2 KB each."""

    NAME = f"{_PREFIX}condition_status"
    TEXT = "Conditions of each model: 1 True, 0 False, -1 Unknown."

    def __init__(self) -> None:
        self.models: dict[Key, dict[str, float]] = {}

    def describe(self) -> Iterator[Metric]:
        """The family without samples, for registration."""
        yield GaugeMetricFamily(self.NAME, self.TEXT)

    def collect(self) -> Iterator[Metric]:
        """Runs in the scraping thread: takes one snapshot that the event loop cannot change underneath."""
        family = GaugeMetricFamily(self.NAME, self.TEXT)
        family.samples = _ConditionSamples(list(self.models.items()))
        yield family
