"""What the prober says about its own work. It says nothing about the models: that is what Evidence is for."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

__all__ = ["Metrics"]

_NAMESPACE = "verticalmodel_prober"


class Metrics:
    """All metrics of one prober, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.passes = self._counter("passes", "Passes over a model, by how they ended.", "outcome")
        self.lateness = Histogram(
            "lateness_seconds",
            "How late a pass began.",
            namespace=_NAMESPACE,
            registry=self.registry,
            buckets=(0.05, 0.1, 0.5, 1, 5, 15, 60, 300),
        )
        self.looks = self._counter("looks", "Looks at one instance, by measure and outcome.", "measure", "outcome")
        self.handshakes = self._counter("handshakes", "Offers to an endpoint, by kind and answer.", "offer", "answer")
        self.scrapes = self._counter("scrapes", "Scrapes of a kubelet, by how they ended.", "outcome")
        self.writes = self._counter("evidence_writes", "Writes of an Evidence object, by how they ended.", "outcome")
        self.findings = self._counter("evidence_findings", "Evidence found other than it was left, by how.", "finding")
        self.crowded_out = self._counter("entries_crowded_out", "Entries that had no room in their object.")
        self.removed = self._counter("evidence_removed", "Evidence removed after its model's retention time.")
        self.requests = self._counter("api_requests", "Requests to the API server.", "verb", "resource", "status")
        self.models = Gauge("models", "Models that are measured.", namespace=_NAMESPACE, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace=_NAMESPACE, registry=self.registry)

    def count_request(self, verb: str, resource: str, status: str, _seconds: float) -> None:
        """Observer for the API client."""
        self.requests.labels(verb, resource, status).inc()
