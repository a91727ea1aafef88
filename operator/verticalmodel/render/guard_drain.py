"""How a pod leaves without a lost request: clients are sent away, then the doors close, and only then the server ends.

The kubelet runs the guard's preStop hook as soon as a pod is told to end, side by side with the server's, although a
sidecar itself outlives the server (KEP-753). The hook is a GET on a port of its own, which no NetworkPolicy opens:
only the node that the pod runs on gets there. From then on every answer asks its client to connect anew (HTTP/1.1:
`Connection: close`; HTTP/2: GOAWAY) while new connections are still taken, for Services may lead here yet; after
DRAIN_SECONDS none is taken any more. What was accepted is answered.

Whoever reaches that port can have the guard close its own, and a server that did could bind it and be its own guard. So
the server must not: connections from inside the pod are refused by their addresses, and the path holds a hash of the
model's uid, which code in the server has no way to learn.

Envoy drains by its administration interface only. It listens on a Unix socket in a memory volume that the guard alone
mounts, mode 0600, and the one route to it leads to the one call; on the pod's loopback it would hand its configuration,
and a way to stop it, to the server.
"""

from __future__ import annotations

import hashlib
from typing import Any

DRAIN_SECONDS = 10
"""How long an ending pod still takes connections: every kube-proxy and ingress controller has forgotten it by then."""
SERVER_STOPS_SECONDS = DRAIN_SECONDS + 2
"""When the server is told to end: requests of the last connections have reached it."""
RUN_DIR = "/run/guard"
"""Where the socket is; a volume that only the guard mounts."""
CLUSTER = "administration"

_TYPES = "type.googleapis.com/envoy."
_SOCKET = f"{RUN_DIR}/administration.sock"
# Changes of state are by POST, and a hook of the kubelet's is a GET.
_POST = "function envoy_on_request(handle) handle:headers():replace(':method', 'POST') end"

_LOOPBACK = {"address_prefix": "127.0.0.0", "prefix_len": 8}

Tree = dict[str, Any]


def drain_path(model_uid: str) -> str:
    """Where the hook's GET goes."""
    return f"/guard/drain/{hashlib.sha256(f'drain/{model_uid}'.encode()).hexdigest()[:32]}"


def arguments() -> list[str]:
    """Envoy's command line for the drain: everyone is sent away at once, not a growing share of them."""
    return ["--drain-time-s", str(DRAIN_SECONDS), "--drain-strategy", "immediate"]


def administration() -> Tree:
    """The bootstrap's `admin`: for this process alone."""
    return {"address": {"pipe": {"path": _SOCKET, "mode": 0o600}}}


def cluster() -> Tree:
    """Envoy's own administration interface as a cluster."""
    endpoint = {"endpoint": {"address": {"pipe": {"path": _SOCKET}}}}
    return {
        "name": CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def from_outside() -> Tree:
    """The `filter_chain_match` that leaves out who connects from the address that is connected to."""
    return {"source_type": "EXTERNAL"}


def not_by_loopback() -> Tree:
    """A network filter that closes what comes from or goes to a loopback address: Envoy counts 127.0.0.2 as outside."""
    return {
        "name": "envoy.filters.network.rbac",
        "typed_config": {
            "@type": f"{_TYPES}extensions.filters.network.rbac.v3.RBAC",
            "stat_prefix": "drain",
            "rules": {
                "action": "DENY",
                "policies": {
                    "from-loopback": {
                        "permissions": [{"any": True}],
                        "principals": [{"direct_remote_ip": _LOOPBACK}],
                    },
                    "to-loopback": {"permissions": [{"destination_ip": _LOOPBACK}], "principals": [{"any": True}]},
                },
            },
        },
    }


def connection_manager(path: str) -> Tree:
    """HTTP on the hook's port: GET on `path` starts the drain, everything else is refused."""
    get = {"name": ":method", "string_match": {"exact": "GET"}}
    drain = {
        "match": {"path": path, "headers": [get]},
        "route": {"cluster": CLUSTER, "prefix_rewrite": "/drain_listeners?graceful", "timeout": "1s"},
    }
    refuse = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 403, "body": {"inline_string": "nothing is served here"}},
    }
    return {
        "@type": f"{_TYPES}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "drain",
        "server_name": "guard",
        "codec_type": "HTTP1",
        "request_headers_timeout": "10s",
        "request_timeout": "10s",
        "common_http_protocol_options": {"idle_timeout": "10s"},
        "http_filters": [
            {
                "name": "envoy.filters.http.lua",
                "typed_config": {
                    "@type": f"{_TYPES}extensions.filters.http.lua.v3.Lua",
                    "default_source_code": {"inline_string": _POST},
                    # The route was chosen by the method that was asked with.
                    "clear_route_cache": False,
                },
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}extensions.filters.http.router.v3.Router"},
            },
        ],
        "route_config": {
            "name": "drain",
            "virtual_hosts": [{"name": "hook", "domains": ["*"], "routes": [drain, refuse]}],
        },
    }
