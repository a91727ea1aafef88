"""ModelRuntime: how to run a server. Presets are plain objects of this kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from verticalmodel.api import names
from verticalmodel.api.schema import (
    KindInfo,
    Object,
    PrinterColumn,
    Quantity,
    at_least,
    at_most,
    cel,
    list_map,
    list_set,
    validations,
)

Text = Annotated[str, StringConstraints(max_length=4096)]
# A segment is neither ., .. nor empty: the guard resolves those before it compares, so such a path would never match.
_SEGMENT = r"/(\.{0,2}[A-Za-z0-9_-][A-Za-z0-9_.-]*|\.{3}[A-Za-z0-9_.-]*)"
HttpPath = Annotated[str, StringConstraints(pattern=rf"^(({_SEGMENT})+/?|/)$", max_length=253)]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=253)]

# All containers of a pod share its addresses.
GUARD_PORTS = (names.GUARD_PORT, names.DRAIN_PORT)
_GUARD_PORTS = " and ".join(str(port) for port in GUARD_PORTS)

# Set by the operator in every server container; a runtime refers to them as $(MODEL_NAME) and so on.
RESERVED_ENV = ("MODEL_NAME", "MODEL_PATH", "SERVER_PORT", "CPU_LIMIT")


class EnvVar(Object):
    """One literal environment variable."""

    name: EnvName = Field(description="Variable name.")
    value: Text = Field(default="", description="Literal value; $(NAME) refers to earlier variables.")


class Probes(Object):
    """Where the server says that it lives and that it is ready, on its loopback port."""

    live_path: HttpPath = Field(default="/v2/health/live", description="200 while the process works.")
    ready_path: HttpPath = Field(default="/v2/health/ready", description="200 once the model answers.")


class Route(Object):
    """One path that clients of a custom protocol may ask for."""

    path: HttpPath = Field(description="Exact path; no prefix is ever opened.")
    method: Literal["GET", "POST"] = Field(
        default="POST", description="POST takes a body of a declared size: inference. GET is metadata."
    )

    model_config = {
        "json_schema_extra": validations(
            cel(
                "!self.path.startsWith('/healthz/') && !self.path.startsWith('/guard/')",
                "/healthz/ and /guard/ belong to the guard; choose another path",
                fieldPath=".path",
            )
        )
    }


class Scratch(Object):
    """Memory volumes that the server may write to; what it writes counts against its memory limit."""

    tmp: Quantity = Field(default="16Mi", description="Size of /tmp.")
    shared_memory: Quantity | None = Field(
        default=None, description="Size of /dev/shm; without it the container runtime's 64 MiB."
    )

    model_config = {
        "json_schema_extra": validations(
            at_least("tmp", "1Mi"),
            at_most("tmp", "1Ti"),
            at_least("sharedMemory", "1Mi", optional=True),
            at_most("sharedMemory", "1Ti", optional=True),
        )
    }


class RuntimeResources(Object):
    """What the guard sidecar gets beside the server."""

    cpu: Quantity = Field(default="250m", description="Cores of the guard.")
    memory: Quantity = Field(default="128Mi", description="Memory of the guard.")

    model_config = {
        "json_schema_extra": validations(
            at_least("memory", "32Mi"), at_most("memory", "64Gi"), at_least("cpu", "10m"), at_most("cpu", "64")
        )
    }


class ModelRuntimeSpec(Object):
    """How to run a server for models of the listed formats."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(description="Image of the server.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="When the image is pulled."
    )
    command: tuple[Text, ...] = Field(
        min_length=1, max_length=64, description="Explicit command: an image's own entry point is never relied on."
    )
    args: tuple[Text, ...] = Field(
        default=(),
        max_length=256,
        description="Arguments. $(MODEL_NAME), $(MODEL_PATH), $(SERVER_PORT) and $(CPU_LIMIT) are set by the operator.",
    )
    env: tuple[EnvVar, ...] = Field(
        default=(), max_length=128, description="Further environment variables.", json_schema_extra=list_map("name")
    )
    port: int = Field(
        default=8080,
        ge=1024,
        le=65535,
        description=f"Port the server listens on, on 127.0.0.1 only; never {_GUARD_PORTS}, which are the guard's.",
    )
    protocol: Literal["open-inference-v2", "openai", "Custom"] = Field(
        default="open-inference-v2",
        description="Protocol that clients speak: the guard opens its inference and metadata calls, and nothing else. "
        "Custom: what `routes` lists.",
    )
    routes: tuple[Route, ...] = Field(
        default=(),
        max_length=32,
        description="For protocol Custom: what clients may ask for.",
        json_schema_extra=list_map("path"),
    )
    timeout_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="An inference takes no longer; a pod that ends waits as long for those in flight, and the prober "
        "for the answer to its canary, though a minute at the most.",
    )
    formats: tuple[
        Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=63)], ...
    ] = Field(
        min_length=1, max_length=32, description="Formats of parameters it can load.", json_schema_extra=list_set()
    )
    probes: Probes = Field(default=Probes(), description="Probe paths of the server.")
    guard: RuntimeResources = Field(default=RuntimeResources(), description="Resources of the guard sidecar.")
    scratch: Scratch = Field(default=Scratch(), description="What the server may write to.")
    sample_request: Annotated[str, StringConstraints(max_length=65536)] = Field(
        default="",
        description="Body of a harmless inference request as JSON. Empty: the prober forms one from the metadata, and "
        "asks nothing of a custom protocol. For that it goes to the first route with POST.",
    )

    model_config = {
        "json_schema_extra": validations(
            cel(
                "(self.protocol == 'Custom') == (size(self.routes) > 0)",
                "protocol Custom needs routes, every other protocol knows its own; leave them out there",
                fieldPath=".routes",
            ),
            cel(
                f"!(self.port in {list(GUARD_PORTS)})",
                f"ports {_GUARD_PORTS} belong to the guard; choose another",
                fieldPath=".port",
            ),
            cel(
                f"self.env.all(e, !(e.name in {list(RESERVED_ENV)}))",
                f"env must not set any of {', '.join(RESERVED_ENV)}: the operator sets them",
                fieldPath=".env",
            ),
        )
    }

    @field_validator("port")
    @classmethod
    def _not_the_guards(cls, port: int) -> int:
        """An object of an older kind's rules may be stored with one."""
        if port in GUARD_PORTS:
            raise ValueError(f"ports {_GUARD_PORTS} belong to the guard")
        return port


class ClusterMeta(Object):
    """The part of a cluster-scoped object's metadata that decisions read."""

    name: str
    uid: str = ""
    generation: int = 1
    resource_version: str = ""


class ModelRuntime(Object):
    """How to run a model server: image, explicit command, port, formats, probe hints and a sample request."""

    metadata: ClusterMeta
    spec: ModelRuntimeSpec = Field(description="How to run the server.")


KIND = KindInfo(
    kind="ModelRuntime",
    plural="modelruntimes",
    short_names=("mruntime",),
    scope="Cluster",
    columns=(
        PrinterColumn("Image", ".spec.image"),
        PrinterColumn("Formats", ".spec.formats"),
        PrinterColumn("Protocol", ".spec.protocol"),
        PrinterColumn("Age", ".metadata.creationTimestamp", type="date"),
    ),
)
