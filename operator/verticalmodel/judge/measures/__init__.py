"""One file per measure: what it reads, what it ignores, and one pure function. MEASURES alone lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed
from verticalmodel.judge.measures import (
    cold_start,
    framework_supported,
    operating_system_supported,
    parameters_encrypted,
    sandbox_enforced,
    tenants_isolated,
    transport_encrypted,
)
from verticalmodel.judge.verdict import Verdict

__all__ = ["AT_WILL", "HOW", "MEASURES", "Measure"]

Measure = Callable[[Clause, Observed], Verdict]

MEASURES: Mapping[str, Measure] = {
    cold_start.NAME: cold_start.cold_start,
    framework_supported.NAME: framework_supported.framework_supported,
    operating_system_supported.NAME: operating_system_supported.operating_system_supported,
    parameters_encrypted.NAME: parameters_encrypted.parameters_encrypted,
    sandbox_enforced.NAME: sandbox_enforced.sandbox_enforced,
    tenants_isolated.NAME: tenants_isolated.tenants_isolated,
    transport_encrypted.NAME: transport_encrypted.transport_encrypted,
}
HOW: Mapping[str, str] = {
    one.NAME: one.HOW
    for one in (
        cold_start,
        framework_supported,
        operating_system_supported,
        parameters_encrypted,
        sandbox_enforced,
        tenants_isolated,
        transport_encrypted,
    )
}
"""How each measure is taken here, in a sentence; an edition may say only how one would be."""
AT_WILL = frozenset(MEASURES) - {cold_start.NAME, parameters_encrypted.NAME}
"""Measures that the prober takes anew when asked; a start and a delivery have happened once."""
