"""Every choice about one model, made once (DESIGN section 5). Pure: facts in, a Plan or a typed Refusal out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from verticalmodel.api import names
from verticalmodel.api.modelruntime import ModelRuntimeSpec
from verticalmodel.api.operatingstandard import OperatingStandard
from verticalmodel.api.schema import parse_quantity
from verticalmodel.api.verticalmodel import LabelSelector, VerticalModel
from verticalmodel.evidence import sha256_of
from verticalmodel.facts import Facts, Platform

MODEL_MOUNT = "/mnt/models"
COLD_START_MEASURE = "cold-start"
_DEFAULT_BUDGET_SECONDS = 300


class RefusalReason(StrEnum):
    """Why a model cannot be planned; the reason of Accepted=False."""

    RUNTIME_NOT_FOUND = "RuntimeNotFound"
    STANDARD_NOT_FOUND = "StandardNotFound"
    FORMAT_NOT_SUPPORTED = "FormatNotSupported"
    DIGEST_NOT_VERIFIABLE = "DigestNotVerifiable"
    NAME_TAKEN = "NameTaken"
    LOOSER_THAN_STANDARD = "LooserThanStandard"


@dataclass(frozen=True)
class Refusal:
    """Why nothing was changed. The message names the field, its value and what is allowed."""

    reason: RefusalReason
    message: str


@dataclass(frozen=True)
class Owner:
    """The model that owns the children."""

    name: str
    namespace: str
    uid: str


@dataclass(frozen=True)
class Plan:
    """Every choice, resolved. Rendering reads this and nothing else."""

    owner: Owner
    platform: Platform
    runtime: ModelRuntimeSpec
    replicas: int
    claim: str
    model_path: str
    """Where the server finds the parameters, inside its container."""
    cpu: str
    memory: str
    start_budget_seconds: int
    restarts_on_overrun: bool
    clients: LabelSelector
    """Namespaces whose pods may connect."""
    pin_key: str
    """Hash of the spec's part that pods are made of."""


def plan(model: VerticalModel, facts: Facts) -> Plan | Refusal:
    """The model's plan, or the first reason why there is none."""
    runtime, standard = facts.runtime, facts.standard
    if runtime is None:
        return Refusal(
            RefusalReason.RUNTIME_NOT_FOUND,
            f"spec.runtime.name: there is no ModelRuntime {model.spec.runtime.name!r}; "
            "`kubectl get modelruntimes` lists what there is",
        )
    if standard is None:
        return Refusal(
            RefusalReason.STANDARD_NOT_FOUND,
            f"spec.standard.name: there is no OperatingStandard {model.spec.standard.name!r}; "
            "`kubectl get operatingstandards` lists what there is",
        )
    if model.spec.source.format not in runtime.spec.formats:
        return Refusal(
            RefusalReason.FORMAT_NOT_SUPPORTED,
            f"spec.source.format: runtime {runtime.metadata.name!r} does not load {model.spec.source.format!r}; "
            f"it loads {', '.join(runtime.spec.formats)}",
        )
    if model.spec.source.digest is not None:
        return Refusal(
            RefusalReason.DIGEST_NOT_VERIFIABLE,
            f"spec.source.digest: {model.spec.source.digest!r} cannot be verified for a pvc:// source by this version; "
            "serving unverified content under a digest would be a lie, so leave the field out",
        )
    if facts.occupied:
        return Refusal(
            RefusalReason.NAME_TAKEN,
            f"metadata.name: {', '.join(sorted(facts.occupied))} exists in namespace "
            f"{model.metadata.namespace!r} and belongs to somebody else; rename the model or remove that object",
        )
    budget = start_budget(model, standard)
    return budget if isinstance(budget, Refusal) else _resolved(model, facts.platform, runtime.spec, budget)


def start_budget(model: VerticalModel, standard: OperatingStandard) -> int | Refusal:
    """Seconds from pod creation to the first good answer: the standard's limit (clause 7), or a stricter wish."""
    limits = [clause.limit for clause in standard.spec.clauses if clause.measure == COLD_START_MEASURE]
    limit = math.floor(min(limits)) if limits else _DEFAULT_BUDGET_SECONDS
    wish = model.spec.startup.budget_seconds
    if wish is not None and limits and wish > limit:
        return Refusal(
            RefusalReason.LOOSER_THAN_STANDARD,
            f"spec.startup.budgetSeconds: {wish} is looser than the {limit} seconds of "
            f"{standard.metadata.name!r}; a model may be stricter, never looser",
        )
    return limit if wish is None else wish


def pin_key(model: VerticalModel) -> str:
    """Hash of the part of the spec that pods are made of.

    Scaling, suspending, granting access or naming another standard changes no pod, so they take no update either.
    """
    spec = model.spec.wire()
    return sha256_of({field: spec[field] for field in ("runtime", "source", "resources", "startup", "update")})


def _resolved(model: VerticalModel, platform: Platform, runtime: ModelRuntimeSpec, budget: int) -> Plan:
    claim, _, path = model.spec.source.uri.removeprefix("pvc://").partition("/")
    own_namespace = LabelSelector(match_labels={"kubernetes.io/metadata.name": model.metadata.namespace})
    # The API server has checked the quantities; parsing them here makes a broken one fail in the pure core.
    parse_quantity(model.spec.resources.cpu)
    parse_quantity(model.spec.resources.memory)
    return Plan(
        owner=Owner(model.metadata.name, model.metadata.namespace, model.metadata.uid),
        platform=platform,
        runtime=runtime,
        replicas=0 if model.spec.suspend else model.spec.replicas,
        claim=claim,
        model_path=f"{MODEL_MOUNT}/{path}" if path else MODEL_MOUNT,
        cpu=model.spec.resources.cpu,
        memory=model.spec.resources.memory,
        start_budget_seconds=budget,
        restarts_on_overrun=model.spec.startup.enforcement == "Enforce",
        clients=model.spec.access.namespace_selector or own_namespace,
        pin_key=pin_key(model),
    )


def labels(owner: Owner) -> dict[str, str]:
    """Labels of every child."""
    return {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_MODEL: owner.name,
        names.LABEL_MODEL_UID: owner.uid,
    }


def selector(owner: Owner) -> dict[str, str]:
    """Labels that select the model's serving pods."""
    return {names.LABEL_MODEL: owner.name, names.LABEL_COMPONENT: names.CONTAINER_SERVER}
