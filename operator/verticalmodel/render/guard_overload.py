"""How the guard stays under its container's memory limit, whatever clients send."""

from __future__ import annotations

from verticalmodel.render.guard_routes import TYPES, Tree

MEMORY_LIMIT_BYTES = 128 * 1024 * 1024
"""The container's memory limit that the defaults are made for."""

# What a connection can make the guard hold: a full window, both buffers, and TLS; the limit is shared out by it.
_CONNECTION_BYTES = 512 * 1024


def overload(memory_limit_bytes: int) -> Tree:
    """Stay under the container's memory limit.

    Bodies are streamed, not collected, so the number of connections bounds what clients can make the guard hold; the
    heap thresholds are for what this did not foresee.
    """
    heap = "envoy.resource_monitors.fixed_heap"
    monitors = f"{TYPES}extensions.resource_monitors"

    def action(name: str, share: float) -> Tree:
        return {"name": f"envoy.overload_actions.{name}", "triggers": [{"name": heap, "threshold": {"value": share}}]}

    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": heap,
                "typed_config": {
                    "@type": f"{monitors}.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": memory_limit_bytes * 4 // 5,
                },
            },
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": f"{monitors}.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": memory_limit_bytes // _CONNECTION_BYTES,
                },
            },
        ],
        "actions": [
            action("shrink_heap", 0.8),
            action("disable_http_keepalive", 0.9),
            action("stop_accepting_requests", 0.95),
        ],
    }
