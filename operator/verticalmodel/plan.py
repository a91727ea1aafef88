"""Every choice about one model, made once (DESIGN section 5). Pure: facts in, a Plan or a typed Refusal out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from verticalmodel import refusals
from verticalmodel.api import names
from verticalmodel.api.certificate import IssuerRef
from verticalmodel.api.gpu import Gpu
from verticalmodel.api.labels import LabelSelector
from verticalmodel.api.model_spec import Rollout
from verticalmodel.api.modelruntime import ModelRuntimeSpec
from verticalmodel.api.operatingstandard import OperatingStandard
from verticalmodel.api.pod_options import PodOptions
from verticalmodel.api.schema import parse_quantity
from verticalmodel.api.source import Source
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.evidence import sha256_of
from verticalmodel.exposure import Exposed, exposed
from verticalmodel.facts import Facts, Pin, Platform
from verticalmodel.gpus import GpuRequest, by_claim, looser, resolve, unusable
from verticalmodel.node_fit import fits_somewhere
from verticalmodel.refusals import Refusal
from verticalmodel.seal.sizing import HEADROOM_BYTES
from verticalmodel.serving_certificate import issuer
from verticalmodel.user_namespaces import supported

MODEL_MOUNT = "/mnt/models"
PARAMETERS = f"{MODEL_MOUNT}/parameters"
"""Where the server finds the parameters, inside its container: a folder that appears once all of it is verified."""
COLD_START_MEASURE = "cold-start"
_DEFAULT_BUDGET_SECONDS = 300
_POD_FIELDS = ("runtime", "source", "resources", "startup", "pod", "update")


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
    source: Source
    claim: str
    """The PersistentVolumeClaim of a pvc:// source; empty for a remote one."""
    memory_bytes: int
    parameters_bytes: int
    """The most that the parameters may take of the memory."""
    cpu: str
    memory: str
    start_budget_seconds: int
    restarts_on_overrun: bool
    gpus: GpuRequest | None
    pod: PodOptions
    own_users: bool
    """Whether the pods run in a user namespace (decision 6)."""
    surge: bool
    """Whether a rollout starts new pods before it stops old ones."""
    surge_wished: bool
    """Whether the model itself asks for that."""
    preflight: bool
    """Whether a rollout that does not is tried first."""
    clients: LabelSelector
    """Namespaces whose pods may connect."""
    pin_key: str
    """Hash of the spec's part that pods are made of."""
    exposed: Exposed | None = None
    """The way from outside; None where clients of the cluster alone connect."""
    issuer: IssuerRef | None = None
    """cert-manager's issuer of the serving certificate; None where the built-in authority signs."""
    makes_way: bool = False
    """Whether all old pods stop at once, because none of them ever served."""


def plan(model: VerticalModel, facts: Facts) -> Plan | Refusal:
    """The model's plan, or the first reason why there is none."""
    runtime, standard = facts.runtime, facts.standard
    if runtime is None:
        broken = facts.runtime_broken
        return refusals.no_runtime(model) if broken is None else refusals.runtime_unusable(model, broken)
    if standard is None:
        return refusals.no_standard(model)
    refusal = refusals.source(model, runtime) or refusals.name(model, facts.occupied)
    if refusal is not None:
        return refusal
    budget = start_budget(model, standard)
    gpus = gpu_request(model.spec.resources.gpu, standard, facts.device_classes)
    if isinstance(budget, Refusal):
        return budget
    if isinstance(gpus, Refusal):
        return gpus
    return _reached(_resolved(model, facts, runtime.spec, budget, gpus), model, facts)


def _reached(resolved: Plan, model: VerticalModel, facts: Facts) -> Plan | Refusal:
    """The plan with the way from outside and the certificate's issuer."""
    way, signer = exposed(model, facts), issuer(model, facts)
    if isinstance(way, Refusal):
        return way
    return signer if isinstance(signer, Refusal) else replace(resolved, exposed=way, issuer=signer)


def start_budget(model: VerticalModel, standard: OperatingStandard) -> int | Refusal:
    """Seconds from pod creation to the first good answer: the standard's limit (clause 7), or a stricter wish."""
    limits = [clause.limit for clause in standard.spec.clauses if clause.measure == COLD_START_MEASURE]
    limit = math.floor(min(limits)) if limits else _DEFAULT_BUDGET_SECONDS
    wish = model.spec.startup.budget_seconds
    if wish is not None and limits and wish > limit:
        return refusals.looser(
            f"spec.startup.budgetSeconds: {wish} is looser than the {limit} seconds of {standard.metadata.name!r}"
        )
    return limit if wish is None else wish


