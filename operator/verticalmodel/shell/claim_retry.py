"""Touches pods whose GPUs were not made ready: one annotation, which an admission policy limits us to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog

from verticalmodel.api import names
from verticalmodel.claim_retry import seconds_until_touch
from verticalmodel.facts import ObservedPod
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import Conflict, Forbidden, NotFound
from verticalmodel.kube.resources import Key

_LOG = structlog.get_logger(__name__)


async def retry_claims(api: ApiClient, namespace: str, pods: Iterable[ObservedPod], now: datetime) -> tuple[float, ...]:
    """Touch every pod that is due; the seconds after which others will be. Raises ApiError."""
    waits = []
    for pod in pods:
        wait = seconds_until_touch(pod, now)
        if wait == 0:
            await _touch(api, namespace, pod)
        elif wait is not None:
            waits.append(wait)
    return tuple(waits)


async def _touch(api: ApiClient, namespace: str, pod: ObservedPod) -> None:
    # The uid makes it conditional: a pod of that name made since is another one.
    change = {"uid": pod.uid, "annotations": {names.ANNOTATION_CLAIM_RETRY: str(pod.claim_retries + 1)}}
    try:
        await api.patch_merge(resources.PODS, Key(namespace, pod.name), {"metadata": change})
    except (NotFound, Conflict, Forbidden) as refusal:
        # It is gone, or another policy keeps us off: the kubelet tries again by itself, later.
        _LOG.info("claim retry not told", pod=pod.name, namespace=namespace, refusal=str(refusal))
    else:
        _LOG.info("claim retry", pod=pod.name, namespace=namespace, node=pod.node)
