"""What a user may add to the serving pods beyond what the operator decides."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from verticalmodel.api import names
from verticalmodel.api.labels import LabelValue
from verticalmodel.api.modelruntime import RESERVED_ENV, EnvVar, Text
from verticalmodel.api.scheduling import Affinity, Toleration
from verticalmodel.api.schema import DnsSubdomain, Object, cel, list_map, validations

OptionalName = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", max_length=253)]
_OURS = f"(key.startsWith('{names.GROUP}/') || key in ['{names.LABEL_MANAGED_BY}', '{names.LABEL_COMPONENT}'])"


class PullSecret(Object):
    """A Secret with registry credentials."""

    name: DnsSubdomain = Field(description="Name of a Secret of type kubernetes.io/dockerconfigjson.")


def _keys_of(field: str, *, what: str) -> tuple[dict[str, str], dict[str, str]]:
    return (
        cel(
            f"self.{field}.all(key, !format.qualifiedName().validate(key).hasValue())",
            f"the keys of {field} must be {what}, for example team or example.com/team",
            fieldPath=f".{field}",
        ),
        cel(
            f"self.{field}.all(key, !{_OURS})",
            f"{field} must not hold {names.GROUP}/..., {names.LABEL_MANAGED_BY} or {names.LABEL_COMPONENT}: "
            "the operator sets them",
            fieldPath=f".{field}",
        ),
    )


class PodOptions(Object):
    """Additions to the serving pods. Security settings, probes and the guard are not among them."""

    labels: dict[str, LabelValue] = Field(default={}, max_length=32, description="Further labels.")
    annotations: dict[str, Text] = Field(default={}, max_length=32, description="Further annotations.")
    node_selector: dict[str, LabelValue] = Field(default={}, max_length=32, description="Labels that a node must have.")
    tolerations: tuple[Toleration, ...] = Field(default=(), max_length=32, description="Taints that are tolerated.")
    affinity: Affinity | None = Field(default=None, description="Where pods may or should run.")
    priority_class_name: OptionalName = Field(default="", description="PriorityClass of the pods.")
    runtime_class_name: OptionalName = Field(default="", description="RuntimeClass of the pods, for example kata.")
    host_users: bool | None = Field(
        default=None,
        description="False: the pods have users of their own, root in them is nobody on the node. True: they share the "
        "node's. Default: false where every Linux node that nodeSelector lets in supports it, and the source is remote "
        "or its claim's volume is known to take id-mapped mounts (a folder of the node, or a disk with ext4, xfs or "
        "btrfs; not NFS).",
    )
    image_pull_secrets: tuple[PullSecret, ...] = Field(
        default=(), max_length=8, description="Registry credentials.", json_schema_extra=list_map("name")
    )
    env: tuple[EnvVar, ...] = Field(
        default=(), max_length=64, description="Further variables of the server.", json_schema_extra=list_map("name")
    )
    extra_args: tuple[Text, ...] = Field(
        default=(), max_length=64, description="Arguments after those of the runtime, for example --max-batch-size=8."
    )

    model_config = {
        "json_schema_extra": validations(
            *_keys_of("labels", what="label keys"),
            *_keys_of("annotations", what="annotation keys"),
            cel(
                "self.nodeSelector.all(key, !format.qualifiedName().validate(key).hasValue())",
                "the keys of nodeSelector must be label keys, for example kubernetes.io/arch",
                fieldPath=".nodeSelector",
            ),
            cel(
                f"self.env.all(e, !(e.name in {list(RESERVED_ENV)}))",
                f"env must not set any of {', '.join(RESERVED_ENV)}: the operator sets them",
                fieldPath=".env",
            ),
        )
    }