def gpu_request(
    wish: Gpu | None, standard: OperatingStandard, device_classes: frozenset[str]
) -> GpuRequest | Refusal | None:
    """What the pods need of GPUs; None for a model without."""
    if wish is None:
        return None
    broken = unusable(standard)
    if broken:
        return refusals.standard_unusable(standard.metadata.name, broken)
    objection = looser(wish, standard)
    if objection:
        return refusals.looser(objection)
    claimed = by_claim(wish, device_classes)
    if claimed is None:
        return refusals.no_device_class()
    return resolve(wish, standard, by_claim=claimed)


def pin_key(model: VerticalModel) -> str:
    """Hash of the part of the spec that pods are made of.

    Scaling, suspending, granting access or naming another standard changes no pod, so they take no update either.
    Fields at their default are left out: one that a newer operator adds must not restart what runs.
    """
    spec = model.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    made_of = {field: spec[field] for field in _POD_FIELDS if field in spec}
    # Pods mount one Secret or the other; which issuer fills it, and what verifies it, is nothing to them.
    return sha256_of({**made_of, "certificate": "issued"} if model.spec.certificate is not None else made_of)


def asks_for_volume(model: VerticalModel, facts: Facts) -> bool:
    """Whether the decision on a user namespace hangs on the volume behind the model's claim alone."""
    return not _own_users(model, facts) and _own_users(model, replace(facts, claim_id_mapped=True))


def owner_of(model: VerticalModel) -> Owner:
    """The model as the owner of its children."""
    return Owner(model.metadata.name, model.metadata.namespace, model.metadata.uid)


def claim_of(model: VerticalModel) -> str:
    """The PersistentVolumeClaim of a pvc:// source; empty for a remote one."""
    scheme, _, rest = model.spec.source.uri.partition("://")
    return rest.partition("/")[0] if scheme == "pvc" else ""


def _own_users(model: VerticalModel, facts: Facts) -> bool:
    pod = model.spec.pod
    if pod.host_users is not None:
        return not pod.host_users
    known = not claim_of(model) or facts.claim_id_mapped or _pinned_with_own_users(model, facts.pin)
    return known and supported(facts.nodes, pod.node_selector, runtime_class=bool(pod.runtime_class_name))


def _pinned_with_own_users(model: VerticalModel, pin: Pin | None) -> bool:
    """Whether the template in force has decided: a volume's file system does not change."""
    return pin is not None and pin.key == pin_key(model) and pin.template["spec"].get("hostUsers") is False


def _surge(rollout: Rollout, gpus: GpuRequest | None, facts: Facts) -> bool:
    """Without a wish: GPU pods stop before new ones start, unless no node could ever take the new ones."""
    if rollout.surge is not None:
        return rollout.surge
    return gpus is None or not fits_somewhere(gpus, facts.nodes)


def _resolved(
    model: VerticalModel, facts: Facts, runtime: ModelRuntimeSpec, budget: int, gpus: GpuRequest | None
) -> Plan:
    memory = int(parse_quantity(model.spec.resources.memory))
    own_namespace = LabelSelector(match_labels={"kubernetes.io/metadata.name": model.metadata.namespace})
    # The API server has checked the quantities; parsing them here makes a broken one fail in the pure core.
    parse_quantity(model.spec.resources.cpu)
    return Plan(
        owner=owner_of(model),
        platform=facts.platform,
        runtime=runtime,
        replicas=0 if model.spec.suspend else model.spec.replicas,
        source=model.spec.source,
        claim=claim_of(model),
        memory_bytes=memory,
        parameters_bytes=max(memory - HEADROOM_BYTES, 0),
        cpu=model.spec.resources.cpu,
        memory=model.spec.resources.memory,
        start_budget_seconds=budget,
        restarts_on_overrun=model.spec.startup.enforcement == "Enforce",
        gpus=gpus,
        pod=model.spec.pod,
        own_users=_own_users(model, facts),
        surge=_surge(model.spec.rollout, gpus, facts),
        surge_wished=model.spec.rollout.surge is True,
        preflight=model.spec.rollout.preflight == "Run",
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
