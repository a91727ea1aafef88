"""Labels and label selectors, in the words of meta/v1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from verticalmodel.api.schema import Object, cel, validations

LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$", max_length=317
    ),
]


class LabelSelectorRequirement(Object):
    """One requirement of a label selector."""

    key: LabelKey = Field(description="Label key, for example team or example.com/team.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How the values are compared.")
    values: tuple[LabelValue, ...] = Field(default=(), max_length=64, description="Values for In and NotIn.")

    # What Kubernetes itself demands of a selector: else it would be refused only when a NetworkPolicy is made of it.
    model_config = {
        "json_schema_extra": validations(
            cel(
                "(self.operator in ['In', 'NotIn']) == (size(self.values) > 0)",
                "In and NotIn need values, Exists and DoesNotExist have none",
                fieldPath=".values",
            )
        )
    }


class LabelSelector(Object):
    """Selects namespaces by label; an empty selector selects every namespace."""

    match_labels: dict[str, LabelValue] = Field(default={}, max_length=64, description="Labels that must all match.")
    match_expressions: tuple[LabelSelectorRequirement, ...] = Field(
        default=(), max_length=64, description="Requirements that must all hold."
    )

    # Atomic, as in Kubernetes: selectors of two writers merged would select what neither meant.
    model_config = {
        "json_schema_extra": {
            "x-kubernetes-map-type": "atomic",
            **validations(
                cel(
                    "self.matchLabels.all(key, !format.qualifiedName().validate(key).hasValue())",
                    "the keys of matchLabels must be label keys, for example team or example.com/team",
                    fieldPath=".matchLabels",
                )
            ),
        }
    }
