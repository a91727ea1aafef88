"""The cluster of a kubeconfig, as commands ask it: one way to connect, one way to say why nothing was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

__all__ = ["FORBIDDEN", "NOT_FOUND", "REQUEST_SECONDS", "asking", "connect", "kubeconfig_options"]

NOT_FOUND, FORBIDDEN = 404, 403
REQUEST_SECONDS = 10


def kubeconfig_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--kubeconfig and --context."""
    context = click.option("--context", help="Context of the kubeconfig; default: the current one.")
    path = click.Path(path_type=Path)
    return click.option("--kubeconfig", type=path, help="Default: KUBECONFIG, else ~/.kube/config.")(context(command))


def connect(kubeconfig: Path | None, context: str | None) -> tuple[client.ApiClient, str]:
    """A connection to a context of the kubeconfig, and that context's namespace. Raises ConfigException."""
    file = str(kubeconfig) if kubeconfig is not None else None
    connection = config.new_client_from_config(file, context)  # type: ignore[no-untyped-call]
    contexts, active = config.list_kube_config_contexts(file)  # type: ignore[no-untyped-call]
    chosen = next((one for one in contexts if one["name"] == context), active)
    return connection, chosen["context"].get("namespace", "default")


@contextmanager
def asking(told: Callable[[ApiException], str]) -> Iterator[None]:
    """Turn what goes wrong with the cluster into a message and exit status 1; `told` words a refusal of the server."""
    try:
        yield
    except ConfigException as error:
        raise click.ClickException(f"no cluster: {error}") from None
    except ApiException as error:
        raise click.ClickException(told(error)) from None
    except HTTPError as error:
        raise click.ClickException(f"the API server does not answer: {error}") from None
