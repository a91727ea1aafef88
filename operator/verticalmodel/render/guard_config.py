"""The guard's configuration: an Envoy that speaks TLS 1.3 and lets through what the model's clients need.

Clause 13 (TLS 1.3), DESIGN section 7. Envoy v3 API, static but for the certificate, which a file-based secret
discovery (SDS) config reloads when the kubelet swaps the Secret's `..data` link.
"""

from __future__ import annotations

import json
import re

from verticalmodel.api import names
from verticalmodel.render import guard_canary, guard_drain
from verticalmodel.render.guard_overload import MEMORY_LIMIT_BYTES, overload
from verticalmodel.render.guard_routes import (
    BODY_FILTER,
    SERVER_CLUSTER,
    TYPES,
    Tree,
    access_log,
    local_replies,
    routes,
)
from verticalmodel.render.protocols import Endpoints

CONFIG_DIR = "/etc/guard/config"
CERTIFICATE_DIR = "/etc/guard/tls"
BOOTSTRAP_FILE = "bootstrap.json"
CERTIFICATE_FILE = "certificate.json"
_BUFFER_BYTES = 64 * 1024
_WINDOW_BYTES = 256 * 1024

_MODEL_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# Less than the server's own keep-alive of 75 s, so that it never closes a connection just as a request goes out on it.
_UPSTREAM_IDLE = "60s"


def guard_files(
    *,
    served: Endpoints,
    server_port: int,
    drain_path: str,
    certificate_dir: str = CERTIFICATE_DIR,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
) -> dict[str, str]:
    """The `data` of the guard's ConfigMap, to be mounted at CONFIG_DIR: the bootstrap and the SDS resource it reads."""
    bootstrap = guard_bootstrap(
        served=served,
        server_port=server_port,
        drain_path=drain_path,
        memory_limit_bytes=memory_limit_bytes,
    )
    return {BOOTSTRAP_FILE: _text(bootstrap), CERTIFICATE_FILE: _text(certificate_resource(certificate_dir))}


def guard_bootstrap(
    *,
    served: Endpoints,
    server_port: int,
    drain_path: str,
    guard_port: int = names.GUARD_PORT,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
) -> Tree:
    """The Envoy bootstrap for one model. Raises ValueError for a name that is no DNS label or a port out of range.

    `memory_limit_bytes` is the guard container's limit: the overload thresholds follow it.
    """
    if not _MODEL_NAME.fullmatch(served.model):
        raise ValueError(f"the model's name is {served.model!r}; it must be a DNS label of at most 63 characters")
    for name, port in (("server_port", server_port), ("guard_port", guard_port)):
        if not 1 <= port <= 65535:
            raise ValueError(f"{name} is {port}; it must be from 1 to 65535")
    ports = (server_port, guard_port, names.DRAIN_PORT)
    if len(set(ports)) < len(ports):
        raise ValueError(f"server, guard and its drain have ports {ports}; they share the pod's addresses")
    return {
        "node": {"id": served.model, "cluster": "guard"},
        "admin": guard_drain.administration(),
        "static_resources": {
            "listeners": [
                _guard_listener(served, guard_port),
                # A flood of clients must not keep the kubelet out.
                {**_drain_listener(drain_path), "ignore_global_conn_limit": True},
            ],
            "clusters": [_cluster(server_port), guard_drain.cluster()],
        },
        "overload_manager": overload(memory_limit_bytes),
        # Nothing scrapes them, and counting costs memory per route.
        "stats_config": {"stats_matcher": {"reject_all": True}},
        "application_log_config": {
            "log_format": {"json_format": {"time": "%Y-%m-%dT%T.%eZ", "level": "%l", "logger": "%n", "message": "%j"}}
        },
    }


def certificate_resource(certificate_dir: str = CERTIFICATE_DIR) -> Tree:
    """The SDS resource naming the serving certificate; the watched folder makes Envoy reread it after a rotation."""
    return {
        "resources": [
            {
                "@type": f"{TYPES}extensions.transport_sockets.tls.v3.Secret",
                "name": "serving-certificate",
                "tls_certificate": {
                    "certificate_chain": {"filename": f"{certificate_dir}/tls.crt"},
                    "private_key": {"filename": f"{certificate_dir}/tls.key"},
                    "watched_directory": {"path": certificate_dir},
                },
            }
        ]
    }


