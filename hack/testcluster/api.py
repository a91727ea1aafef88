"""A small client of the Kubernetes API: what building and proving a cluster needs, on the standard library."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from testcluster.errors import ClusterError, TimedOutError

FIELD_MANAGER: Final = "verticalmodel-test-cluster"
REQUEST_SECONDS: Final = 20.0
RETRY_SECONDS: Final = 0.05

T = TypeVar("T")
Object = dict[str, Any]

# Kinds that a cluster is built and proven with: API path and plural; {namespace} marks the namespaced ones.
_COLLECTIONS: Final = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
    "PersistentVolumeClaim": "/api/v1/namespaces/{namespace}/persistentvolumeclaims",
}


class ApiError(ClusterError):
    """The API server refused a request; `status` is the HTTP status, `reason` the Kubernetes reason."""

    def __init__(self, method: str, path: str, status: int, body: bytes) -> None:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {"message": body.decode(errors="replace")}
        super().__init__(f"{method} {path}: {status}: {answer.get('message', '')}")
        self.status = status
        self.reason: str = answer.get("reason", "")


class UnreachableError(ClusterError):
    """No answer: refused, cut off, too late, or a certificate that does not verify."""


def collection(kind: str, namespace: str = "") -> str:
    """The path under which objects of a kind are listed."""
    return _COLLECTIONS[kind].format(namespace=namespace)


def path_of(manifest: Object) -> str:
    """The path of one object."""
    metadata = manifest["metadata"]
    return f"{collection(manifest['kind'], metadata.get('namespace', ''))}/{metadata['name']}"


@dataclass(frozen=True, slots=True)
class Api:
    """Requests to one server, as one user. Every request has a connection of its own, so threads may share it."""

    address: str
    port: int
    tls: ssl.SSLContext
    token: str = ""

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Api:
        """The current cluster and user of a self-contained kubeconfig in JSON."""
        document = json.loads(path.read_text(encoding="utf-8"))
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        server = urlsplit(cluster["server"])
        tls = ssl.create_default_context(cadata=_decoded(cluster, "certificate-authority-data").decode())
        with TemporaryDirectory(prefix="kubeconfig-") as folder:  # OpenSSL takes a client key from a file only
            pem = Path(folder) / "client.pem"
            pem.touch(mode=0o600)
            pem.write_bytes(_decoded(user, "client-key-data") + _decoded(user, "client-certificate-data"))
            tls.load_cert_chain(pem)
        return cls(server.hostname or "", server.port or 443, tls)

    def request(self, method: str, path: str, body: Object | None = None, *, content_type: str = "") -> bytes:
        """Send a request and return the body of the answer. Raises ApiError, UnreachableError."""
        try:
            with closing(self._connect()) as connection:
                return self._send(connection, method, path, body, content_type).read()
        except (OSError, http.client.HTTPException) as failure:
            raise UnreachableError(f"{method} https://{self.address}:{self.port}{path}: {failure}") from failure

    def get(self, path: str, **query: str) -> Object:
        answer: Object = json.loads(self.request("GET", f"{path}?{urlencode(query)}" if query else path))
        return answer

    def apply(self, manifest: Object) -> Object:
        """Server-side apply; conflicts are taken over."""
        query = urlencode({"fieldManager": FIELD_MANAGER, "force": "true"})
        path = f"{path_of(manifest)}?{query}"
        answer: Object = json.loads(
            self.request("PATCH", path, manifest, content_type="application/apply-patch+yaml"),
        )
        return answer

    def create(self, path: str, manifest: Object) -> Object:
        answer: Object = json.loads(self.request("POST", path, manifest))
        return answer

    def patch(self, path: str, change: Object) -> None:
        self.request("PATCH", path, change, content_type="application/merge-patch+json")

    def delete(self, path: str) -> None:
        """Delete an object; fine if there is none."""
        try:
            self.request("DELETE", path)
        except ApiError as refused:
            if refused.status != http.client.NOT_FOUND:
                raise

    def wait_ready(self, *, timeout: float) -> None:
        """Wait until the server says that it is ready. Raises TimedOutError with its last answer."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.request("GET", "/readyz")
            except (ApiError, UnreachableError) as failure:
                if time.monotonic() > deadline:
                    raise TimedOutError(f"the API server is not ready after {timeout:.0f} s: {failure}") from failure
                time.sleep(RETRY_SECONDS)
            else:
                return

    def wait(
        self,
        path: str,
        look: Callable[[list[Object]], T | None],
        *,
        timeout: float,
        what: str,
        **query: str,
    ) -> T:
        """Watch a collection until `look`, given all its objects, returns something else than None.

        Raises TimedOutError, naming `what` was waited for.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            listing = self.get(path, **query)
            objects = {item["metadata"]["uid"]: item for item in listing["items"]}
            if (found := look(list(objects.values()))) is not None:
                return found
            version = listing["metadata"]["resourceVersion"]
            for event in self._watch(path, version, deadline, query):
                item = event["object"]
                if event["type"] == "ERROR":  # the version is too old: list again
                    break
                if event["type"] == "DELETED":
                    objects.pop(item["metadata"]["uid"], None)
                elif event["type"] != "BOOKMARK":
                    objects[item["metadata"]["uid"]] = item
                if (found := look(list(objects.values()))) is not None:
                    return found
        raise TimedOutError(f"{what}: not within {timeout:.0f} s")

    def _watch(self, path: str, version: str, deadline: float, query: dict[str, str]) -> Iterator[Object]:
        seconds = max(1, int(deadline - time.monotonic()))
        asked = urlencode({**query, "watch": "1", "resourceVersion": version, "timeoutSeconds": str(seconds)})
        # A watch that breaks off is as good as one that ends: the caller lists again.
        with suppress(OSError, http.client.HTTPException), closing(self._connect(timeout=seconds + 5)) as connection:
            response = self._send(connection, "GET", f"{path}?{asked}", None, "")
            while line := response.readline():
                yield json.loads(line)

    def _connect(self, timeout: float = REQUEST_SECONDS) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.address, self.port, context=self.tls, timeout=timeout)

    def _send(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        body: Object | None,
        content_type: str,
    ) -> http.client.HTTPResponse:
        headers = {"Accept": "application/json", "Content-Type": content_type or "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        if response.status >= http.client.BAD_REQUEST:
            raise ApiError(method, path, response.status, response.read())
        return response


def _decoded(section: dict[str, str], name: str) -> bytes:
    return base64.b64decode(section[name])
