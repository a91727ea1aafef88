"""The pinned pod template: rendered once per pod-relevant spec, kept in a ControllerRevision (DESIGN section 5).

New defaults or facts only set UpdatePending; the pods keep what was pinned until the user takes the update.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verticalmodel.api import names
from verticalmodel.api.schema import parse_quantity
from verticalmodel.api.source import EgressPeer
from verticalmodel.evidence import sha256_of
from verticalmodel.facts import Pin
from verticalmodel.plan import Plan
from verticalmodel.render.guard_config import guard_files
from verticalmodel.render.guard_drain import drain_path
from verticalmodel.render.metadata import ROLE_GUARD, ROLE_TEMPLATE, metadata
from verticalmodel.render.pod_template import GUARD_TLS_DIR, pod_template
from verticalmodel.render.protocols import endpoints
from verticalmodel.render.resource_claim_template import claim_template


@dataclass(frozen=True)
class Pinned:
    """What the pods are made of, and whether something newer waits."""

    pin: Pin
    digest: str
    update_pending: bool

    @property
    def template(self) -> dict[str, Any]:
        """The pod template as the Deployment gets it: marked with its digest."""
        meta = dict(self.pin.template["metadata"])
        meta["annotations"] = {**meta.get("annotations", {}), names.ANNOTATION_TEMPLATE_DIGEST: self.digest}
        return {**self.pin.template, "metadata": meta}


def pin(plan: Plan, newest: Pin | None) -> Pinned:
    """Keep the newest pin while its key is the plan's; else pin what the plan renders now."""
    files = guard_files(
        served=endpoints(plan.runtime, plan.owner.name, prober_authority=plan.platform.prober_authority),
        server_port=plan.runtime.port,
        drain_path=drain_path(plan.owner.uid),
        certificate_dir=GUARD_TLS_DIR,
        memory_limit_bytes=int(parse_quantity(plan.runtime.guard.memory)),
    )
    guard_config = names.child_name(plan.owner.name, f"{ROLE_GUARD}/{sha256_of(files)}")
    claim = claim_template(plan.owner, plan.gpus) if plan.gpus is not None and plan.gpus.by_claim else None
    fresh = pod_template(plan, guard_config, claim["name"] if claim else "")
    if newest is not None and newest.key == plan.pin_key:
        digest = template_digest(newest.template)
        return Pinned(newest, digest, update_pending=digest != template_digest(fresh))
    extras = {"name": guard_config, "data": files}
    name = names.child_name(plan.owner.name, f"{ROLE_TEMPLATE}/{plan.pin_key}/{sha256_of(fresh)}")
    revision = newest.revision + 1 if newest else 1
    kept = Pin(name, plan.pin_key, revision, fresh, extras, claim, [peer.wire() for peer in plan.source.egress])
    return Pinned(kept, template_digest(fresh), update_pending=False)


def kept(stored: Pin) -> Pinned:
    """The template that was let through last, while a newer one waits."""
    return Pinned(stored, template_digest(stored.template), update_pending=False)


def egress(plan: Plan, pinned: Pinned) -> tuple[EgressPeer, ...]:
    """Where the pods of this template get their parameters from."""
    stored = pinned.pin.egress
    return plan.source.egress if stored is None else tuple(EgressPeer.model_validate(peer) for peer in stored)


def template_digest(template: Mapping[str, Any]) -> str:
    """Digest of a pod template as pinned: what event evidence is bound to."""
    return sha256_of(template)


def controller_revision(plan: Plan, pinned: Pinned) -> dict[str, Any]:
    """The ControllerRevision that remembers the pinned template. Its data is immutable (apps/v1)."""
    kept = pinned.pin
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata(
            plan.owner,
            kept.name,
            component=ROLE_TEMPLATE,
            annotations={names.ANNOTATION_PIN: kept.key, names.ANNOTATION_TEMPLATE_DIGEST: pinned.digest},
        ),
        "revision": kept.revision,
        "data": {
            "template": kept.template,
            "guard": kept.extras,
            **({"claim": kept.claim} if kept.claim is not None else {}),
            **({"egress": kept.egress} if kept.egress is not None else {}),
        },
    }


def guard_config_map(plan: Plan, pinned: Pinned) -> dict[str, Any]:
    """The guard's files, named by content: a change is another object, so that running pods keep theirs."""
    extras = pinned.pin.extras
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(plan.owner, extras["name"], component=ROLE_GUARD),
        "immutable": True,
        "data": extras["data"],
    }
