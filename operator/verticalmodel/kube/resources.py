"""Coordinates of the resources that we read and write, and the key of one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from verticalmodel.api import names

if TYPE_CHECKING:
    from verticalmodel.api.schema import KindInfo

__all__ = [
    "BUILT_IN",
    "CERTIFICATES",
    "CONFIG_MAPS",
    "CONTROLLER_REVISIONS",
    "CUSTOM_RESOURCE_DEFINITIONS",
    "DEPLOYMENTS",
    "DEVICE_CLASSES",
    "ENDPOINT_SLICES",
    "EVENTS",
    "EVIDENCES",
    "INGRESSES",
    "INGRESS_CLASSES",
    "INGRESS_ROUTE_TCPS",
    "LEASES",
    "MODEL_RUNTIMES",
    "NAMESPACES",
    "NETWORK_POLICIES",
    "NODES",
    "OPERATING_STANDARDS",
    "PERSISTENT_VOLUMES",
    "PERSISTENT_VOLUME_CLAIMS",
    "PODS",
    "POD_DISRUPTION_BUDGETS",
    "REPLICA_SETS",
    "RESOURCE_CLAIMS",
    "RESOURCE_CLAIM_TEMPLATES",
    "RESOURCE_SLICES",
    "SECRETS",
    "SERVICES",
    "SERVICE_ACCOUNTS",
    "VERTICAL_MODELS",
    "Key",
    "Resource",
    "key_of",
]


class Key(NamedTuple):
    """Identity of an object within its resource; `namespace` is empty for cluster-scoped ones."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """`namespace/name`, or the name alone."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def key_of(obj: dict[str, Any]) -> Key:
    """Key of an object in wire form."""
    meta = obj["metadata"]
    return Key(meta.get("namespace") or "", meta["name"])


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API: where it is served. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    namespaced: bool
    kind: str

    @classmethod
    def of(cls, info: KindInfo) -> Resource:
        """Coordinates of one of our own kinds."""
        return cls(names.GROUP, names.VERSION, info.plural, info.scope == "Namespaced", info.kind)

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """URL path of the collection, or of one object where `name` is given.

        Raises ValueError where a namespaced object comes without its namespace, or a cluster-scoped one with it.
        """
        if namespace and not self.namespaced:
            raise ValueError(f"{self.kind} is cluster-scoped; namespace {namespace!r} must be empty")
        if name and self.namespaced and not namespace:
            raise ValueError(f"{self.kind} {name!r} needs a namespace")
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        parts += ["namespaces", namespace] if namespace else []
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)


PODS = Resource("", "v1", "pods", namespaced=True, kind="Pod")
SERVICES = Resource("", "v1", "services", namespaced=True, kind="Service")
CONFIG_MAPS = Resource("", "v1", "configmaps", namespaced=True, kind="ConfigMap")
SECRETS = Resource("", "v1", "secrets", namespaced=True, kind="Secret")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", namespaced=True, kind="ServiceAccount")
PERSISTENT_VOLUME_CLAIMS = Resource("", "v1", "persistentvolumeclaims", namespaced=True, kind="PersistentVolumeClaim")
PERSISTENT_VOLUMES = Resource("", "v1", "persistentvolumes", namespaced=False, kind="PersistentVolume")
NODES = Resource("", "v1", "nodes", namespaced=False, kind="Node")
NAMESPACES = Resource("", "v1", "namespaces", namespaced=False, kind="Namespace")
DEPLOYMENTS = Resource("apps", "v1", "deployments", namespaced=True, kind="Deployment")
REPLICA_SETS = Resource("apps", "v1", "replicasets", namespaced=True, kind="ReplicaSet")
CONTROLLER_REVISIONS = Resource("apps", "v1", "controllerrevisions", namespaced=True, kind="ControllerRevision")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", namespaced=True, kind="NetworkPolicy")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", namespaced=True, kind="Ingress")
INGRESS_CLASSES = Resource("networking.k8s.io", "v1", "ingressclasses", namespaced=False, kind="IngressClass")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", namespaced=True, kind="EndpointSlice")
LEASES = Resource("coordination.k8s.io", "v1", "leases", namespaced=True, kind="Lease")
DEVICE_CLASSES = Resource("resource.k8s.io", "v1", "deviceclasses", namespaced=False, kind="DeviceClass")
RESOURCE_SLICES = Resource("resource.k8s.io", "v1", "resourceslices", namespaced=False, kind="ResourceSlice")
RESOURCE_CLAIMS = Resource("resource.k8s.io", "v1", "resourceclaims", namespaced=True, kind="ResourceClaim")
RESOURCE_CLAIM_TEMPLATES = Resource(
    "resource.k8s.io", "v1", "resourceclaimtemplates", namespaced=True, kind="ResourceClaimTemplate"
)
POD_DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", namespaced=True, kind="PodDisruptionBudget")
EVENTS = Resource("events.k8s.io", "v1", "events", namespaced=True, kind="Event")
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False, kind="CustomResourceDefinition"
)

BUILT_IN: tuple[Resource, ...] = (
    PODS,
    SERVICES,
    CONFIG_MAPS,
    SECRETS,
    SERVICE_ACCOUNTS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    NODES,
    NAMESPACES,
    DEPLOYMENTS,
    REPLICA_SETS,
    CONTROLLER_REVISIONS,
    NETWORK_POLICIES,
    INGRESSES,
    INGRESS_CLASSES,
    ENDPOINT_SLICES,
    LEASES,
    DEVICE_CLASSES,
    RESOURCE_SLICES,
    RESOURCE_CLAIMS,
    RESOURCE_CLAIM_TEMPLATES,
    POD_DISRUPTION_BUDGETS,
    EVENTS,
    CUSTOM_RESOURCE_DEFINITIONS,
)

# Traefik's, served where its CRDs are installed.
INGRESS_ROUTE_TCPS = Resource("traefik.io", "v1alpha1", "ingressroutetcps", namespaced=True, kind="IngressRouteTCP")

# cert-manager's, likewise.
CERTIFICATES = Resource("cert-manager.io", "v1", "certificates", namespaced=True, kind="Certificate")

# Our own kinds, spelled out so that a process that reads none of them does not pay for pydantic; a test compares them
# with each api module's KindInfo.
VERTICAL_MODELS = Resource(names.GROUP, names.VERSION, "verticalmodels", namespaced=True, kind="VerticalModel")
MODEL_RUNTIMES = Resource(names.GROUP, names.VERSION, "modelruntimes", namespaced=False, kind="ModelRuntime")
OPERATING_STANDARDS = Resource(
    names.GROUP, names.VERSION, "operatingstandards", namespaced=False, kind="OperatingStandard"
)
EVIDENCES = Resource(names.GROUP, names.VERSION, "evidences", namespaced=True, kind="Evidence")
