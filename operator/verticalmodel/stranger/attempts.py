"""The attempts themselves: connections that end as soon as they come about, and requests whose answers nobody reads."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Mapping
from types import MappingProxyType

import aiohttp

from verticalmodel.kube.connection import Connection
from verticalmodel.stranger.errand import ANSWERED, CONNECTED, Address, Errand, Report

__all__ = ["attempt", "connect", "outcome_of"]

_SECONDS = 1.0
_REFUSALS = (401, 403)
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
"""Where a list is not refused, its contents still stay where they are."""
_WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


async def attempt(errand: Errand, connection: Connection) -> Report:
    """Try all of it, with a control of the network before and after, and one of the identity beside it.

    `connection` is the stranger's own to the API server. Never raises for what the network or the API server does.
    """
    began = time.monotonic()
    outcomes = {"control.before": await connect(errand.control)}
    reached = await asyncio.gather(*(connect(address) for address in errand.targets.values()))
    outcomes |= {f"net.{name}": found for name, found in zip(errand.targets, reached, strict=True)}
    outcomes["control.after"] = await connect(errand.control)
    gap = time.monotonic() - began
    outcomes["control.identity"] = await _request(connection, "POST", _WHO_AM_I, _review())
    for name, path in _reads(errand.namespace, errand.pod).items():
        outcomes[f"api.{name}"] = await _request(connection, "GET", path)
    return Report(outcomes=outcomes, gap_seconds=round(gap, 3))


async def connect(address: Address) -> str:
    """`connected`, `refused`, `timeout`, or `unreachable` and the name of the error."""
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(str(address.host), address.port)
    except TimeoutError:
        return "timeout"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return f"unreachable {errno.errorcode.get(error.errno or 0, 'unknown')}"
    writer.transport.abort()
    return CONNECTED


def _reads(namespace: str, pod: str) -> Mapping[str, str]:
    """Paths of what a stranger has no business with: keys, storage, and what the model says. All of them read only."""
    base = f"/api/v1/namespaces/{namespace}"
    return {
        "secrets": f"{base}/secrets?limit=1",
        "persistentvolumeclaims": f"{base}/persistentvolumeclaims?limit=1",
        "log": f"{base}/pods/{pod}/log?tailLines=0",
    }


def _review() -> Mapping[str, str]:
    return MappingProxyType({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})


async def _request(connection: Connection, method: str, path: str, body: Mapping[str, str] | None = None) -> str:
    accept = _METADATA_ONLY if "?limit=" in path else "application/json"
    try:
        async with (
            asyncio.timeout(_SECONDS),
            connection.session.request(
                method,
                f"{connection.server}{path}",
                json=None if body is None else dict(body),
                headers={"Accept": accept},
                allow_redirects=False,
            ) as answer,
        ):
            return outcome_of(answer.status)
    except TimeoutError:
        return "timeout"
    except (aiohttp.ClientError, OSError):
        return "unreachable"


def outcome_of(status: int) -> str:
    """`refused` or `answered` and the status; `inconclusive` where the API server decided nothing.

    404 and other complaints come after the authorizer has said yes.
    """
    if status in _REFUSALS:
        return f"refused {status}"
    decided = status < 500 and status != 429
    return f"{ANSWERED if decided else 'inconclusive'} {status}"
