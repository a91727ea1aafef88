"""Clause 14, parameters are stored encrypted with AES-256 (part II, section (3), item 2).

Reads: the report that the init container `unseal` of each pod left as its termination message, as the API server has
it: whether what it delivered came from a sealed artifact.

Parameters that came plain lie plain at their source, so they break the clause: value 0. That they came sealed shows
only that the source holds no plain ones; nodes' disks and caches are not searched yet, so the clause is never True.

Ignores: what the spec says of keys, evidence of any measurer, pods whose parameters have not been delivered.
"""

from __future__ import annotations

from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed
from verticalmodel.judge.instances import Look, combine, unknown
from verticalmodel.judge.verdict import Verdict

NAME = "parameters-encrypted"
HOW = (
    "The report of each pod's unseal says whether its parameters came sealed with AES-256; plain ones break the "
    "clause. The nodes' disks are not searched yet, so it is never True"
)
_REMEDY = "Seal the parameters with `kubectl vmodel seal` and name their key in spec.source.key"


def parameters_encrypted(clause: Clause, observed: Observed) -> Verdict:
    """Clause 14 over what every pod was given; value in bits of the AES key, 0 for none."""
    given = [
        (pod, pod.delivery)
        for pod in observed.pods
        if pod.serving and pod.delivery is not None and pod.delivery.succeeded
    ]
    plain = [
        Look(f"pod/{pod.name}", "False", ClauseReason.THRESHOLD_EXCEEDED, "its parameters came plain", value=0.0)
        for pod, report in given
        if report.sealed is False
    ]
    if plain:
        return combine(clause, plain, nothing="", remedy=_REMEDY)
    sealed = sum(report.sealed is True for _, report in given)
    return unknown(
        clause,
        ClauseReason.NOT_MEASURED,
        f"{sealed} of {len(observed.pods)} pods were given parameters from a sealed artifact. Whether they lie in "
        "plain form on a node is not searched yet",
    )
