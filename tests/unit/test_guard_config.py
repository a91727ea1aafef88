"""The guard's configuration says what DESIGN section 7 promises; tests/e2e/test_guard_local.py shows Envoy doing it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from verticalmodel.api.modelruntime import ModelRuntimeSpec, Probes, Route
from verticalmodel.render.guard_config import (
    CERTIFICATE_FILE,
    CONFIG_DIR,
    certificate_resource,
    guard_bootstrap,
    guard_files,
)
from verticalmodel.render.guard_drain import drain_path
from verticalmodel.render.guard_routes import MAX_REQUEST_BYTES
from verticalmodel.render.protocols import Endpoints, endpoints

MODEL = "breast-screening"


def served(name: str = MODEL, **chosen: Any) -> Endpoints:
    """What clients may ask of a server of a runtime with these fields."""
    return endpoints(ModelRuntimeSpec(image="server", command=("serve",), formats=("onnx",), **chosen), name)


DRAIN = drain_path("uid")
BOOTSTRAP = guard_bootstrap(served=served(), server_port=8080, drain_path=DRAIN)


def http_of(bootstrap: dict[str, Any], listener: str = "guard") -> dict[str, Any]:
    (chain,) = listeners_of(bootstrap)[listener]["filter_chains"]
    *_, http = chain["filters"]
    return http["typed_config"]


def listeners_of(bootstrap: dict[str, Any]) -> dict[str, Any]:
    return {listener["name"]: listener for listener in bootstrap["static_resources"]["listeners"]}


def tls_of(bootstrap: dict[str, Any]) -> dict[str, Any]:
    return listeners_of(bootstrap)["guard"]["filter_chains"][0]["transport_socket"]["typed_config"]


def routes_of(bootstrap: dict[str, Any]) -> list[dict[str, Any]]:
    return http_of(bootstrap)["route_config"]["virtual_hosts"][0]["routes"]


def outcome(method: str, path: str, length: int | None = None, bootstrap: dict[str, Any] = BOOTSTRAP) -> str | int:
    """What the first matching route does: the path that the server sees, or the status that Envoy answers by itself."""
    headers = {":method": method, **({} if length is None else {"content-length": str(length)})}
    for route in routes_of(bootstrap):
        match = route["match"]
        if not (path == match.get("path") or path.startswith(match.get("prefix", "\0"))):
            continue
        if all(_holds(wanted, headers.get(wanted["name"])) for wanted in match.get("headers", [])):
            direct = route.get("direct_response")
            return direct["status"] if direct else route["route"].get("prefix_rewrite", path)
    raise AssertionError(f"no route for {method} {path}")


def _holds(wanted: dict[str, Any], value: str | None) -> bool:
    if value is None:
        return False
    if "range_match" in wanted:
        return wanted["range_match"]["start"] <= int(value) < wanted["range_match"]["end"]
    return wanted["string_match"] == {"exact": value}


def test_tls_is_1_3_only_on_the_agreed_curves() -> None:
    """Neither end of the version range leaves room, and the key exchange is X25519 or P-256."""
    assert tls_of(BOOTSTRAP)["common_tls_context"]["tls_params"] == {
        "tls_minimum_protocol_version": "TLSv1_3",
        "tls_maximum_protocol_version": "TLSv1_3",
        "ecdh_curves": ["X25519", "P-256"],
    }


def test_every_listener_speaks_tls() -> None:
    """There is no other way in: the administration interface is a socket in a volume of the guard's own."""
    assert BOOTSTRAP["admin"] == {"address": {"pipe": {"path": "/run/guard/administration.sock", "mode": 0o600}}}
    chains = {name: listener["filter_chains"] for name, listener in listeners_of(BOOTSTRAP).items()}
    assert {name: [chain["transport_socket"] for chain in found] for name, found in chains.items()} == {
        name: [{"name": "envoy.transport_sockets.tls", "typed_config": tls_of(BOOTSTRAP)}]
        for name in ("guard", "drain")
    }


