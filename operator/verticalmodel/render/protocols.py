"""What clients may ask of a server, by the protocol that its runtime speaks. Pure.

Exact paths by exact methods: what is not listed here is refused by the guard. Management calls are in no list: only the
prober loads and unloads, a canary of its own, by its client certificate (clause 33).
"""

from __future__ import annotations

from dataclasses import dataclass

from verticalmodel.api.modelruntime import ModelRuntimeSpec


@dataclass(frozen=True)
class Endpoints:
    """Paths of the server that the guard lets through."""

    model: str
    """Its name."""
    inference: tuple[str, ...]
    """By POST, with a body of a declared size."""
    metadata: tuple[str, ...]
    """By GET."""
    health: tuple[str, ...]
    """By GET, with connections of their own to a busy server."""
    live_path: str
    """The server's answer to the kubelet's liveness probe."""
    ready_path: str
    inference_seconds: int
    prober_authority: str = ""
    """Who signs the certificate by which the prober may load a canary, in PEM form; empty where nobody may."""
    """An inference takes no longer."""


def endpoints(runtime: ModelRuntimeSpec, model: str, *, prober_authority: str = "") -> Endpoints:
    """What clients of the model may ask of a server of this runtime, and the prober beside them."""
    knows_loading = runtime.protocol == "open-inference-v2"
    inference, metadata, health = _paths(runtime, model)
    return Endpoints(
        model=model,
        inference=inference,
        metadata=metadata,
        health=health,
        live_path=runtime.probes.live_path,
        ready_path=runtime.probes.ready_path,
        inference_seconds=runtime.timeout_seconds,
        prober_authority=prober_authority if knows_loading else "",
    )


def _paths(runtime: ModelRuntimeSpec, model: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    match runtime.protocol:
        case "open-inference-v2":
            # https://github.com/kserve/open-inference-protocol, REST
            base = f"/v2/models/{model}"
            return (f"{base}/infer",), ("/v2", base), (f"{base}/ready", "/v2/health/live", "/v2/health/ready")
        case "openai":
            # https://platform.openai.com/docs/api-reference, what vLLM serves of it for one model
            return ("/v1/completions", "/v1/chat/completions", "/v1/embeddings"), ("/v1/models",), ()
        case "Custom":
            by = {
                method: tuple(one.path for one in runtime.routes if one.method == method) for method in ("POST", "GET")
            }
            return by["POST"], by["GET"], ()
