"""HTTPS and S3 as sources. Ranges, signing, retries with back-off and TLS are obstore's (Rust's object_store)."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore import exceptions as failures
from obstore.store import ClientConfig, HTTPStore, RetryConfig, S3Store

from verticalmodel.seal.credentials import Credentials
from verticalmodel.seal.reasons import Reason, Refusal
from verticalmodel.seal.segments import SEGMENT_BYTES
from verticalmodel.seal.source import truncated

__all__ = ["Patience", "Remote"]

_MAX_CAUSE = 400
# obstore appends a dump of its structures to the sentence.
_DUMP = "\n\nDebug source"


class Patience:
    """How long a silent or failing server is waited for."""

    connect = timedelta(seconds=10)
    read = timedelta(seconds=20)
    request = timedelta(minutes=5)
    retries = 8
    all_retries = timedelta(minutes=3)


class Remote:
    """Objects below one HTTPS origin or in one bucket; names are paths without a leading slash."""

    # Latency wants many requests, memory few bytes in each: a body is held twice while it arrives.
    fetchers = 8
    unit_bytes = 2 * SEGMENT_BYTES

    def __init__(self, uri: str, credentials: Credentials, patience: type[Patience] = Patience) -> None:
        """For an https:// or s3:// URI, of which only the origin or bucket matters. Raises Refusal(SourceInvalid)."""
        self._credentials = credentials
        self.origin = _origin(uri)
        client = _client(credentials, patience)
        retry: RetryConfig = {"max_retries": patience.retries, "retry_timeout": patience.all_retries}
        try:
            self._store: Any = (
                _bucket(self.origin, credentials, client, retry)
                if uri.startswith("s3:")
                else HTTPStore.from_url(self.origin, client_options=client, retry_config=retry)
            )
        except failures.BaseError as error:
            raise Refusal(Reason.SOURCE_INVALID, f"{self.origin}: {self._cause(error)}") from None

    def small(self, name: str, limit: int) -> bytes:
        with self._refusing(name):
            return bytes(obstore.get(self._store, name).bytes()) if self.size(name) <= limit else b""

    def size(self, name: str) -> int:
        with self._refusing(name):
            return obstore.head(self._store, name)["size"]

    def fetch(self, name: str, start: int, scratch: memoryview) -> memoryview:
        with self._refusing(name):
            body = memoryview(obstore.get_range(self._store, name, start=start, length=len(scratch)))
        if len(body) < len(scratch):
            raise truncated(name, start, len(scratch), len(body))
        return body

    def plain_files(self, name: str) -> Mapping[str, str]:
        """One object: neither protocol's folders are listed."""
        self.size(name)
        return {name.rpartition("/")[2]: name}

    def close(self) -> None:
        """The store ends its connections when it is collected."""

    def _cause(self, error: Exception) -> str:
        return self._credentials.scrubbed(str(error).partition(_DUMP)[0])[:_MAX_CAUSE]

    @contextmanager
    def _refusing(self, name: str) -> Iterator[None]:
        where = f"{self.origin}/{name}"
        try:
            yield
        except failures.NotFoundError:
            raise Refusal(Reason.SOURCE_NOT_FOUND, f"{where} does not exist") from None
        except (failures.PermissionDeniedError, failures.UnauthenticatedError) as error:
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


def _client(credentials: Credentials, patience: type[Patience]) -> ClientConfig:
    options: ClientConfig = {
        "connect_timeout": patience.connect,
        "read_timeout": patience.read,
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
