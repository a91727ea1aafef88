"""The spec of a VerticalModel: what the user wants served."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from verticalmodel.api import names
from verticalmodel.api.certificate import ServingCertificate
from verticalmodel.api.exposure import Exposure
from verticalmodel.api.gpu import Gpu
from verticalmodel.api.labels import LabelSelector
from verticalmodel.api.pod_options import PodOptions
from verticalmodel.api.schema import Object, Quantity, at_least, at_most, validations
from verticalmodel.api.source import Source

Name = Annotated[str, StringConstraints(min_length=1, max_length=253)]


class RuntimeRef(Object):
    """Which ModelRuntime serves the model."""

    name: Name = Field(description="Name of a ModelRuntime, for example oip-onnx.")


class StandardRef(Object):
    """Which OperatingStandard judges the model."""

    name: Name = Field(
        description="Name of an OperatingStandard, for example vlm-2026; another than that takes the right to use it."
    )


class Resources(Object):
    """What the server container gets; requests equal limits, so that a neighbour cannot take it away."""

    cpu: Quantity = Field(default="1", description="Cores of the server container, for example 2 or 500m.")
    memory: Quantity = Field(
        default="1Gi",
        description="Memory of the server container, for example 4Gi; at least 256Mi. The parameters stay in memory "
        "and count, with 128Mi to unseal them.",
    )
    gpu: Gpu | None = Field(default=None, description="GPUs of the server container; default: none.")

    model_config = {
        "json_schema_extra": validations(
            at_least("memory", "256Mi"), at_most("memory", "64Ti"), at_least("cpu", "10m"), at_most("cpu", "4096")
        )
    }


class Startup(Object):
    """The start budget and what an overrun does."""

    budget_seconds: int | None = Field(
        default=None,
        ge=1,
        le=86400,
        description="Seconds from the pod's creation to the first good answer. Default: the standard's limit; may be "
        "stricter, never looser.",
    )
    enforcement: Literal["Enforce", "Report"] = Field(
        default="Enforce",
        description="Enforce restarts a server that overruns the budget; Report lets it go on, non-compliant.",
    )


class Access(Object):
    """Who may connect to the model's guard port."""

    namespace_selector: LabelSelector | None = Field(
        default=None,
        description="Namespaces whose pods may connect, in the place of the default, the model's own namespace: name "
        "that one too where its pods are to go on connecting.",
    )


class Rollout(Object):
    """How new pods take the place of old ones."""

    surge: bool | None = Field(
        default=None,
        description="True starts a new pod before an old one stops, which needs room for both; false stops one first. "
        "Default: true without GPUs, false with GPUs, where the last one would be waited for without end; but true "
        "where no node has such GPUs at all, so that what runs is not stopped for nothing.",
    )
    preflight: Literal["Run", "Skip"] = Field(
        default="Run",
        description="Before a rollout without surge stops a pod that serves: Run looks for the new images and "
        "parameters first, and Progressing says PreflightFailed where they are not there; Skip does not.",
    )


class VerticalModelSpec(Object):
    """What the user wants served."""

    runtime: RuntimeRef = Field(description="How the model is served.")
    source: Source = Field(description="Where the model's parameters come from.")
    replicas: int = Field(default=1, ge=0, le=1000, description="Serving pods; the scale subresource changes it.")
    suspend: bool = Field(
        default=False, description="True stops serving and keeps everything else; Ready says Suspended."
    )
    resources: Resources = Field(default=Resources(), description="What each serving pod's server gets.")
    startup: Startup = Field(default=Startup(), description="The start budget and its enforcement.")
    access: Access = Field(default=Access(), description="Who may connect.")
    exposure: Exposure | None = Field(
        default=None, description="How clients outside the cluster reach the model; default: not at all."
    )
    certificate: ServingCertificate | None = Field(
        default=None, description="Who signs the serving certificate; default: the built-in authority."
    )
    pod: PodOptions = Field(default=PodOptions(), description="Additions to the serving pods.")
    rollout: Rollout = Field(default=Rollout(), description="How new pods take the place of old ones.")
    standard: StandardRef = Field(
        default=StandardRef(name=names.DEFAULT_STANDARD), description="The rulebook that judges the model."
    )
    update: Annotated[str, StringConstraints(max_length=63)] = Field(
        default="",
        description="Any new value takes what UpdatePending offers (new operator defaults, a changed runtime); so does "
        "any other change of what the pods are made of.",
    )
