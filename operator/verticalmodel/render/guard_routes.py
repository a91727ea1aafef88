"""What the guard lets through: exact paths by exact methods, and a reason for everything else.

Inference, metadata and health of the one model, as the runtime's protocol spells them (`protocols.py`).
"""

from __future__ import annotations

from typing import Any

from verticalmodel.render import guard_canary
from verticalmodel.render.protocols import Endpoints

LIVE_PATH = "/guard/live"
"""Answered by Envoy itself: the guard's own probes."""
SERVER_LIVE_PATH, SERVER_READY_PATH = "/healthz/live", "/healthz/ready"
"""Answered by the server through the guard, without authentication: the server's probes."""

MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""Largest body of an inference request; the reference runtime's own default limit too."""

SERVER_CLUSTER = "server"
BODY_FILTER = "envoy.filters.http.buffer"
"""Collects bodies, so it is off but where a route turns it on."""
TYPES = "type.googleapis.com/envoy."
_HEALTH_TIMEOUT = "5s"
_METADATA_TIMEOUT = "30s"
_INT64_MAX = (1 << 63) - 1

Tree = dict[str, Any]


def routes(served: Endpoints) -> Tree:
    """The route configuration: what is allowed, then 405 for its other methods, then 403 for every other path."""
    allowed: list[tuple[str, Tree]] = [
        *((path, {**_proxied(_METADATA_TIMEOUT), **_bodiless()}) for path in served.metadata),
        *((path, _probed()) for path in served.health),
        (SERVER_LIVE_PATH, _probed(prefix_rewrite=served.live_path)),
        (SERVER_READY_PATH, _probed(prefix_rewrite=served.ready_path)),
        (LIVE_PATH, {"direct_response": {"status": 200, "body": {"inline_string": "live\n"}}}),
    ]
    table: list[Tree] = []
    for path in served.inference:
        table += [*_inference(path, served.inference_seconds), _wrong_method("POST", path)]
    for path, action in allowed:
        table += [_allow("GET", path, action), _wrong_method("GET", path)]
    if served.prober_authority:
        table += guard_canary.routes(_proxied(_METADATA_TIMEOUT))
    table.append(_refusal("/v2/repository", "models are not loaded or unloaded through this address"))
    table.append(_refusal("/", f"only inference, metadata and health of model {served.model} are served here"))
    return {
        "name": "guard",
        # Who forwarded for whom is the client's word only.
        "request_headers_to_remove": ["x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded"],
        "virtual_hosts": [{"name": "model", "domains": ["*"], "routes": table}],
    }


def local_replies() -> Tree:
    """Envoy's own refusals in the protocol's form, `{"error": "<text>"}`, as the server's are."""

    def mapper(op: str, status: int, text: str) -> Tree:
        return {"filter": _status(op, status), "body_format_override": {"json_format": {"error": text}}}

    return {
        "mappers": [
            # A malformed request has no body of its own to tell; the detail names what is wrong with it.
            mapper("EQ", 400, "malformed request: %RESPONSE_CODE_DETAILS%"),
            mapper("GE", 400, "%LOCAL_REPLY_BODY%"),
        ]
    }


def access_log(served: Endpoints) -> Tree:
    """One JSON line per request on standard output: no header, no query, no body; good probes are left out.

    A probe is a GET on a health path, as the server sees it after the rewrite, and on nothing that only begins so.
    """
    probes = sorted({LIVE_PATH, served.live_path, served.ready_path, *served.health})
    not_a_probe = [_other(":path", path) for path in probes]
    # Envoy's status is 0 where who asked gave up before there was an answer.
    not_good = [_status("GE", 400), _status("LE", 0)]
    fields = {
        "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ:ORIG_OR_PATH)%",
        "protocol": "%PROTOCOL%",
        "status": "%RESPONSE_CODE%",
        "reason": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
        "durationMs": "%DURATION%",
        "bytesReceived": "%BYTES_RECEIVED%",
        "bytesSent": "%BYTES_SENT%",
        "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
        "tls": "%DOWNSTREAM_TLS_VERSION%",
    }
    return {
        "name": "envoy.access_loggers.stdout",
        "filter": {
            "or_filter": {"filters": [*not_good, _other(":method", "GET"), {"and_filter": {"filters": not_a_probe}}]}
        },
        "typed_config": {
            "@type": f"{TYPES}extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": fields},
        },
    }


def _other(header: str, value: str) -> Tree:
    return {"header_filter": {"header": {"name": header, "string_match": {"exact": value}, "invert_match": True}}}


def _status(op: str, status: int) -> Tree:
    # Envoy insists on a key by which the number could be overridden; no runtime layer is loaded.
    value = {"default_value": status, "runtime_key": "guard.unset"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}


def _inference(path: str, timeout_seconds: int) -> list[Tree]:
    """Inference with a body of a declared and bearable size. Envoy streams it, so the declaration is the limit."""

    def sized(most: int) -> Tree:
        return {"name": "content-length", "range_match": {"start": 0, "end": most + 1}}

    return [
        _allow("POST", path, _proxied(f"{timeout_seconds}s"), sized(MAX_REQUEST_BYTES)),
        _allow(
            "POST", path, _reply(413, f"a request's body is at most {MAX_REQUEST_BYTES} bytes"), sized(_INT64_MAX - 1)
        ),
        _allow("POST", path, _reply(411, "a request's body needs a content-length")),
    ]


def _proxied(timeout: str) -> Tree:
    # A connection that the server closed before it took the request is tried once more; nothing is sent twice.
    retries = {"retry_on": "connect-failure,reset-before-request", "num_retries": 1}
    return {"route": {"cluster": SERVER_CLUSTER, "timeout": timeout, "retry_policy": retries}}


def _probed(**rewrite: str) -> Tree:
    """A probe's route: it keeps its own share of the connections to a busy server."""
    action = {"cluster": SERVER_CLUSTER, "timeout": _HEALTH_TIMEOUT, "priority": "HIGH", **rewrite}
    return {"route": action, **_bodiless()}


def _bodiless() -> Tree:
    """For what is asked for by GET: a body is refused with 413 at its second byte, however it is framed."""
    most = {"@type": f"{TYPES}extensions.filters.http.buffer.v3.BufferPerRoute", "buffer": {"max_request_bytes": 1}}
    return {"typed_per_filter_config": {BODY_FILTER: most}}


def _allow(method: str, path: str, action: Tree, *headers: Tree) -> Tree:
    exact_method = {"name": ":method", "string_match": {"exact": method}}
    return {"match": {"path": path, "headers": [exact_method, *headers]}, **action}


def _wrong_method(method: str, path: str) -> Tree:
    return {
        "match": {"path": path},
        "response_headers_to_add": [{"header": {"key": "allow", "value": method}}],
        **_reply(405, f"{path} takes {method} only"),
    }


def _refusal(prefix: str, reason: str) -> Tree:
    return {"match": {"prefix": prefix}, **_reply(403, reason)}


def _reply(status: int, reason: str) -> Tree:
    return {"direct_response": {"status": status, "body": {"inline_string": reason}}}
