"""Who set which field of a child: reads metadata.managedFields (fieldsV1, KEP-555). Pure.

Server-side apply repairs what we own, but it never takes away what another manager added: a sidecar, a port, an
environment variable. So drift has two halves: fields of ours that somebody changed or removed (we no longer own them),
and fields that somebody added beside ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FieldSet = Mapping[str, Any]
"""fieldsV1: `f:name` a field, `k:{...}` a list item by key, `v:value` a set item, `.` the node itself."""

# Written by ordinary tools on purpose; harmless to what the pod may do.
ALLOWED_ADDITIONS = (
    ("f:spec", "f:template", "f:metadata", "f:annotations", "f:kubectl.kubernetes.io/restartedAt"),
    ("f:imagePullSecrets",),
    ("f:secrets",),
)


@dataclass(frozen=True)
class Ownership:
    """The two halves of managedFields that matter to one manager."""

    own: FieldSet
    """What the manager owns by apply."""
    others: tuple[FieldSet, ...]
    """What everybody else owns, status subresources left out."""


def ownership(managed_fields: Sequence[Mapping[str, Any]], manager: str) -> Ownership:
    """Split managedFields into the manager's own apply entry and the entries of all others."""
    own: FieldSet = {}
    others = []
    for entry in managed_fields:
        if entry.get("subresource") == "status" or entry.get("fieldsType") != "FieldsV1":
            continue
        # The name alone proves nothing: whoever updates under it is somebody else, for we only ever apply.
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            own = entry.get("fieldsV1", {})
        else:
            others.append(entry.get("fieldsV1", {}))
    return Ownership(own, tuple(others))


def owns_all(own: FieldSet, desired: Any) -> bool:
    """Whether every field of `desired` (a manifest or a part of one) is in the field set.

    A field that another manager changed has left our set; so has one that was removed.
    """
    if isinstance(desired, Mapping):
        return all(f"f:{key}" in own and _owns(own[f"f:{key}"], value) for key, value in desired.items())
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        return all(any(_is_item(key, item) and _owns(node, item) for key, node in own.items()) for item in desired)
    return True


def _owns(node: FieldSet, desired: Any) -> bool:
    # An empty node is an atomic field: a scalar, or a list, map or struct that is owned as a whole.
    return not node or owns_all(node, desired)


def body_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a manifest that field sets speak about: names and versions are nobody's."""
    body = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind")}
    body["metadata"] = {
        key: value for key, value in manifest["metadata"].items() if key not in ("name", "namespace", "uid")
    }
    return body


def has_additions(fields: Ownership, desired: Mapping[str, Any]) -> bool:
    """Whether anybody else added something beside what `desired` holds, outside metadata and the allow-list."""
    return any(True for other in fields.others for _ in _additions(_spec_part(other), fields.own, desired, ()))


def removal_patch(live: Mapping[str, Any], fields: Ownership, desired: Mapping[str, Any]) -> list[dict[str, Any]]:
    """JSON patch (RFC 6902) that removes the additions of others from `live`; empty where there are none.

    It tests the resourceVersion first, so that indexes mean what they meant when they were read.
    """
    pointers = set()
    for other in fields.others:
        for path in _additions(_spec_part(other), fields.own, desired, ()):
            pointer = _pointer(live, path)
            if pointer is not None:
                pointers.add(pointer)
    # Parents make their children's removal moot, and higher indexes go first so that lower ones stay put.
    tops = [p for p in pointers if not any(p[:cut] in pointers for cut in range(1, len(p)))]
    if not tops:
        return []
    version = live["metadata"]["resourceVersion"]
    ordered = sorted(
        tops, key=lambda p: tuple((isinstance(s, int), s if isinstance(s, int) else str(s)) for s in p), reverse=True
    )
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        *({"op": "remove", "path": "/" + "/".join(_escape(step) for step in pointer)} for pointer in ordered),
    ]


def _spec_part(fields: FieldSet) -> dict[str, Any]:
    return {key: node for key, node in fields.items() if key not in ("f:metadata", "f:status")}


def _additions(other: FieldSet, own: FieldSet, desired: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, node in other.items():
        here = (*path, key)
        if key == "." or here in ALLOWED_ADDITIONS:
            continue
        step = _step(desired, key)
        # A field of ours that somebody took over is no addition: the next apply takes it back.
        known = key in own or step is not None
        may_hold_allowed = any(allowed[: len(here)] == here for allowed in ALLOWED_ADDITIONS)
        if known or may_hold_allowed:
            below = desired[step] if step is not None else {}
            if node and own.get(key) != {}:
                yield from _additions(node, own.get(key, {}), below, here)
        else:
            yield here


def _pointer(live: Any, path: tuple[str, ...]) -> tuple[str | int, ...] | None:
    steps: list[str | int] = []
    node = live
    for key in path:
        step = _step(node, key)
        if step is None:
            return None
        steps.append(step)
        node = node[step]
    return tuple(steps)


def _step(node: Any, key: str) -> str | int | None:
    kind, _, rest = key.partition(":")
    if kind == "f":
        return rest if isinstance(node, Mapping) and rest in node else None
    if not isinstance(node, list):
        return None
    return next((index for index, item in enumerate(node) if _is_item(key, item)), None)


def _is_item(key: str, item: Any) -> bool:
    kind, _, rest = key.partition(":")
    if kind not in ("k", "v"):
        return False
    wanted = json.loads(rest)
    if kind == "v":
        return bool(wanted == item)
    # A key field that the manifest leaves out was defaulted by the API server (a port's protocol).
    return isinstance(item, Mapping) and all(item[k] == v for k, v in wanted.items() if k in item)


def _escape(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")
