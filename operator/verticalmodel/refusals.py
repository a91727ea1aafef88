"""Why a model cannot be planned: the reasons of Accepted=False, each with a message that teaches. Pure.

A message names the field, its value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from verticalmodel.api import names
from verticalmodel.api.modelruntime import ModelRuntime
from verticalmodel.api.verticalmodel import VerticalModel


class RefusalReason(StrEnum):
    """Why a model cannot be planned; the reason of Accepted=False."""

    RUNTIME_NOT_FOUND = "RuntimeNotFound"
    RUNTIME_UNUSABLE = "RuntimeUnusable"
    STANDARD_NOT_FOUND = "StandardNotFound"
    FORMAT_NOT_SUPPORTED = "FormatNotSupported"
    STANDARD_UNUSABLE = "StandardUnusable"
    NAME_TAKEN = "NameTaken"
    DEVICE_CLASS_NOT_FOUND = "DeviceClassNotFound"
    LOOSER_THAN_STANDARD = "LooserThanStandard"
    HOST_NOT_ALLOWED = "HostNotAllowed"
    HOST_TAKEN = "HostTaken"
    INGRESS_CLASS_NOT_FOUND = "IngressClassNotFound"
    INGRESS_CONTROLLER_NOT_SUPPORTED = "IngressControllerNotSupported"
    INGRESS_CONTROLLER_NOT_NAMED = "IngressControllerNotNamed"
    ROUTE_KIND_NOT_SERVED = "RouteKindNotServed"
    CERT_MANAGER_NOT_INSTALLED = "CertManagerNotInstalled"
    CA_BUNDLE_UNREADABLE = "CABundleUnreadable"


@dataclass(frozen=True)
class Refusal:
    """Why nothing was changed."""

    reason: RefusalReason
    message: str


def no_runtime(model: VerticalModel) -> Refusal:
    """The ModelRuntime does not exist."""
    return Refusal(
        RefusalReason.RUNTIME_NOT_FOUND,
        f"spec.runtime.name: there is no ModelRuntime {model.spec.runtime.name!r}; "
        "`kubectl get modelruntimes` lists what there is",
    )


def runtime_unusable(model: VerticalModel, fields: str) -> Refusal:
    """The ModelRuntime was stored when its kind had fewer rules."""
    name = model.spec.runtime.name
    return Refusal(
        RefusalReason.RUNTIME_UNUSABLE,
        f"spec.runtime.name: ModelRuntime {name!r} breaks a rule of its kind that was not there when it was stored, in "
        f"{fields}; `kubectl explain modelruntime.spec` tells the rules, and what runs keeps running meanwhile",
    )


def no_standard(model: VerticalModel) -> Refusal:
    """The OperatingStandard does not exist."""
    return Refusal(
        RefusalReason.STANDARD_NOT_FOUND,
        f"spec.standard.name: there is no OperatingStandard {model.spec.standard.name!r}; "
        "`kubectl get operatingstandards` lists what there is",
    )


def standard_unusable(standard: str, objection: str) -> Refusal:
    """The standard's own data cannot be used for this model."""
    return Refusal(
        RefusalReason.STANDARD_UNUSABLE,
        f"spec.standard.name: OperatingStandard {standard!r} cannot be used: {objection}",
    )


def source(model: VerticalModel, runtime: ModelRuntime) -> Refusal | None:
    """The runtime cannot serve this source; None where it can."""
    wanted = model.spec.source
    if wanted.format not in runtime.spec.formats:
        return Refusal(
            RefusalReason.FORMAT_NOT_SUPPORTED,
            f"spec.source.format: runtime {runtime.metadata.name!r} does not load {wanted.format!r}; "
            f"it loads {', '.join(runtime.spec.formats)}",
        )
    return None


def name(model: VerticalModel, occupied: Collection[str]) -> Refusal | None:
    """A child's name belongs to somebody else; None where all are free."""
    if not occupied:
        return None
    return Refusal(
        RefusalReason.NAME_TAKEN,
        f"metadata.name: {', '.join(sorted(occupied))} exists in namespace "
        f"{model.metadata.namespace!r} and belongs to somebody else; rename the model or remove that object",
    )


def looser(objection: str) -> Refusal:
    """A wish below the standard; `objection` names the field, its value and the limit."""
    return Refusal(RefusalReason.LOOSER_THAN_STANDARD, f"{objection}; a model may be stricter, never looser")


def no_device_class() -> Refusal:
    """Dynamic resource allocation was insisted on where there is none for GPUs."""
    return Refusal(
        RefusalReason.DEVICE_CLASS_NOT_FOUND,
        f"spec.resources.gpu.allocation: DRA needs DeviceClass {names.GPU_DEVICE_CLASS!r}, which does not exist; "
        "install the GPU driver for dynamic resource allocation, or write Auto or DevicePlugin",
    )
