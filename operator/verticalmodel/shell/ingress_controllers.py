"""The setting INGRESS_CONTROLLERS: from where ingress controllers reach guards, and which hosts they give out."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, StringConstraints, TypeAdapter, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from verticalmodel.api.exposure import HOST
from verticalmodel.api.labels import LabelSelector
from verticalmodel.api.schema import Object
from verticalmodel.facts import IngressController

__all__ = ["parse_controllers"]


def _network(text: str) -> str:
    network = ip_network(text)
    if network.prefixlen == 0:
        raise ValueError(f"{text} is every address there is: name the ingress controller's own")
    return text


class _Entry(Object):
    """One ingress controller."""

    controller: Annotated[str, StringConstraints(min_length=1)]
    namespace_selector: LabelSelector | None = None
    cidrs: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    domains: tuple[Annotated[str, StringConstraints(pattern=HOST, max_length=253)], ...] = ()

    # An administrator's typing error must not leave a guard closed, or open, without a word.
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        selector = self.namespace_selector
        if selector is None and not self.cidrs:
            raise ValueError("namespaceSelector or cidrs is needed")
        if selector is not None and not (selector.match_labels or selector.match_expressions):
            raise ValueError(
                "an empty namespaceSelector is every namespace there is: name the ingress controller's own"
            )
        return self


_ENTRIES = TypeAdapter(tuple[_Entry, ...])


def parse_controllers(text: str) -> tuple[IngressController, ...]:
    """The setting's JSON list; empty where it is blank. Raises ValueError naming entry, field and what is allowed."""
    if not text.strip():
        return ()
    try:
        entries = _ENTRIES.validate_json(text)
    except ValidationError as error:
        told = "; ".join(f"{_place(one['loc'])}: {one['msg']}" for one in error.errors(include_url=False))
        raise ValueError(
            f"a JSON list of {{controller, namespaceSelector, cidrs, domains}} is needed: {told}"
        ) from error
    names = [entry.controller for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"named more than once: {', '.join(twice)}")
    return tuple(IngressController(one.controller, one.namespace_selector, one.cidrs, one.domains) for one in entries)


def _place(path: tuple[int | str, ...]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps) or "the setting"
