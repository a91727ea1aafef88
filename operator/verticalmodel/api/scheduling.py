"""Where pods may run, in the words of core/v1; checked by the API server when the pods are made of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from verticalmodel.api.labels import LabelKey, LabelSelector, LabelValue
from verticalmodel.api.schema import Object

# A toleration without a key tolerates every taint.
TaintKey = Annotated[str, StringConstraints(max_length=317)]
TopologyKey = Annotated[str, StringConstraints(min_length=1, max_length=317)]
Value = Annotated[str, StringConstraints(max_length=63)]


class Toleration(Object):
    """One taint that the pods tolerate."""

    key: TaintKey = Field(default="", description="Key of the taint; empty with Exists tolerates every taint.")
    operator: Literal["Exists", "Equal"] = Field(default="Equal", description="Exists ignores the value.")
    value: LabelValue = Field(default="", description="Value of the taint, for Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; default: every effect."
    )
    toleration_seconds: int | None = Field(
        default=None, ge=0, le=86400, description="Seconds to stay after a NoExecute taint; default: for ever."
    )


class NodeSelectorRequirement(Object):
    """One requirement of a node's labels."""

    key: LabelKey = Field(description="Label key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(description="How values compare.")
    values: tuple[Value, ...] = Field(default=(), max_length=32, description="Values; one integer for Gt and Lt.")


class NodeSelectorTerm(Object):
    """Requirements that must all hold."""

    match_expressions: tuple[NodeSelectorRequirement, ...] = Field(
        default=(), max_length=32, description="Requirements by node labels."
    )


class NodeSelector(Object):
    """Terms of which one must hold."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] = Field(
        min_length=1, max_length=16, description="Terms; one must hold."
    )


class PreferredSchedulingTerm(Object):
    """A preference with its weight."""

    weight: int = Field(ge=1, le=100, description="Weight from 1 to 100.")
    preference: NodeSelectorTerm = Field(description="What is preferred.")


class NodeAffinity(Object):
    """Which nodes."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = Field(
        default=None, description="What a node must have."
    )
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredSchedulingTerm, ...] = Field(
        default=(), max_length=16, description="What is better."
    )


class PodAffinityTerm(Object):
    """Pods to be near to, or far from."""

    label_selector: LabelSelector = Field(description="Which pods, of the model's namespace.")
    topology_key: TopologyKey = Field(description="Node label whose equal value means near, e.g. a zone.")


class WeightedPodAffinityTerm(Object):
    """A preference with its weight."""

    weight: int = Field(ge=1, le=100, description="Weight from 1 to 100.")
    pod_affinity_term: PodAffinityTerm = Field(description="What is preferred.")


class PodAffinity(Object):
    """Nearness to other pods."""

    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = Field(
        default=(), max_length=16, description="What must be."
    )
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = Field(
        default=(), max_length=16, description="What is better."
    )


class Affinity(Object):
    """Where pods may or should run."""

    node_affinity: NodeAffinity | None = Field(default=None, description="Which nodes.")
    pod_affinity: PodAffinity | None = Field(default=None, description="Near which pods.")
    pod_anti_affinity: PodAffinity | None = Field(default=None, description="Far from which pods.")
