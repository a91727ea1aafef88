"""How clients outside the cluster reach a model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from verticalmodel.api.schema import DnsSubdomain, Object

# Two labels or more, the last of them with a letter in front: a single one is another Service in each namespace, and
# digits alone are an address.
HOST = r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"
Host = Annotated[str, StringConstraints(pattern=HOST, max_length=253)]


class Exposure(Object):
    """A route through an ingress controller, which passes TLS on as it is: the model's guard ends it."""

    host: Host = Field(
        description="Name that clients connect to, in lower case, for example breast.example.org; resolving it to the "
        "ingress controller is yours. The serving certificate bears it. A model keeps the host it has; of two that ask "
        "for a free one, the older gets it."
    )
    class_name: DnsSubdomain | None = Field(
        default=None,
        description="IngressClass of a controller that passes TLS through (Traefik, HAProxy). Default: the class that "
        "is annotated as the cluster's default.",
    )