def test_the_hooks_port_leads_to_the_drain_and_nowhere_else() -> None:
    """One path by one method, rewritten as a whole; clients' listener has no way to the administration interface."""
    hook = http_of(BOOTSTRAP, "drain")["route_config"]["virtual_hosts"][0]["routes"]
    assert [(one["match"], one.get("route"), one.get("direct_response", {}).get("status")) for one in hook] == [
        (
            {"path": DRAIN, "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]},
            {"cluster": "administration", "prefix_rewrite": "/drain_listeners?graceful", "timeout": "1s"},
            None,
        ),
        ({"prefix": "/"}, None, 403),
    ]
    assert {one["route"]["cluster"] for one in routes_of(BOOTSTRAP) if "route" in one} == {"server"}


def test_the_certificate_is_reread_when_its_folder_changes() -> None:
    """The bootstrap points to the SDS file, and that one to the mounted Secret as a watched folder."""
    (reference,) = tls_of(BOOTSTRAP)["common_tls_context"]["tls_certificate_sds_secret_configs"]
    assert reference["sds_config"]["path_config_source"] == {"path": f"{CONFIG_DIR}/{CERTIFICATE_FILE}"}
    (secret,) = certificate_resource("/somewhere")["resources"]
    assert secret["name"] == reference["name"]
    assert secret["tls_certificate"] == {
        "certificate_chain": {"filename": "/somewhere/tls.crt"},
        "private_key": {"filename": "/somewhere/tls.key"},
        "watched_directory": {"path": "/somewhere"},
    }


def test_the_config_map_holds_both_files_as_json() -> None:
    """What is mounted is what was rendered."""
    files = guard_files(served=served(), server_port=8080, drain_path=DRAIN, certificate_dir="/tls")
    assert {name: json.loads(text) for name, text in files.items()} == {
        "bootstrap.json": BOOTSTRAP,
        "certificate.json": certificate_resource("/tls"),
    }


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v2", "/v2"),
        ("GET", "/v2/health/live", "/v2/health/live"),
        ("GET", "/v2/health/ready", "/v2/health/ready"),
        ("GET", "/healthz/live", "/v2/health/live"),
        ("GET", "/healthz/ready", "/v2/health/ready"),
        ("GET", f"/v2/models/{MODEL}", f"/v2/models/{MODEL}"),
        ("GET", f"/v2/models/{MODEL}/ready", f"/v2/models/{MODEL}/ready"),
        ("GET", "/guard/live", 200),
        ("POST", "/guard/live", 405),
        ("POST", "/v2", 405),
        ("HEAD", "/v2", 405),
        ("GET", f"/v2/models/{MODEL}/infer", 405),
        ("DELETE", f"/v2/models/{MODEL}/infer", 405),
        ("POST", f"/v2/repository/models/{MODEL}/unload", 403),
        ("POST", "/v2/repository/index", 403),
        ("GET", "/v2/models/another", 403),
        ("POST", "/v2/models/another/infer", 403),
        ("GET", f"/v2/models/{MODEL}/versions/1", 403),
        ("GET", "/v2/", 403),
        ("GET", "/v2x", 403),
        ("GET", f"/V2/models/{MODEL}", 403),
        ("GET", f"/v2/models/{MODEL.upper()}", 403),
        ("GET", "/metrics", 403),
        ("GET", "/", 403),
        ("GET", "/v1/models", 403),
        ("GET", "/docs", 403),
    ],
)
def test_only_what_clients_need_is_let_through(method: str, path: str, expected: str | int) -> None:
    """Exact paths by exact methods; another method is 405, another path 403."""
    assert outcome(method, path) == expected


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, f"/v2/models/{MODEL}/infer"),
        (MAX_REQUEST_BYTES, f"/v2/models/{MODEL}/infer"),
        (MAX_REQUEST_BYTES + 1, 413),
        (1 << 60, 413),
        (None, 411),
    ],
)
def test_inference_takes_a_body_of_a_declared_and_bearable_size(length: int | None, expected: str | int) -> None:
    """Envoy does not collect bodies, so the declared length is what it can hold a client to."""
    assert outcome("POST", f"/v2/models/{MODEL}/infer", length) == expected


OPENAI = guard_bootstrap(
    served=served(protocol="openai", probes=Probes(live_path="/health", ready_path="/health"), timeout_seconds=600),
    server_port=8000,
    drain_path=DRAIN,
)
CUSTOM = guard_bootstrap(
    served=served(protocol="Custom", routes=(Route(path="/score"), Route(path="/about", method="GET"))),
    server_port=8000,
    drain_path=DRAIN,
)


@pytest.mark.parametrize(
    ("bootstrap", "method", "path", "expected"),
    [
        (OPENAI, "POST", "/v1/completions", "/v1/completions"),
        (OPENAI, "POST", "/v1/chat/completions", "/v1/chat/completions"),
        (OPENAI, "POST", "/v1/embeddings", "/v1/embeddings"),
        (OPENAI, "GET", "/v1/models", "/v1/models"),
        (OPENAI, "GET", "/healthz/live", "/health"),
        (OPENAI, "GET", "/healthz/ready", "/health"),
        (OPENAI, "GET", "/v1/completions", 405),
        # What else vLLM serves: adapters, sleep, metrics, its own documentation.
        (OPENAI, "POST", "/v1/load_lora_adapter", 403),
        (OPENAI, "POST", "/sleep", 403),
        (OPENAI, "GET", "/metrics", 403),
        (OPENAI, "GET", "/health", 403),
        (OPENAI, "GET", f"/v2/models/{MODEL}", 403),
        (CUSTOM, "POST", "/score", "/score"),
        (CUSTOM, "GET", "/about", "/about"),
        (CUSTOM, "POST", "/about", 405),
        (CUSTOM, "GET", "/score/", 403),
        (CUSTOM, "GET", "/", 403),
    ],
)
def test_each_protocol_opens_its_own_calls(
    bootstrap: dict[str, Any], method: str, path: str, expected: str | int
) -> None:
    """And nothing of what else such a server answers."""
    assert outcome(method, path, 2 if method == "POST" else None, bootstrap) == expected


