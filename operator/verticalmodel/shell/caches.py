"""What the operator knows of the cluster: one informer per resource, and the answers to its own writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import datetime
from time import monotonic
from typing import Any, TypeVar

from verticalmodel.api import names
from verticalmodel.api.modelruntime import ModelRuntime
from verticalmodel.api.operatingstandard import OperatingStandard
from verticalmodel.facts import IngressClass, Node, NodeGpu
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient, Labels
from verticalmodel.kube.informer import Informer
from verticalmodel.kube.resources import Key, Resource
from verticalmodel.shell import inventory, projection
from verticalmodel.shell.children import BY_KIND
from verticalmodel.shell.hosts import Hosts
from verticalmodel.shell.optional_kind import OptionalKind
from verticalmodel.shell.projection import Child, Packed, Pod, Revision

V = TypeVar("V")

OURS: Mapping[str, str] = {names.LABEL_MANAGED_BY: names.MANAGED_BY}
_RELIST_SECONDS = 3600.0
# A watch that has not shown our own write by then shows something newer: a deletion that fell into a gap.
_ANSWER_SECONDS = 30.0

Wake = Callable[[Key], None]
"""Called with the key of a model whose surroundings changed."""


class Caches:
    """Informers over children, pods, evidence, runtimes and standards; `wake` runs for each model they concern.

    `wake_standard` runs for each OperatingStandard that changed, its status included.

    Models themselves come from kopf (shell.events) by `put_model` and `drop_model`.
    """

    def __init__(self, api: ApiClient, wake: Wake, wake_standard: Wake = lambda _: None) -> None:
        self._wake = wake
        self._wake_standard = wake_standard
        self._models: dict[Key, tuple[int, Packed]] = {}
        self._written: dict[tuple[Resource, Key], tuple[Child, float]] = {}
        self._stamps: dict[tuple[Resource, Key], tuple[str, int]] = {}
        self._api = api
        self.revisions: Informer[Revision] = self._owned(
            resources.CONTROLLER_REVISIONS, projection.revision, lambda value: value.child.model, metadata_only=False
        )
        # Whatever else they say of themselves: every pod that could stand behind a model's Service.
        self.pods = self._pods(projection.pod, names.LABEL_MODEL)
        self.preflights = self._pods(projection.preflight_pod, names.LABEL_PREFLIGHT)
        self.children: dict[Resource, Informer[Child]] = {
            resource: self._children(resource)
            for resource in BY_KIND.values()
            if resource not in (resources.CONTROLLER_REVISIONS, resources.INGRESS_ROUTE_TCPS, resources.CERTIFICATES)
        }
        self.traefik = self._optional(resources.INGRESS_ROUTE_TCPS, self._exposed_touched)
        self.cert_manager = self._optional(resources.CERTIFICATES, self._all_touched)
        self.hosts = Hosts(wake)
        self.ingress_classes: Informer[IngressClass] = Informer(
            api, resources.INGRESS_CLASSES, inventory.ingress_class, on_change=self._exposed_touched
        )
        self.evidence: Informer[tuple[str, Packed]] = Informer(
            api,
            resources.EVIDENCES,
            projection.evidence,
            index_by=lambda key, value: (key.namespace, value[0]),
            on_change=lambda key, old, new: self._touched(
                key, *(value[0] for value in (old, new) if value is not None)
            ),
            relist_seconds=_RELIST_SECONDS,
        )
        self.device_classes: Informer[str] = Informer(
            api, resources.DEVICE_CLASSES, inventory.uid, metadata_only=True, on_change=self._all_touched
        )
        # What they decide waits for an update that the user takes, so that a change of theirs wakes nobody.
        self.nodes: Informer[Node] = Informer(api, resources.NODES, inventory.node)
        self.slices: Informer[tuple[str, tuple[NodeGpu, ...]]] = Informer(
            api, resources.RESOURCE_SLICES, inventory.gpu_slice
        )
        self.runtimes: Informer[ModelRuntime] = Informer(
            api, resources.MODEL_RUNTIMES, ModelRuntime.model_validate, on_change=self._all_touched
        )
        self.standards: Informer[OperatingStandard] = Informer(
            api, resources.OPERATING_STANDARDS, _edition, on_change=self._standard_touched
        )

    def informers(self) -> tuple[Informer[Any] | OptionalKind, ...]:
        """All of them, to be run and waited for."""
        return (
            self.runtimes,
            self.standards,
            self.evidence,
            self.revisions,
            self.pods,
            self.preflights,
            self.device_classes,
            self.nodes,
            self.slices,
            self.ingress_classes,
            self.traefik,
            self.cert_manager,
            *self.children.values(),
        )

    async def synced(self) -> None:
        """Wait until every informer has listed once."""
        await asyncio.gather(*(informer.synced.wait() for informer in self.informers()))

    def put_model(self, key: Key, body: Mapping[str, Any]) -> None:
        """Remember a model as an event or an answer to a write showed it; an older one than the known is ignored."""
        version = projection.version_of(body)
        known = self._models.get(key)
        if known is None or version >= known[0]:
            meta = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
            self._models[key] = (version, Packed.of({**body, "metadata": meta}))
            self.hosts.saw(key, body)

    def answered(self, key: Key, body: Mapping[str, Any]) -> None:
        """Remember the answer to a status write, unless the model is gone by now or is another of that name."""
        known = self.model(key)
        if known is not None and known["metadata"]["uid"] == body["metadata"]["uid"]:
            self.put_model(key, body)

    def drop_model(self, key: Key) -> None:
        """Forget a model that is gone."""
        self._models.pop(key, None)
        self.hosts.forget(key)

    def model(self, key: Key) -> dict[str, Any] | None:
        """The newest known body of a model."""
        known = self._models.get(key)
        return known[1].open() if known else None

    def model_keys(self) -> tuple[Key, ...]:
        """Every known model."""
        return tuple(self._models)

    def issuers(self, now: datetime) -> frozenset[str]:
        """The built-in authorities of certificates in force, by the models' status; cert-manager's issuers are none."""
        held = ((known.open().get("status") or {}).get("certificate") for _, known in self._models.values())
        theirs = (one for one in held if one and "issuer" in one)
        return frozenset(one["issuer"] for one in theirs if datetime.fromisoformat(one["notAfter"]) > now)

    def child(self, resource: Resource, key: Key) -> Child | None:
        """The newest known state of a child: from the watch, or from the answer to our own write."""
        seen = self._seen(resource, key)
        answer = self._written.get((resource, key))
        if answer is None:
            return seen
        written, at = answer
        if (seen is not None and seen.version >= written.version) or monotonic() - at > _ANSWER_SECONDS:
            del self._written[resource, key]
            return seen
        return written

    def children_of(self, namespace: str, model: str) -> Iterable[tuple[Resource, Key, Child]]:
        """Every cached child that bears the model's label."""
        for resource, informer in tuple(self.children.items()):
            for key, value in informer.group((namespace, model)).items():
                yield resource, key, value
        for key, revision in self.revisions.group((namespace, model)).items():
            yield resources.CONTROLLER_REVISIONS, key, revision.child

    def tries(self, namespace: str, model: str) -> bool:
        """Whether a pod of a pre-flight of the model is there."""
        return bool(self.preflights.group((namespace, model)))

    def saw(self, resource: Resource, obj: Mapping[str, Any]) -> None:
        """Remember the answer to a write: until the watch catches up, and its stamp for good."""
        key, made = resources.key_of(dict(obj)), projection.child(obj)
        self._written[resource, key] = (made, monotonic())
        self._stamps[resource, key] = (made.uid, made.stamp)

    def applied_stamp(self, resource: Resource, key: Key, uid: str) -> int | None:
        """The stamp that our own last apply left; None where this process has not applied the object."""
        known = self._stamps.get((resource, key))
        return known[1] if known is not None and known[0] == uid else None

    def _seen(self, resource: Resource, key: Key) -> Child | None:
        if resource is resources.CONTROLLER_REVISIONS:
            revision = self.revisions.get(key)
            return revision.child if revision else None
        informer = self.children.get(resource)
        return informer.get(key) if informer is not None else None

    def _optional(self, resource: Resource, touched: Callable[[], None]) -> OptionalKind:
        return OptionalKind(self._api, resource, self.children, lambda: self._children(resource), touched)

    def _pods(self, project: Callable[[dict[str, Any]], Pod], label: str) -> Informer[Pod]:
        return self._owned(resources.PODS, project, lambda value: value.model, metadata_only=False, labels=label)

    def _children(self, resource: Resource) -> Informer[Child]:
        return self._owned(resource, projection.child, lambda value: value.model, metadata_only=True)

    def _owned(
        self,
        resource: Resource,
        project: Callable[[dict[str, Any]], V],
        model_of: Callable[[V], str],
        *,
        metadata_only: bool,
        labels: Labels = OURS,
    ) -> Informer[V]:
        def group(key: Key, value: V) -> Hashable:
            return (key.namespace, model_of(value))

        def changed(key: Key, old: V | None, new: V | None) -> None:
            if new is None:
                # Gone for certain: an answer to an earlier write must not bring it back.
                self._written.pop((resource, key), None)
                self._stamps.pop((resource, key), None)
            self._touched(key, *(model_of(value) for value in (old, new) if value is not None))

        return Informer(
            self._api,
            resource,
            project,
            labels=labels,
            metadata_only=metadata_only,
            index_by=group,
            on_change=changed,
            relist_seconds=_RELIST_SECONDS,
        )

    def _touched(self, key: Key, *models: str) -> None:
        for model in {name for name in models if name}:
            self._wake(Key(key.namespace, model))

    def _exposed_touched(self, *_: object) -> None:
        for key in self.hosts.exposed():
            self._wake(key)

    def _standard_touched(self, key: Key, old: OperatingStandard | None, new: OperatingStandard | None) -> None:
        self._wake_standard(key)
        # A write of its status concerns no model.
        if old is None or new is None or old.spec != new.spec:
            self._all_touched()

    def _all_touched(self, *_: object) -> None:
        for key in self._models:
            self._wake(key)


def _edition(obj: dict[str, Any]) -> OperatingStandard:
    # Its status changes with every platform-wide verdict and is nothing that judging a model reads.
    return OperatingStandard.model_validate({**obj, "status": {}})
