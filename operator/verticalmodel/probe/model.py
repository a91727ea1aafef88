"""A model with all of it that can be measured now, and what evidence about each instance must be bound to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from verticalmodel.api import names
from verticalmodel.api.evidence import Binding
from verticalmodel.probe.measurement import (
    CANARY,
    FRAMEWORK,
    GPU_MEMORY,
    ISOLATION,
    LOADING,
    MIXED_PRECISION,
    OPERATING_SYSTEM,
    RESTART,
    SANDBOX,
    START,
    TENANTS,
    TRANSPORT,
    Key,
)
from verticalmodel.probe.transport import Target
from verticalmodel.probe.world import Expected, Pod, Service, Speaks, Stranger, short

__all__ = ["FAR", "NEAR", "Model", "stranger_instance"]

NEAR, FAR = "near", "far"
"""Where a stranger stands: on the pod's own node, or on another."""


@dataclass(frozen=True)
class Model:
    """One model with all of it that can be measured now."""

    namespace: str
    name: str
    uid: str
    pods: tuple[Pod, ...]
    service: Service | None
    lifetimes: Mapping[str, float]
    """Seconds that evidence holds, by measure."""
    speaks: Speaks = field(default_factory=Speaks)
    asked_at: datetime | None = None
    """When somebody last asked for a measurement: what is older than that is measured anew."""
    begun: frozenset[str] = frozenset()
    """Uids of the pods that were seen from their beginning."""
    restarted: frozenset[str] = frozenset()
    """Uids of the pods whose way back from the end of a container was timed."""
    strangers: Mapping[str, Stranger] = field(default_factory=dict)
    """Of the whole cluster, by node."""

    @property
    def server_name(self) -> str:
        """The name that every certificate of this model bears."""
        return f"{self.name}.{self.namespace}.svc"

    def targets(self) -> tuple[Target, ...]:
        """Endpoints that can be expected to answer; the Service only once a pod is behind it."""
        port, name = names.GUARD_PORT, self.server_name
        found = [
            Target(f"pod/{pod.name}:{port}", pod.ip, port, name, Binding(pod_uid=pod.uid), short(pod.guard))
            for pod in self.pods
            if pod.guard
        ]
        if self.service is not None and any(pod.ready for pod in self.pods):
            instance, binding = (
                f"service/{self.service.name}:{names.SERVICE_PORT}",
                Binding(service_uid=self.service.uid),
            )
            found.append(Target(instance, self.service.cluster_ip, names.SERVICE_PORT, name, binding))
        return tuple(found)

    def expected(self) -> dict[Key, Expected]:
        """What can be measured now."""
        found = {
            (TRANSPORT, one.instance): Expected(
                one.binding, one.container, self._behind_service_since() if one.binding.service_uid else None
            )
            for one in self.targets()
        }
        for pod in self.pods:
            if any(one.running for one in pod.containers):
                found |= self._of_running(pod)
            if pod.guard and pod.server and pod.ready:
                found |= self._of_serving(pod)
        return found

    def _of_running(self, pod: Pod) -> dict[Key, Expected]:
        """What can be measured from outside a pod, ready or not."""
        binding, instance = Binding(pod_uid=pod.uid), f"pod/{pod.name}"
        found = {
            (SANDBOX, f"{instance}/{one.name}"): Expected(binding, short(one.container_id))
            for one in pod.containers
            if one.running
        }
        found[OPERATING_SYSTEM, instance] = Expected(binding)
        if pod.claims:
            found |= {(measure, instance): Expected(binding) for measure in (GPU_MEMORY, MIXED_PRECISION)}
        return found

    def _of_serving(self, pod: Pod) -> dict[Key, Expected]:
        """What a pod that answers can be asked, and the events of its life."""
        binding = Binding(pod_uid=pod.uid)
        found = {
            (measure, f"pod/{pod.name}"): Expected(binding, short(pod.server))
            for measure in (CANARY, FRAMEWORK, LOADING, TENANTS)
        }
        found |= {(ISOLATION, stranger_instance(pod, where)): Expected(binding) for where in (NEAR, FAR)}
        of_template = Expected(Binding(pod_uid=pod.uid, template_digest=pod.template_digest or None))
        for measure, event, timed in ((START, "start", self.begun), (RESTART, "restart", self.restarted)):
            if pod.uid in timed and pod.template_digest:
                found[measure, f"{event}/{pod.name}"] = of_template
        return found

    def _behind_service_since(self) -> datetime | None:
        running = [pod.created_at for pod in self.pods if any(one.running for one in pod.containers)]
        known = [moment for moment in running if moment is not None]
        return min(known) if known and len(known) == len(running) else None

    def alive(self, key: Key, binding: Binding) -> bool:
        """Whether the instance that an entry is bound to still exists, measurable at this moment or not."""
        if binding.service_uid is not None:
            return self.service is not None and self.service.uid == binding.service_uid
        pod = next((pod for pod in self.pods if pod.uid == binding.pod_uid), None)
        if pod is None:
            return False
        return key[0] != SANDBOX or any(key[1] == f"pod/{pod.name}/{one.name}" for one in pod.containers)


def stranger_instance(pod: Pod, where: str) -> str:
    """Instance of what a stranger near or far of this pod tried."""
    return f"pod/{pod.name}/{where}"
