"""Clause 13, data in transit is encrypted with TLS 1.3 (part II, section (3), item 2 (1)).

Reads: the prober's `transport-encrypted` evidence for every endpoint of the model, that is each pod of which anything
runs, ready or not (`pod/NAME:8443`, bound to the pod's uid, and where it names a container, to the guard that runs
now), and the Service (`service/NAME:443`, bound to its uid, and measured since the oldest pod behind it was made).

The value is the lowest version that the endpoint accepts: 1.3, 1.2, 1.1, 1.0, or 0 where it answers in plain text. It
is worked out again from the observations, and an entry whose value says something else speaks for nobody. An acceptance
of an old version counts as it is: it happened. Refusals count only if all of these hold:
- each is of the expected kind: the alert protocol_version, handshake_failure or insufficient_security (RFC 8446 section
  6.2), or for plain text a close or a TLS alert in place of an answer;
- TLS 1.3 was accepted, and positive controls to the same address succeeded before and after, at most
  `parameters.controlGapSeconds` apart;
- the certificate verified, else nobody knows whose refusals these are.

Ignores: what was rendered or configured, cipher suites and groups of TLS 1.3 (all of them are of TLS 1.3), the
certificate's last day (a control with an expired certificate fails), and entries for anything but the endpoints above.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime

from verticalmodel.api import names
from verticalmodel.api.conditions import ClauseReason
from verticalmodel.api.evidence import Entry
from verticalmodel.api.operatingstandard import Clause
from verticalmodel.facts import Observed
from verticalmodel.judge.admissible import Instance
from verticalmodel.judge.instances import Reader, Reading, combine, container_id, examine, missing, runs
from verticalmodel.judge.verdict import Verdict, shortened

NAME = "transport-encrypted"
MEASURERS = frozenset({names.MANAGER_PROBER})
HOW = "The prober tries TLS 1.3, each older version and plain text at every pod and at the Service"

_MODERN = 1.3
_OFFERS = {"tls1.2": 1.2, "tls1.1": 1.1, "tls1.0": 1.0, "plain": 0.0}
_VERSIONS = {"1.3": 1.3, "1.2": 1.2, "1.1": 1.1, "1.0": 1.0}
_DECLINING = ("alert protocol_version", "alert handshake_failure", "alert insufficient_security")
_CONTROLS = ("control.before", "control.after")
_CONTROL_GAP_SECONDS = "1"
_NOTHING = "No pod of the model runs, so there is no endpoint to measure"
_REMEDY = "Find what listens there beside the guard, which speaks TLS 1.3 only, and remove it"
_QUOTE_LIMIT = 80


def transport_encrypted(clause: Clause, observed: Observed) -> Verdict:
    """Clause 13 over every endpoint; value in TLS versions, plain text is 0."""
    gap = float(clause.parameters.get("controlGapSeconds", _CONTROL_GAP_SECONDS))
    looks = examine(clause, observed, MEASURERS, _expected(observed, lambda entry: _read(entry, gap)))
    if not any(runs(pod) and pod.owned for pod in observed.pods):
        # A Service with nothing of the model's behind it: what was measured of it was other pods.
        looks = tuple(look for look in looks if look.status == "False")
    elif observed.service is None:
        looks = (*looks, missing(_service(observed.model.metadata.name), "the model's Service does not exist"))
    return combine(clause, looks, nothing=_NOTHING, remedy=_REMEDY)


def _expected(observed: Observed, reader: Reader) -> Iterator[tuple[Instance, Reader]]:
    for pod in observed.pods:
        if runs(pod):
            guard = container_id(pod, names.CONTAINER_GUARD)
            yield Instance(f"pod/{pod.name}:{names.GUARD_PORT}", pod_uid=pod.uid, container_id=guard), reader
    if observed.service is not None:
        service, since = observed.service, _behind_service_since(observed)
        yield Instance(_service(service.name), service_uid=service.uid, since=since), reader


def _behind_service_since(observed: Observed) -> datetime | None:
    """When the oldest pod that may answer for the Service was made; None where that is not known of all of them."""
    running = [pod.created_at for pod in observed.pods if runs(pod)]
    known = [moment for moment in running if moment is not None]
    return min(known) if known and len(known) == len(running) else None


def _service(name: str) -> str:
    return f"service/{name}:{names.SERVICE_PORT}"


def _read(entry: Entry, gap: float) -> Reading:
    """The lowest version accepted by the observations, checked against the value that the entry claims."""
    seen = {one.name: one.value for one in entry.observations}
    accepted = [name for name in _OFFERS if seen.get(name, "").startswith("accepted")]
    if accepted:
        value = min(_accepted_version(name, seen[name]) for name in accepted)
        detail = ", ".join(f"{name} {shortened(seen[name], _QUOTE_LIMIT)}" for name in accepted)
    else:
        objection = _objection(seen, gap)
        if objection is not None:
            return objection
        value, detail = _MODERN, "TLS 1.3 works; TLS 1.2, 1.1, 1.0 and plain text are refused"
    if entry.value is None or not math.isclose(entry.value, value):
        return Reading(None, f"the claimed value {entry.value} contradicts the observations, which give {value}")
    return Reading(value, detail)


def _accepted_version(offer: str, answer: str) -> float:
    """The version agreed on: a server may answer an offer with a version below it."""
    said = [_VERSIONS[word] for word in answer.split() if word in _VERSIONS]
    return min([_OFFERS[offer], *said])


def _objection(seen: Mapping[str, str], gap: float) -> Reading | None:
    """Why refusals alone do not show that the old versions are refused by this endpoint."""
    unexpected = [name for name in _OFFERS if not _declines(name, seen.get(name, ""))]
    if unexpected:
        quoted = ", ".join(f"{name}: {shortened(seen.get(name, 'not offered'), _QUOTE_LIMIT)}" for name in unexpected)
        return Reading(None, f"called a measurement without a refusal of the expected kind ({quoted})")
    if not seen.get("tls1.3", "").startswith("accepted"):
        return Reading(None, "called a measurement without TLS 1.3 having been accepted")
    if any(seen.get(control) != "accepted" for control in _CONTROLS):
        return Reading(None, "called a measurement without the positive controls before and after")
    if not _within(seen.get("control.gapSeconds", ""), gap):
        return Reading(None, f"called a measurement with controls that are not within {gap:g} s of each other")
    if seen.get("certificate.verified") != "true":
        return Reading(
            None, "the certificate did not verify, so it is not known who refused", ClauseReason.PROBE_FAILED
        )
    return None


def _declines(offer: str, answer: str) -> bool:
    if not answer.startswith("refused "):
        return False
    kind = answer.removeprefix("refused ")
    if offer == "plain":
        return kind == "closed" or kind.startswith("alert ")
    return kind in _DECLINING


def _within(text: str, gap: float) -> bool:
    try:
        seconds = float(text)
    except ValueError:
        return False
    return 0 <= seconds <= gap
