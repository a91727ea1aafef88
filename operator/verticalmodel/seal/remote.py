"""HTTPS and S3 as sources. Ranges, signing, retries with back-off and TLS are obstore's (Rust's object_store)."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore import exceptions as failures
from obstore.store import HTTPStore, S3Store

from verticalmodel.seal.credentials import Credentials
from verticalmodel.seal.reasons import Reason, Refusal
from verticalmodel.seal.segments import SEGMENT_BYTES
from verticalmodel.seal.source import Patience, truncated

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig  # known to type checkers only

__all__ = ["Remote", "object_name"]

T = TypeVar("T")

_MAX_CAUSE = 400
# obstore appends a dump of its structures to the sentence.
_DUMP = "\n\nDebug source"


class Remote:
    """Objects below one HTTPS origin or in one bucket; names are paths without a leading slash."""

    # Latency wants many requests, memory few bytes in each: a body is held twice while it arrives.
    fetchers = 6
    unit_bytes = 2 * SEGMENT_BYTES

    def __init__(self, uri: str, credentials: Credentials, patience: Patience) -> None:
        """For an https:// or s3:// URI, of which only the origin or bucket matters. Raises Refusal(SourceInvalid)."""
        self._credentials, self._patience = credentials, patience
        self.origin = _origin(uri)
        client = _client(credentials, patience)
        self._answered = False
        at_once = min(patience.first, patience.total)
        retry: RetryConfig = {"max_retries": patience.retries, "retry_timeout": at_once}
        try:
            self._store: Any = (
                _bucket(self.origin, credentials, client, retry)
                if uri.startswith("s3:")
                else HTTPStore.from_url(self.origin, client_options=client, retry_config=retry)
            )
        except failures.BaseError as error:
            raise Refusal(Reason.SOURCE_INVALID, f"{self.origin}: {self._cause(error)}") from None

    def small(self, name: str, limit: int) -> bytes:
        size = min(self.size(name), limit + 1)
        return bytes(self.fetch(name, 0, memoryview(bytearray(size)))) if size else b""

    def size(self, name: str) -> int:
        return self._persistently(name, lambda: obstore.head(self._store, name)["size"])

    def fetch(self, name: str, start: int, scratch: memoryview) -> memoryview:
        wanted = len(scratch)
        body = self._persistently(
            name, lambda: memoryview(obstore.get_range(self._store, name, start=start, length=wanted))
        )
        if len(body) < wanted:
            raise truncated(name, start, wanted, len(body))
        return body

    def _persistently(self, name: str, ask: Callable[[], T]) -> T:
        """What `ask` answers. The library retries requests, but resumes a body that breaks off only where the server
        names versions (ETag): so the whole is asked again as well.
        """
        patience = self._patience.total if self._answered else min(self._patience.first, self._patience.total)
        deadline = time.monotonic() + patience.total_seconds()
        pause = 0.2
        while True:
            try:
                with self._refusing(name):
                    answer = ask()
            except Refusal as refusal:
                if refusal.reason is not Reason.SOURCE_UNREACHABLE or time.monotonic() + pause > deadline:
                    raise
            else:
                self._answered = True
                return answer
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 (back-off, spread; protects nothing)
            pause = min(2 * pause, 10)

    def plain_files(self, name: str) -> Mapping[str, str]:
        """One object: neither protocol's folders are listed."""
        self.size(name)
        return {name.rpartition("/")[2]: name}

    def _cause(self, error: Exception) -> str:
        return self._credentials.scrubbed(str(error).partition(_DUMP)[0])[:_MAX_CAUSE]

    @contextmanager
    def _refusing(self, name: str) -> Iterator[None]:
        where = f"{self.origin}/{name}"
        try:
            yield
        except (failures.NotFoundError, FileNotFoundError):
            raise Refusal(Reason.SOURCE_NOT_FOUND, f"{where} does not exist") from None
        except (failures.PermissionDeniedError, failures.UnauthenticatedError, PermissionError) as error:
            raise Refusal(Reason.SOURCE_DENIED, f"{where}: {self._cause(error)}") from None
        except (failures.BaseError, OSError) as error:
            raise Refusal(Reason.SOURCE_UNREACHABLE, f"{where}: {self._cause(error)}") from None


def object_name(uri: str) -> str:
    """What a URI names below its origin. Raises Refusal(SourceInvalid)."""
    name = unquote(urlsplit(uri).path).strip("/")
    if not name or any(part in {"", ".", ".."} for part in name.split("/")):
        raise Refusal(
            Reason.SOURCE_INVALID, f"source {_origin(uri)}/...: its path must name a file or folder, without . and .."
        )
    return name


def _origin(uri: str) -> str:
    """Raises Refusal(SourceInvalid); credentials in a URI are refused without being repeated."""
    parts = urlsplit(uri)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise Refusal(
            Reason.SOURCE_INVALID,
            f"source {parts.scheme}://{parts.hostname or ''}: no user, password, query or fragment belongs in a URI; "
            "credentials come from the Secret",
        )
    if not parts.netloc:
        raise Refusal(Reason.SOURCE_INVALID, f"source {uri!r} names no host or bucket")
    return f"{parts.scheme}://{parts.netloc}"


def _client(credentials: Credentials, patience: Patience) -> ClientConfig:
    options: ClientConfig = {
        "connect_timeout": patience.connect,
        "read_timeout": patience.silence,
        "timeout": patience.request,
        "user_agent": "verticalmodel-unseal",
    }
    if authority := credentials.get("ca.crt"):
        options["root_certificate"] = authority
    if proxy := credentials.get("HTTPS_PROXY"):
        options["proxy_url"] = proxy
    if excluded := credentials.get("NO_PROXY"):
        options["proxy_excludes"] = excluded
    if token := credentials.get("token"):
        options["default_headers"] = {"authorization": f"Bearer {token}"}
    elif user := credentials.get("username"):
        pair = f"{user}:{credentials.get('password') or ''}".encode()
        options["default_headers"] = {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return options


def _bucket(origin: str, credentials: Credentials, client: ClientConfig, retry: RetryConfig) -> S3Store:
    config: dict[str, Any] = {"region": credentials.get("AWS_REGION") or "us-east-1"}
    if endpoint := credentials.get("AWS_ENDPOINT_URL"):
        if not endpoint.startswith("https://"):
            raise Refusal(Reason.SOURCE_INVALID, f"AWS_ENDPOINT_URL {endpoint!r} must begin with https://")
        config["endpoint"] = endpoint
    if identity := credentials.get("AWS_ACCESS_KEY_ID"):
        config["access_key_id"] = identity
        config["secret_access_key"] = credentials.get("AWS_SECRET_ACCESS_KEY") or ""
        if session := credentials.get("AWS_SESSION_TOKEN"):
            config["session_token"] = session
    else:
        # Else it would ask the cloud's metadata address, which network policies rightly forbid.
        config["skip_signature"] = True
    return S3Store(origin.removeprefix("s3://"), client_options=client, retry_config=retry, **config)
