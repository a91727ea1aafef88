"""The guard's configuration: an Envoy that speaks TLS 1.3 and lets through what the model's clients need.

Clause 13 (TLS 1.3), DESIGN section 7. Envoy v3 API, static but for the certificate, which a file-based secret
discovery (SDS) config reloads when the kubelet swaps the Secret's `..data` link. There is no admin listener: it
would hand out the configuration, and a way to stop the process, to everything on the pod's loopback.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

CONFIG_DIR = "/etc/guard/config"
CERTIFICATE_DIR = "/etc/guard/tls"
BOOTSTRAP_FILE = "bootstrap.yaml"
CERTIFICATE_FILE = "certificate.yaml"
LIVE_PATH = "/guard/live"
"""Answered by Envoy itself: the guard's own startup probe."""
SERVER_LIVE_PATH, SERVER_READY_PATH = "/healthz/live", "/healthz/ready"
"""Answered by the server through the guard: the pod's probes."""

MAX_REQUEST_BYTES = 16 * 1024 * 1024
MEMORY_LIMIT_BYTES = 256 * 1024 * 1024
"""The container's memory limit that the defaults are made for."""

_MODEL_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_TYPES = "type.googleapis.com/envoy."
_SERVER = "server"
# Less than the server's own keep-alive of 75 s, so that it never closes a connection just as a request goes out on it.
_UPSTREAM_IDLE = "60s"
_HEALTH_TIMEOUT = "5s"

Tree = dict[str, Any]


def guard_files(
    *, model_name: str, server_port: int, guard_port: int = 8443, certificate_dir: str = CERTIFICATE_DIR
) -> dict[str, str]:
    """The `data` of the guard's ConfigMap: the bootstrap and the SDS resource that it reads from CONFIG_DIR."""
    bootstrap = guard_bootstrap(
        model_name=model_name, server_port=server_port, guard_port=guard_port, certificate_dir=certificate_dir
    )
    return {
        BOOTSTRAP_FILE: yaml.safe_dump(bootstrap, sort_keys=False),
        CERTIFICATE_FILE: yaml.safe_dump(certificate_resource(certificate_dir), sort_keys=False),
    }


def guard_bootstrap(
    *,
    model_name: str,
    server_port: int,
    guard_port: int = 8443,
    certificate_dir: str = CERTIFICATE_DIR,
    config_dir: str = CONFIG_DIR,
    inference_timeout_seconds: int = 60,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
) -> Tree:
    """The Envoy bootstrap for one model. Raises ValueError for a name that is no DNS label or a port out of range.

    `certificate_dir` holds `tls.crt` and `tls.key` and is a mounted Secret (no subPath); `config_dir` holds the
    files of `guard_files`. `memory_limit_bytes` is the container's limit: the overload thresholds follow it.
    """
    if not _MODEL_NAME.fullmatch(model_name):
        raise ValueError(f"model_name is {model_name!r}; it must be a DNS label of at most 63 characters")
    for name, port in (("server_port", server_port), ("guard_port", guard_port)):
        if not 1 <= port <= 65535:
            raise ValueError(f"{name} is {port}; it must be from 1 to 65535")
    if server_port == guard_port:
        raise ValueError(f"server_port and guard_port are both {guard_port}; both are the pod's")
    listener = _listener(guard_port, _tls(config_dir), _http(model_name, inference_timeout_seconds))
    return {
        "node": {"id": model_name, "cluster": "guard"},
        "static_resources": {"listeners": [listener], "clusters": [_cluster(server_port)]},
        "overload_manager": _overload(memory_limit_bytes),
        # Nothing scrapes them, and counting costs memory per route.
        "stats_config": {"stats_matcher": {"reject_all": True}},
        "application_log_config": {
            "log_format": {
                "json_format": {"time": "%Y-%m-%dT%T.%eZ", "level": "%l", "logger": "%n", "message": "%j"}
            }
        },
    }


