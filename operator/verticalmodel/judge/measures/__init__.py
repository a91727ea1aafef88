"""One file per measure: what it reads, what it ignores, and one pure function. MEASURES alone lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType

from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed
from verticalmodel.judge.measures import (
    cold_start,
    framework_supported,
    gpu_memory_sufficient,
    mixed_precision_supported,
    operating_system_supported,
    parameters_encrypted,
    restart_within_budget,
    sandbox_enforced,
    scenarios_isolated,
    tenants_isolated,
    transport_encrypted,
)
from verticalmodel.judge.verdict import Verdict

__all__ = ["AT_WILL", "HOW", "MEASURES", "Measure"]

Measure = Callable[[Clause, Observed], Verdict]

_JUDGES: Mapping[ModuleType, Measure] = {
    cold_start: cold_start.cold_start,
    framework_supported: framework_supported.framework_supported,
    gpu_memory_sufficient: gpu_memory_sufficient.gpu_memory_sufficient,
    mixed_precision_supported: mixed_precision_supported.mixed_precision_supported,
    operating_system_supported: operating_system_supported.operating_system_supported,
    parameters_encrypted: parameters_encrypted.parameters_encrypted,
    restart_within_budget: restart_within_budget.restart_within_budget,
    sandbox_enforced: sandbox_enforced.sandbox_enforced,
    scenarios_isolated: scenarios_isolated.scenarios_isolated,
    tenants_isolated: tenants_isolated.tenants_isolated,
    transport_encrypted: transport_encrypted.transport_encrypted,
}
MEASURES: Mapping[str, Measure] = {module.NAME: judge for module, judge in _JUDGES.items()}
HOW: Mapping[str, str] = {module.NAME: module.HOW for module in _JUDGES}
"""How each measure is taken here, in a sentence; an edition may say only how one would be."""
AT_WILL = frozenset(MEASURES) - {cold_start.NAME, parameters_encrypted.NAME, restart_within_budget.NAME}
"""Measures that the prober takes anew when asked; a start, a delivery and an outage have happened once."""
