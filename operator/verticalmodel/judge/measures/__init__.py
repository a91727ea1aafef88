"""One file per measure: what it reads, what it ignores, and one pure function. The tables below alone list them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import ModuleType

from verticalmodel.api.operatingstandard import Clause, OperatingStandard
from verticalmodel.facts import Observed
from verticalmodel.judge.measures import (
    cold_start,
    framework_supported,
    gpu_memory_sufficient,
    loading_api_standard,
    mixed_precision_supported,
    operating_system_supported,
    parameters_encrypted,
    restart_within_budget,
    sandbox_enforced,
    scenarios_isolated,
    standard_current,
    tenants_isolated,
    transport_encrypted,
)
from verticalmodel.judge.verdict import Verdict

__all__ = ["AT_WILL", "HOW", "MEASURES", "PLATFORM_MEASURES", "Measure", "PlatformMeasure"]

Measure = Callable[[Clause, Observed], Verdict]
PlatformMeasure = Callable[[Clause, OperatingStandard, datetime], Verdict]
"""Of a clause that is judged once for all models."""

_JUDGES: Mapping[ModuleType, Measure] = {
    cold_start: cold_start.cold_start,
    framework_supported: framework_supported.framework_supported,
    gpu_memory_sufficient: gpu_memory_sufficient.gpu_memory_sufficient,
    loading_api_standard: loading_api_standard.loading_api_standard,
    mixed_precision_supported: mixed_precision_supported.mixed_precision_supported,
    operating_system_supported: operating_system_supported.operating_system_supported,
    parameters_encrypted: parameters_encrypted.parameters_encrypted,
    restart_within_budget: restart_within_budget.restart_within_budget,
    sandbox_enforced: sandbox_enforced.sandbox_enforced,
    scenarios_isolated: scenarios_isolated.scenarios_isolated,
    tenants_isolated: tenants_isolated.tenants_isolated,
    transport_encrypted: transport_encrypted.transport_encrypted,
}
_PLATFORM_JUDGES: Mapping[ModuleType, PlatformMeasure] = {standard_current: standard_current.standard_current}
MEASURES: Mapping[str, Measure] = {module.NAME: judge for module, judge in _JUDGES.items()}
PLATFORM_MEASURES: Mapping[str, PlatformMeasure] = {module.NAME: judge for module, judge in _PLATFORM_JUDGES.items()}
HOW: Mapping[str, str] = {module.NAME: module.HOW for module in (*_JUDGES, *_PLATFORM_JUDGES)}
"""How each measure is taken here, in a sentence; an edition may say only how one would be."""
AT_WILL = frozenset(MEASURES) - {cold_start.NAME, parameters_encrypted.NAME, restart_within_budget.NAME}
"""Measures that the prober takes anew when asked; a start, a delivery and an outage have happened once."""
