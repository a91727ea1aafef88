"""What a request to the API server can fail with, decided by HTTP status and Status.reason, never by text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
    "AlreadyExists",
    "ApiError",
    "Cause",
    "Conflict",
    "Forbidden",
    "Gone",
    "Invalid",
    "NotFound",
    "ServerError",
    "TooManyRequests",
    "Unauthorized",
    "Unreachable",
    "error_of",
]

_MESSAGE_LIMIT = 2048


@dataclass(frozen=True)
class Cause:
    """One entry of Status.details.causes: which field, why."""

    field: str
    reason: str
    message: str


class ApiError(Exception):
    """A request that the API server refused, or that never got an answer.

    `retryable` says that the very same intent may succeed later although nobody corrects it; the caller re-reads what
    it decided from. `retry_after` is the server's own wish in seconds, 0 where it has none. The message holds the
    request line and the server's words, never a header or a body that was sent.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message[:_MESSAGE_LIMIT])
        self.status = status
        self.reason = reason
        self.causes = causes
        self.retry_after = retry_after


class NotFound(ApiError):  # noqa: N818 - named as Kubernetes names it, for all below
    """404: the object or its kind does not exist."""


class Conflict(ApiError):  # noqa: N818
    """409: the object is not what the request expected (resourceVersion, uid, or a field's manager)."""

    retryable = True


class AlreadyExists(ApiError):  # noqa: N818
    """409 with reason AlreadyExists: a create met an object of that name."""


class Gone(ApiError):  # noqa: N818
    """410: the resource version or continue token is too old; list again."""

    retryable = True


class Invalid(ApiError):  # noqa: N818
    """422: the object breaks its schema or an admission rule; `causes` name the fields."""


class Forbidden(ApiError):  # noqa: N818
    """403: the account may not do this, or admission said no."""


class Unauthorized(ApiError):  # noqa: N818
    """401: the credentials were not accepted; a rotated token may be."""

    retryable = True


class TooManyRequests(ApiError):  # noqa: N818
    """429: come back after `retry_after` seconds; also an eviction that a disruption budget holds back."""

    retryable = True


class ServerError(ApiError):
    """5xx, or an answer that is no JSON."""

    retryable = True


class Unreachable(ApiError):  # noqa: N818
    """No answer: connection refused, cut or timed out. A write may or may not have happened."""

    retryable = True


_BY_STATUS: dict[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}
_FIRST_SERVER_ERROR = 500


def error_of(request: str, status: int, body: Mapping[str, Any], retry_after: str | None = None) -> ApiError:
    """The typed error for an answer of HTTP `status`; `body` is its Status object, or empty where it was none.

    `request` is the request line for the message; `retry_after` the header of that name. Source: apimachinery
    meta/v1 StatusReason, RFC 9110 section 10.2.3.
    """
    reason = str(body.get("reason") or "")
    kind = _BY_STATUS.get(status, ServerError if status >= _FIRST_SERVER_ERROR else ApiError)
    if kind is Conflict and reason == "AlreadyExists":
        kind = AlreadyExists
    details: Mapping[str, Any] = body.get("details") or {}
    causes = tuple(
        Cause(str(cause.get("field") or ""), str(cause.get("reason") or ""), str(cause.get("message") or ""))
        for cause in details.get("causes") or ()
    )
    message = str(body.get("message") or "the server gave no reason")
    label = f"{status} {reason}" if reason else str(status)
    return kind(
        f"{request}: {label}: {message}",
        status=status,
        reason=reason,
        causes=causes,
        retry_after=_seconds(retry_after) or float(details.get("retryAfterSeconds") or 0),
    )


def _seconds(header: str | None) -> float:
    # The API server sends whole seconds; a date, which a proxy might send, counts as no wish.
    return float(header) if header is not None and header.isdecimal() else 0.0
