"""Logs of every process: one JSON object per line, keys in a stable order, secrets taken out before rendering."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TextIO

import orjson
import structlog

__all__ = ["configure", "redact"]

REDACTED = "[redacted]"

_FIRST = ("ts", "level", "logger", "event")
_LAST = ("exception", "stack")
# What kopf hangs onto its records for its own use.
_FOREIGN = frozenset({"settings", "k8s_skip"})
_SENSITIVE_KEY = re.compile(
    r"(authorization|token|passw(or)?d|passphrase|private-?key|client-?key(-?data)?|api-?key|cookie"
    r"|last-applied-configuration)$"
)
_SENSITIVE_TEXT = re.compile(
    r"(?<=Bearer )[^\s\"']+"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_SECRET_CONTENT = ("data", "stringData")
_DEPTH = 12


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send structlog and standard logging of this process to `stream` (stdout) as JSON lines, from `level` up.

    Extra fields of standard records (`extra={...}`) become keys. Raises ValueError for an unknown level.
    """
    numeric = logging.getLevelNamesMapping().get(level.upper())
    if numeric is None:
        raise ValueError(f"log level {level!r} is not known; use DEBUG, INFO, WARNING or ERROR")
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redacting,
                structlog.processors.JSONRenderer(serializer=_line),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=numeric, force=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redact(value: Any, depth: int = _DEPTH) -> Any:
    """A copy of a JSON-like value without credentials.

    Gone are: values under keys that name a credential, the data of objects of kind Secret, bearer tokens, JSON web
    tokens and private keys inside any text. What is nested deeper than `depth` is gone as well.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _redacted_container(value, depth) if depth else REDACTED
    return REDACTED if isinstance(value, bytes) else _SENSITIVE_TEXT.sub(REDACTED, str(value))


def _redacted_container(value: Mapping[Any, Any] | Iterable[Any], depth: int) -> Any:
    if not isinstance(value, Mapping):
        return [redact(item, depth - 1) for item in value]
    hidden = _SECRET_CONTENT if value.get("kind") == "Secret" else ()
    return {
        name: REDACTED if name in hidden or _sensitive(name) else redact(item, depth - 1)
        for name, item in value.items()
    }


def _sensitive(name: object) -> bool:
    return isinstance(name, str) and _SENSITIVE_KEY.search(name.lower().replace("_", "-")) is not None


def _redacting(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    clean: dict[str, Any] = redact({name: item for name, item in event.items() if name not in _FOREIGN})
    middle = sorted(clean.keys() - {*_FIRST, *_LAST})
    return {name: clean[name] for name in (*_FIRST, *middle, *_LAST) if name in clean}


def _line(event: Mapping[str, Any], **_options: Any) -> str:
    return orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS).decode()
