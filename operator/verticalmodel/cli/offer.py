"""What a cluster offers to a model, as far as whoever asks may look; what he may not see is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from pydantic import ValidationError

from verticalmodel import __version__
from verticalmodel.api.modelruntime import ModelRuntime
from verticalmodel.api.operatingstandard import OperatingStandard
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.cli.cluster import FORBIDDEN, NOT_FOUND, REQUEST_SECONDS
from verticalmodel.cli.reading import cluster_object
from verticalmodel.facts import Facts, Platform
from verticalmodel.shell import inventory

__all__ = ["Offer"]

_Kind = TypeVar("_Kind", ModelRuntime, OperatingStandard)
_Found = TypeVar("_Found")
_EDITIONS = "operatingstandards"
_MAY_NOT = "may not be read by you"
_OTHER_VERSION = "is of another version than this tool"


class Offer:
    """What there is for every model, read once. Raises ApiException for what is no refusal, here and in `to`."""

    def __init__(self, connection: client.ApiClient) -> None:
        self._connection = connection
        self._unread: dict[str, str] = {}
        nodes = self._look("nodes", lambda: _nodes(connection)) or []
        slices = self._look("resourceslices", lambda: _listed(connection, "resourceslices")) or []
        classes = self._look("deviceclasses", lambda: _listed(connection, "deviceclasses")) or []
        devices = (found for one in slices if (found := inventory.gpu_slice(one)) is not None)
        self._facts = Facts(
            platform=Platform(guard_image="guard", unseal_image="unseal", version=__version__),
            runtime=None,
            standard=None,
            nodes=inventory.with_devices(map(inventory.node, nodes), devices),
            device_classes=frozenset(one["metadata"]["name"] for one in classes),
        )

    def to(self, model: VerticalModel) -> tuple[Facts, Mapping[str, str]]:
        """The facts by which the operator would plan the model, and why which plurals are not among them."""
        self._unread = {
            plural: why for plural, why in self._unread.items() if plural not in ("modelruntimes", _EDITIONS)
        }
        spec = model.spec
        facts = replace(
            self._facts,
            runtime=self._look("modelruntimes", lambda: self._named("modelruntimes", spec.runtime.name, ModelRuntime)),
            standard=self._look(_EDITIONS, lambda: self._named(_EDITIONS, spec.standard.name, OperatingStandard)),
        )
        return facts, dict(self._unread)

    def _look(self, plural: str, read: Callable[[], _Found | None]) -> _Found | None:
        try:
            return read()
        except ApiException as error:
            if error.status != FORBIDDEN:
                raise
            self._unread[plural] = _MAY_NOT
        except ValidationError:
            self._unread[plural] = _OTHER_VERSION
        return None

    def _named(self, plural: str, name: str, kind: type[_Kind]) -> _Kind | None:
        try:
            return kind.model_validate(cluster_object(client.CustomObjectsApi(self._connection), plural, name))
        except ApiException as error:
            if error.status == NOT_FOUND:
                return None
            raise


def _nodes(connection: client.ApiClient) -> list[dict[str, Any]]:
    listed = client.CoreV1Api(connection).list_node(_request_timeout=REQUEST_SECONDS)
    return [connection.sanitize_for_serialization(one) for one in listed.items]  # type: ignore[no-untyped-call]


def _listed(connection: client.ApiClient, plural: str) -> list[dict[str, Any]]:
    """Objects of dynamic resource allocation; none where the cluster does not serve it."""
    try:
        found: Any = client.CustomObjectsApi(connection).list_cluster_custom_object(
            "resource.k8s.io", "v1", plural, _request_timeout=REQUEST_SECONDS
        )
    except ApiException as error:
        if error.status == NOT_FOUND:
            return []
        raise
    items: list[dict[str, Any]] = found["items"]
    return items
