"""The one writer of a model's status: one server-side apply, none when nothing changed."""

from __future__ import annotations

from verticalmodel.api import names
from verticalmodel.api.model_status import VerticalModelStatus
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.resources import Key
from verticalmodel.shell.caches import Caches


async def write_status(api: ApiClient, caches: Caches, model: VerticalModel, status: VerticalModelStatus) -> bool:
    """Write the status where it differs from the model's; True where it did. Raises ApiError.

    The uid makes a namesake that was created in the meantime a conflict instead of a wrong status.
    """
    if status == model.status:
        return False
    meta = model.metadata
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "VerticalModel",
        "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
        "status": status.wire(),
    }
    answer = await api.apply(resources.VERTICAL_MODELS, body, manager=names.MANAGER_STATUS, subresource="status")
    caches.answered(Key(meta.namespace, meta.name), answer)
    return True
