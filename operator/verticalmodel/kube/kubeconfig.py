"""Where the API server is and how we prove who we are: from the pod's own account or from a kubeconfig file."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Access", "ConfigError", "from_kubeconfig", "in_cluster"]

ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")

# Each would change whom we talk to or as whom; ignoring one silently is worse than refusing it.
_REFUSED_CLUSTER = ("insecure-skip-tls-verify", "proxy-url", "tls-server-name")
_REFUSED_USER = ("exec", "auth-provider", "username", "password", "as", "as-groups", "as-uid", "as-user-extra")


class ConfigError(Exception):
    """The configuration does not say how to reach the API server; the message names the file and the field."""


@dataclass(frozen=True)
class Access:
    """One way to one API server. Secrets are kept out of repr."""

    server: str
    """Base URL without a trailing slash."""
    namespace: str = "default"
    ca_file: Path | None = None
    ca_pem: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    certificate_pem: bytes | None = field(default=None, repr=False)
    """Client certificate chain."""
    key_pem: bytes | None = field(default=None, repr=False)


def in_cluster(environment: Mapping[str, str] = os.environ, account_dir: Path = ACCOUNT_DIR) -> Access:
    """Access by the pod's service account. Raises ConfigError outside a pod."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise ConfigError("KUBERNETES_SERVICE_HOST and _PORT are not set: not in a pod; name a kubeconfig file instead")
    token_file, ca_file, namespace_file = (account_dir / name for name in ("token", "ca.crt", "namespace"))
    for needed in (token_file, ca_file):
        if not needed.is_file():
            raise ConfigError(f"{needed} is missing: the pod needs automountServiceAccountToken")
    namespace = namespace_file.read_text().strip() if namespace_file.is_file() else "default"
    bracketed = f"[{host}]" if ":" in host else host
    return Access(f"https://{bracketed}:{port}", namespace=namespace, ca_file=ca_file, token_file=token_file)


def from_kubeconfig(path: Path, context: str | None = None) -> Access:
    """Access by a context of a kubeconfig file, its current one by default.

    Client certificates, tokens and token files are understood; plug-ins (exec), passwords and insecure connections
    raise ConfigError, as does anything missing.
    """
    import yaml  # noqa: PLC0415 - 70 ms that a pod, which has no kubeconfig, need not pay

    try:
        config = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except OSError as error:
        raise ConfigError(f"kubeconfig {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        # Not the parser's own text: it quotes the line, which may be a key.
        raise ConfigError(f"kubeconfig {path} is not valid YAML") from error
    if not isinstance(config, dict):
        raise ConfigError(f"kubeconfig {path} holds no mapping")
    name = context or config.get("current-context")
    if not name:
        raise ConfigError(f"kubeconfig {path} has no current-context; name one")
    chosen = _named(config, "contexts", str(name), path)
    cluster = _named(config, "clusters", str(chosen.get("cluster")), path)
    user = _named(config, "users", str(chosen.get("user")), path)
    _refuse(cluster, _REFUSED_CLUSTER, f"{path}: cluster {chosen.get('cluster')!r}")
    _refuse(user, _REFUSED_USER, f"{path}: user {chosen.get('user')!r}")
    return _access(cluster, user, str(chosen.get("namespace") or "default"), path)


def _access(cluster: Mapping[str, Any], user: Mapping[str, Any], namespace: str, path: Path) -> Access:
    server = str(cluster.get("server") or "").rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise ConfigError(f"{path}: cluster.server must be an http(s) URL, not {server!r}")
    ca = _content(cluster, "certificate-authority", path)
    certificate, key = _content(user, "client-certificate", path), _content(user, "client-key", path)
    if (certificate is None) != (key is None):
        raise ConfigError(f"{path}: client-certificate and client-key go together")
    token_file = user.get("tokenFile")
    return Access(
        server,
        namespace=namespace,
        ca_pem=ca.decode() if ca is not None else None,
        token=user.get("token"),
        token_file=path.parent / token_file if token_file else None,
        certificate_pem=certificate,
        key_pem=key,
    )


def _named(config: Mapping[str, Any], section: str, name: str, path: Path) -> Mapping[str, Any]:
    for item in config.get(section) or ():
        if item.get("name") == name:
            found: Mapping[str, Any] = item.get(section.removesuffix("s")) or {}
            return found
    raise ConfigError(f"{path}: {section} has no entry named {name!r}")


def _refuse(section: Mapping[str, Any], fields: tuple[str, ...], where: str) -> None:
    used = [name for name in fields if section.get(name)]
    if used:
        raise ConfigError(f"{where}: {', '.join(used)} is not supported; use certificates, a token or a token file")


def _content(section: Mapping[str, Any], name: str, path: Path) -> bytes | None:
    """`<name>-data`, decoded, or the content of the file `<name>`, relative to the kubeconfig."""
    data = section.get(f"{name}-data")
    if data:
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ConfigError(f"{path}: {name}-data is not base64") from error
    if not section.get(name):
        return None
    file = path.parent / str(section[name])
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {name} {file}: {error.strerror}") from error