def test_an_inference_may_take_as_long_as_the_runtime_says() -> None:
    """Envoy waits for that and gives up a stream that is silent for longer."""
    timeouts = {
        route["route"]["timeout"]
        for route in routes_of(OPENAI)
        if route["match"].get("path") == "/v1/completions" and "route" in route
    }
    assert (timeouts, http_of(OPENAI)["stream_idle_timeout"]) == ({"600s"}, "610s")


def test_nothing_reaches_the_server_by_a_prefix() -> None:
    """A prefix that proxies would let through paths that nobody listed."""
    assert [route["match"] for route in routes_of(BOOTSTRAP) if "route" in route and "path" not in route["match"]] == []


def test_a_path_has_one_spelling_before_it_is_matched() -> None:
    """Dot segments and double slashes are resolved, escaped slashes and underscored headers refused."""
    http = http_of(BOOTSTRAP)
    settings = ("normalize_path", "merge_slashes", "path_with_escaped_slashes_action")
    assert {name: http[name] for name in settings} == {
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
    }
    assert http["common_http_protocol_options"]["headers_with_underscores_action"] == "REJECT_REQUEST"


def test_the_access_log_holds_no_header_query_or_body() -> None:
    """Every field is one of Envoy's own measurements; request headers could hold credentials, queries patient data."""
    (log,) = http_of(BOOTSTRAP)["access_log"]
    fields = log["typed_config"]["log_format"]["json_format"]
    assert [field for field in fields.values() if field.startswith(("%REQ(", "%RESP("))] == ["%REQ(:METHOD)%"]
    assert fields["path"] == "%PATH(NQ:ORIG_OR_PATH)%"


def test_who_forwarded_for_whom_is_not_believed() -> None:
    """The peer is the connection's, and the headers that claim otherwise do not reach the server."""
    http = http_of(BOOTSTRAP)
    assert http["use_remote_address"] is True
    assert "x-forwarded-for" in http["route_config"]["request_headers_to_remove"]


def test_probes_have_connections_of_their_own() -> None:
    """A flood of inference fills the default slots; every health route uses the high priority's."""
    health = [route for route in routes_of(BOOTSTRAP) if "ready" in route["match"].get("path", "") and "route" in route]
    health += [route for route in routes_of(BOOTSTRAP) if "live" in route["match"].get("path", "") and "route" in route]
    assert {route["route"].get("priority") for route in health} == {"HIGH"}
    cluster, _ = BOOTSTRAP["static_resources"]["clusters"]
    assert [limit["priority"] for limit in cluster["circuit_breakers"]["thresholds"]] == ["DEFAULT", "HIGH"]


def test_the_server_is_reached_on_loopback() -> None:
    """The guard's only upstream is the server beside it."""
    cluster, _ = guard_bootstrap(served=served(), server_port=9000, drain_path=DRAIN)["static_resources"]["clusters"]
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9000}


@pytest.mark.parametrize("mebibytes", [64, 128, 1024])
def test_the_limits_follow_the_containers_memory(mebibytes: int) -> None:
    """Heap and connections are shares of the limit: twice the memory, twice the connections."""
    limit = mebibytes * 1024 * 1024
    overload = guard_bootstrap(served=served(), server_port=8080, drain_path=DRAIN, memory_limit_bytes=limit)[
        "overload_manager"
    ]
    heap, connections = (monitor["typed_config"] for monitor in overload["resource_monitors"])
    assert heap["max_heap_size_bytes"] < limit
    assert connections["max_active_downstream_connections"] == 2 * mebibytes


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"served": served("../admin")}, "name is '../admin'"),
        ({"served": served("a" * 64)}, "the model's name is"),
        ({"served": served("Model")}, "the model's name is"),
        ({"served": served("m\n")}, "the model's name is"),
        ({"server_port": 0}, "server_port is 0"),
        ({"guard_port": 65536}, "guard_port is 65536"),
        ({"server_port": 8443}, r"ports \(8443, 8443, 8444\)"),
        ({"server_port": 8444}, r"ports \(8444, 8443, 8444\)"),
    ],
)
def test_a_name_or_port_that_could_bend_the_routes_is_refused(settings: dict[str, Any], complaint: str) -> None:
    """The model's name becomes part of the allow-list, so it is checked here once more."""
    with pytest.raises(ValueError, match=complaint):
        guard_bootstrap(**{"served": served(), "server_port": 8080, "drain_path": DRAIN, **settings})