def _text(tree: Tree) -> str:
    return json.dumps(tree, indent=2) + "\n"


def _listener(name: str, port: int, connection_manager: Tree) -> Tree:
    return {
        "name": name,
        # With it, Envoy's default, another process of the pod could bind the same port and take connections over.
        "enable_reuse_port": False,
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},  # noqa: S104 (of the pod)
        "per_connection_buffer_limit_bytes": _BUFFER_BYTES,
        "filter_chains": [
            {
                "transport_socket": _tls(),
                "transport_socket_connect_timeout": "10s",
                "filters": [
                    {"name": "envoy.filters.network.http_connection_manager", "typed_config": connection_manager}
                ],
            }
        ],
    }


def _guard_listener(served: Endpoints, port: int) -> Tree:
    listener = _listener("guard", port, _http(served))
    if served.prober_authority:
        (chain,) = listener["filter_chains"]
        context = chain["transport_socket"]["typed_config"]
        context["require_client_certificate"] = False
        context["common_tls_context"]["validation_context"] = guard_canary.validation(served.prober_authority)
    return listener


def _drain_listener(path: str) -> Tree:
    listener = _listener("drain", names.DRAIN_PORT, guard_drain.connection_manager(path))
    (chain,) = listener["filter_chains"]
    filters = [guard_drain.not_by_loopback(), *chain["filters"]]
    return {
        **listener,
        "filter_chains": [{**chain, "filter_chain_match": guard_drain.from_outside(), "filters": filters}],
    }


def _tls() -> Tree:
    """TLS 1.3 and nothing else. No session tickets: every handshake shows the certificate in force."""
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{TYPES}extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "disable_stateless_session_resumption": True,
            "common_tls_context": {
                "tls_params": {
                    "tls_minimum_protocol_version": "TLSv1_3",
                    "tls_maximum_protocol_version": "TLSv1_3",
                    "ecdh_curves": ["X25519", "P-256"],
                },
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificate_sds_secret_configs": [
                    {
                        "name": "serving-certificate",
                        "sds_config": {
                            "resource_api_version": "V3",
                            "path_config_source": {"path": f"{CONFIG_DIR}/{CERTIFICATE_FILE}"},
                        },
                    }
                ],
            },
        },
    }


def _http(served: Endpoints) -> Tree:
    return {
        "@type": f"{TYPES}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "guard",
        "server_name": "guard",
        # The peer is who connects, whatever its headers say, and no peer is an insider.
        "use_remote_address": True,
        "internal_address_config": {"unix_sockets": False},
        # One spelling of a path reaches the routes; what could be read two ways is refused.
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "max_request_headers_kb": 16,
        "request_headers_timeout": "10s",
        "request_timeout": "60s",
        # How long a connection outlives the answer that says that it closes; who reads to its end waits for that.
        "drain_timeout": "1s",
        "stream_idle_timeout": f"{served.inference_seconds + 10}s",
        "common_http_protocol_options": {
            "idle_timeout": "60s",
            # What is under way then goes on to its end.
            "max_connection_duration": "3600s",
            "max_headers_count": 64,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": _WINDOW_BYTES,
            "initial_connection_window_size": _WINDOW_BYTES,
        },
        "local_reply_config": local_replies(),
        "access_log": [access_log(served)],
        "http_filters": [
            {
                "name": BODY_FILTER,
                "disabled": True,
                "typed_config": {
                    "@type": f"{TYPES}extensions.filters.http.buffer.v3.Buffer",
                    "max_request_bytes": 1,
                },
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{TYPES}extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            },
        ],
        "route_config": routes(served),
    }


def _cluster(server_port: int) -> Tree:
    """The server beside us. Probes have slots of their own, so that a flood of inference never fails one."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": server_port}}
    return {
        "name": SERVER_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": _BUFFER_BYTES,
        "load_assignment": {
            "cluster_name": SERVER_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "circuit_breakers": {
            "thresholds": [
                {"priority": "DEFAULT", "max_connections": 64, "max_pending_requests": 64, "max_requests": 128},
                {"priority": "HIGH", "max_connections": 16, "max_pending_requests": 16, "max_requests": 16},
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPES}extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": _UPSTREAM_IDLE},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }
