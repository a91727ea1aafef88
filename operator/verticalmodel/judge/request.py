"""When somebody asked for measurements, and whether all that is known is newer than that. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from verticalmodel.api import names
from verticalmodel.facts import Observed

__all__ = ["measured_since"]


def measured_since(observed: Observed) -> datetime | None:
    """The moment that annotation `verticalmodel.io/measure` names, once each look at what lives is newer.

    None while it is not, where nothing was measured at all, and where the annotation names no moment with a time zone.
    Of clauses that hang on what was never measured this says nothing: they say it themselves.
    """
    asked_at = _moment(observed.model.metadata.annotations.get(names.ANNOTATION_MEASURE, ""))
    uid = observed.model.metadata.uid
    ours = [
        one for one in observed.evidence if one.spec.measurer == names.MANAGER_PROBER and one.spec.subject.uid == uid
    ]
    written = [one.metadata.managed_at for one in ours]
    looks = [entry.measured_at for one in ours for entry in one.spec.entries if entry.scope == "State"]
    if asked_at is None or not looks or min(looks) < asked_at:
        return None
    # By the API server's clock too: a measurer's that is ahead makes no look newer than it is.
    return asked_at if all(moment is not None and moment >= asked_at for moment in written) else None


def _moment(text: str) -> datetime | None:
    """In UTC, so that what is stored reads back as what was asked: offsets may have seconds, RFC 3339 has none."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
