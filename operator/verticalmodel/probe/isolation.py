"""Clause 34, scenarios never mix: what a stranger without any grant gets at, from a pod's own node and from another.

A refusal shows something only where the stranger's network works and the pod is there: so the stranger connects to us
before and after, and we to the pod. It proves who it is to the API server, which then has to refuse it what is the
model's. Each attempt is one connection or one request for reading, and ends as soon as it came about.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from pydantic import ValidationError

from verticalmodel.api import names
from verticalmodel.api.evidence import Binding
from verticalmodel.probe.measurement import ISOLATION, Measurement
from verticalmodel.probe.model import FAR, NEAR, Model, stranger_instance
from verticalmodel.probe.world import Pod, Stranger
from verticalmodel.stranger.attempts import connect
from verticalmodel.stranger.errand import ANSWERED, CONNECTED, MOST_TARGETS, PATH, Address, Errand, Report

__all__ = ["Control", "chosen", "crossings", "errand", "isolation"]

METHOD = (
    "TCP connections to the pod's ports and its Service, and reads of its namespace's Secrets and claims and of its "
    "log by the API, from a pod without grants; with controls before and after"
)
_SECONDS = 12.0
_ANSWER_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Control:
    """Where everybody can connect to: this prober's own health port. The address is empty where it is not known."""

    host: str
    port: int


async def isolation(model: Model, pod: Pod, where: str, turn: int, control: Control) -> Measurement:
    """Send the stranger near or far of this pod on its errand, once. Never raises for what the network does."""
    began = time.monotonic()
    stranger = chosen(model.strangers, pod, where, turn)
    seen: dict[str, str] = {}
    if stranger is None:
        failure = f"no stranger runs on {'this' if where == NEAR else 'another'} node"
    elif not control.host:
        failure = "the prober does not know its own address (POD_IP), so there is no control"
    else:
        seen |= {"from": stranger.node, "stranger": stranger.uid}
        failure = await _sent(stranger, errand(model, pod, control), seen)
        seen |= _left_out(model, pod)
    number = crossings(seen)
    conclusive = number > 0 or not failure
    return Measurement(
        measure=ISOLATION,
        instance=stranger_instance(pod, where),
        unit="crossings",
        value=float(number) if conclusive else None,
        samples=max(sum(_is_attempt(name) for name in seen), 1),
        window_seconds=time.monotonic() - began,
        method=METHOD,
        binding=Binding(pod_uid=pod.uid),
        observations={**seen, **({} if conclusive else {"failure": failure})},
        measured_at=datetime.now(UTC),
    )


def chosen(strangers: Mapping[str, Stranger], pod: Pod, where: str, turn: int) -> Stranger | None:
    """The stranger on the pod's own node, or in turn one on another; None where there is none."""
    if where == NEAR:
        return strangers.get(pod.node)
    others = sorted(strangers.keys() - {pod.node})
    return strangers[others[turn % len(others)]] if where == FAR and others else None


def errand(model: Model, pod: Pod, control: Control) -> Errand:
    """What is tried at this pod: the guard's ports, those that its containers declare, and the model's Service."""
    targets = {str(port): Address.model_validate({"host": pod.ip, "port": port}) for port in _ports(pod)}
    if model.service is not None:
        targets["service"] = Address.model_validate({"host": model.service.cluster_ip, "port": names.SERVICE_PORT})
    return Errand(
        namespace=model.namespace,
        pod=pod.name,
        targets=targets,
        control=Address.model_validate({"host": control.host, "port": control.port}),
    )


def _ports(pod: Pod) -> tuple[int, ...]:
    return _all_ports(pod)[: MOST_TARGETS - 1]


def _all_ports(pod: Pod) -> tuple[int, ...]:
    return tuple(dict.fromkeys((names.GUARD_PORT, names.DRAIN_PORT, *pod.ports)))


def _left_out(model: Model, pod: Pod) -> dict[str, str]:
    more = len(_all_ports(pod)) - len(_ports(pod))
    without_service = {} if model.service is not None else {"net.service": "there is none"}
    return {**without_service, **({"portsLeftOut": str(more)} if more else {})}


async def _sent(stranger: Stranger, sent: Errand, seen: dict[str, str]) -> str:
    """Why this showed nothing; empty where every control held. What became of it is put into `seen`."""
    guard = sent.targets[str(names.GUARD_PORT)]
    seen["target.before"] = await connect(guard)
    try:
        report = await _asked(stranger, sent)
    except (TimeoutError, aiohttp.ClientError, OSError):
        return "the stranger cannot be reached"
    except ValidationError:
        return "the stranger did not answer by a report"
    seen["target.after"] = await connect(guard)
    seen |= {**report.outcomes, "control.gapSeconds": f"{report.gap_seconds:g}"}
    controls = ("target.before", "target.after", "control.before", "control.after")
    broken = [name for name in controls if seen.get(name) != CONNECTED]
    if not seen.get("control.identity", "").startswith(ANSWERED):
        broken.append("control.identity")
    return f"controls failed: {', '.join(broken)}" if broken else ""


async def _asked(stranger: Stranger, sent: Errand) -> Report:
    host = f"[{stranger.ip}]" if ":" in stranger.ip else stranger.ip
    url = f"http://{host}:{names.STRANGER_PORT}{PATH}"
    async with (
        asyncio.timeout(_SECONDS),
        aiohttp.ClientSession(trust_env=False, auto_decompress=False) as session,
        session.post(url, data=sent.model_dump_json(), allow_redirects=False) as answer,
    ):
        body = await answer.content.read(_ANSWER_LIMIT)
        return Report.model_validate_json(body if answer.status == 200 else b"")


def _is_attempt(name: str) -> bool:
    return name.startswith(("net.", "api."))


def crossings(seen: Mapping[str, str]) -> int:
    """How many attempts got through."""
    return sum(_is_attempt(name) and (said == CONNECTED or said.startswith(ANSWERED)) for name, said in seen.items())
