"""Clause 31, tenants are isolated by JWT, own keys and fine-grained access (part I, section (2), item 2 (2)).

Reads: the prober's `tenants-isolated` evidence for each pod of which anything runs (`pod/NAME`, bound to the pod's uid
and its server): what became of an inference, and of the look at the metadata that it begins with, without a token, with
a token by an unknown key, with an expired one, and with another tenant's.

The value is the number of these that were answered, worked out again from the observations; an entry that claims
another number speaks for nobody. One answer breaks the clause: it happened. Refusals count only if all four were tried
and refused by status 401 or 403, and an inference with the right token was answered beside them (`ownToken`): a door
that is shut to everybody is not a lock.

Ignores: what the spec or the guard's configuration say of tokens, and who may connect at all (clause 34).
"""

from __future__ import annotations

import math

from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed
from verticalmodel.judge.instances import Reading, of_each_pod
from verticalmodel.judge.verdict import Verdict, shortened

NAME = "tenants-isolated"
MEASURERS = frozenset({names.MANAGER_PROBER})
HOW = "The prober asks without a token, with a wrong one and with an expired one; another tenant's follows with tenants"

_WRONG = {
    "noToken": "without a token",
    "wrongToken": "with a token by an unknown key",
    "expiredToken": "with an expired token",
    "otherTenant": "with another tenant's token",
}
_OWN = "ownToken"
_ANSWERED = "answered"
_REFUSALS = ("refused 401", "refused 403")
_REMEDY = "This version of the operator has no tenants yet: until it has, let in trusted namespaces only (spec.access)"
_QUOTE_LIMIT = 80


def tenants_isolated(clause: Clause, observed: Observed) -> Verdict:
    """Clause 31 over the server of every pod; value in wrongly answered requests."""
    return of_each_pod(clause, observed, MEASURERS, lambda _: _read, remedy=_REMEDY, of_server=True)


def _read(entry: Entry) -> Reading:
    seen = {one.name: one.value for one in entry.observations}
    answered = [words for name, words in _WRONG.items() if seen.get(name) == _ANSWERED]
    if entry.value is None or not math.isclose(entry.value, len(answered)):
        return Reading(
            None, f"the claimed value {entry.value} contradicts the observations, which give {len(answered)}"
        )
    if answered:
        return Reading(float(len(answered)), f"a request for the model was answered {', '.join(answered)}")
    open_questions = [
        f"{name}: {shortened(seen.get(name, 'not tried'), _QUOTE_LIMIT)}"
        for name in _WRONG
        if seen.get(name) not in _REFUSALS
    ]
    if open_questions:
        return Reading(
            None, f"not every wrong way in was refused ({', '.join(open_questions)})", ClauseReason.NOT_MEASURED
        )
    if seen.get(_OWN) != _ANSWERED:
        return Reading(None, "called a measurement without an answer to the right token")
    return Reading(0.0, "all wrong tokens were refused, the right one was answered")