def certificate_resource(certificate_dir: str = CERTIFICATE_DIR) -> Tree:
    """The SDS resource naming the serving certificate; the watched folder makes Envoy reread it after a rotation."""
    return {
        "resources": [
            {
                "@type": f"{_TYPES}extensions.transport_sockets.tls.v3.Secret",
                "name": "serving-certificate",
                "tls_certificate": {
                    "certificate_chain": {"filename": f"{certificate_dir}/tls.crt"},
                    "private_key": {"filename": f"{certificate_dir}/tls.key"},
                    "watched_directory": {"path": certificate_dir},
                },
            }
        ]
    }


def _listener(port: int, transport_socket: Tree, connection_manager: Tree) -> Tree:
    return {
        "name": "guard",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},  # noqa: S104 (the pod's one open port)
        "per_connection_buffer_limit_bytes": 256 * 1024,
        "filter_chains": [
            {
                "transport_socket": transport_socket,
                "transport_socket_connect_timeout": "10s",
                "filters": [
                    {"name": "envoy.filters.network.http_connection_manager", "typed_config": connection_manager}
                ],
            }
        ],
    }


def _tls(config_dir: str) -> Tree:
    """TLS 1.3 and nothing else. No session tickets: every handshake shows the certificate in force."""
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TYPES}extensions.transport_sockets.tls.v3.DownstreamTlsContext",
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
                            "path_config_source": {"path": f"{config_dir}/{CERTIFICATE_FILE}"},
                        },
                    }
                ],
            },
        },
    }


def _http(model_name: str, inference_timeout_seconds: int) -> Tree:
    return {
        "@type": f"{_TYPES}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
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
        "stream_idle_timeout": f"{inference_timeout_seconds + 10}s",
        "common_http_protocol_options": {
            "idle_timeout": "60s",
            "max_connection_duration": "3600s",
            "max_headers_count": 64,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 256 * 1024,
            "initial_connection_window_size": 1024 * 1024,
        },
        "local_reply_config": _local_replies(),
        "access_log": [_access_log()],
        "http_filters": [
            {
                "name": "envoy.filters.http.buffer",
                "typed_config": {
                    "@type": f"{_TYPES}extensions.filters.http.buffer.v3.Buffer",
                    "max_request_bytes": MAX_REQUEST_BYTES,
                },
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_TYPES}extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            },
        ],
        "route_config": _routes(model_name, inference_timeout_seconds),
    }


def _routes(model_name: str, inference_timeout_seconds: int) -> Tree:
    """The allow-list: exact paths and methods; a known path by another method is 405, everything else 403."""
    model = f"/v2/models/{model_name}"
    metadata, health = _proxied("30s"), _proxied(_HEALTH_TIMEOUT, priority="HIGH")
    allowed: list[tuple[str, str, Tree]] = [
        ("POST", f"{model}/infer", _proxied(f"{inference_timeout_seconds}s")),
        ("GET", "/v2", metadata),
        ("GET", model, metadata),
        ("GET", f"{model}/ready", health),
        ("GET", "/v2/health/live", health),
        ("GET", "/v2/health/ready", health),
        ("GET", SERVER_LIVE_PATH, _proxied(_HEALTH_TIMEOUT, priority="HIGH", prefix_rewrite="/v2/health/live")),
        ("GET", SERVER_READY_PATH, _proxied(_HEALTH_TIMEOUT, priority="HIGH", prefix_rewrite="/v2/health/ready")),
        ("GET", LIVE_PATH, {"direct_response": {"status": 200, "body": {"inline_string": "live\n"}}}),
    ]
    routes = [_allow(method, path, action) for method, path, action in allowed]
    routes += [_wrong_method(method, path) for method, path, _ in allowed]
    routes.append(_refusal("/v2/repository", "models are not loaded or unloaded through this address"))
    routes.append(_refusal("/", f"only inference, metadata and health of model {model_name} are served here"))
    return {
        "name": "guard",
        # Who forwarded for whom is the client's word only.
        "request_headers_to_remove": ["x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded"],
        "virtual_hosts": [{"name": "model", "domains": ["*"], "routes": routes}],
    }
