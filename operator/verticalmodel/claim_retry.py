"""When a pod whose GPUs were not made ready on its node is touched, so that the kubelet tries again at once. Pure.

A kubelet that fails once to prepare a ResourceClaim waits 60 to 90 s before the next try, unless the pod changes
(kubernetes/kubernetes#139836). Clauses 7 and 8 have no such time to give away.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from verticalmodel.facts import ObservedPod

_AFTER = (3.0, 10.0, 30.0)
"""Seconds since the pod got its node, of each touch. After the last, the kubelet's own tries are as frequent."""


def seconds_until_touch(pod: ObservedPod, now: datetime) -> float | None:
    """Seconds until a pod should be touched, 0.0 where that is now; None where it need not be."""
    since = pod.claims_unprepared_since
    if since is None or not pod.serving or pod.claim_retries >= len(_AFTER):
        return None
    return max(0.0, (since + timedelta(seconds=_AFTER[pod.claim_retries]) - now).total_seconds())
