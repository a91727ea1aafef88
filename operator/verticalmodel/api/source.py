"""Where a model's parameters come from, and what opens them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from verticalmodel.api.labels import LabelSelector
from verticalmodel.api.schema import Digest, DnsSubdomain, Object, cel, validations

# A claim's path stays inside it; a remote address bears no user, no query and no fragment: those would hold secrets.
URI = (
    r"^(pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[A-Za-z0-9_][A-Za-z0-9._-]*)*"
    r"|https://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9_][A-Za-z0-9._~-]*)+"
    r"|s3://[a-z0-9][-a-z0-9.]{1,61}[a-z0-9](/[A-Za-z0-9_][A-Za-z0-9._-]*)+)$"
)
SecretKey = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
Cidr = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$", max_length=64)]


class KeyRef(Object):
    """The key-encryption key, in a Secret of the model's namespace."""

    name: DnsSubdomain = Field(description="Name of the Secret.")
    key: SecretKey = Field(default="key", description="Entry of the Secret that holds the key (`vmodel keygen`).")


class CredentialsRef(Object):
    """Credentials of the source, in a Secret of the model's namespace."""

    name: DnsSubdomain = Field(
        description="Name of a Secret with any of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, "
        "AWS_REGION, AWS_ENDPOINT_URL, username, password, token, ca.crt, HTTPS_PROXY, NO_PROXY."
    )


class EgressPeer(Object):
    """Where the source is, in addresses or in pods: a network policy knows no host names."""

    cidr: Cidr | None = Field(default=None, description="Addresses, for example 192.0.2.0/24.")
    namespace_selector: LabelSelector | None = Field(default=None, description="Namespaces of the source's pods.")
    pod_selector: LabelSelector | None = Field(default=None, description="Pods of the source in those namespaces.")
    port: int = Field(default=443, ge=1, le=65535, description="TCP port.")

    model_config = {
        "json_schema_extra": validations(
            cel(
                "has(self.cidr) != has(self.namespaceSelector)",
                "name either a cidr or a namespaceSelector",
            ),
            cel("!has(self.cidr) || isCIDR(self.cidr)", "must be a CIDR, for example 192.0.2.0/24", fieldPath=".cidr"),
            cel(
                "!has(self.cidr) || !isCIDR(self.cidr) || !cidr('169.254.0.0/16').containsCIDR(self.cidr)",
                "link-local addresses are never opened: the metadata service of the cloud is there",
                fieldPath=".cidr",
            ),
            cel("!has(self.podSelector) || has(self.namespaceSelector)", "podSelector needs a namespaceSelector"),
        )
    }


class Source(Object):
    """Where the model's parameters come from."""

    uri: Annotated[str, StringConstraints(pattern=URI, max_length=1024)] = Field(
        description="pvc://CLAIM/PATH in a PersistentVolumeClaim of the model's namespace, https://HOST/PATH or "
        "s3://BUCKET/PATH: a file, or the folder of an artifact made by `vmodel seal`."
    )
    digest: Digest | None = Field(
        default=None,
        description="Digest of the artifact, as `vmodel inspect` prints it (sha256:...): any other is refused, older "
        "ones included.",
    )
    format: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=63)] = Field(
        default="onnx", description="Format of the parameters; the runtime must list it."
    )
    key: KeyRef | None = Field(
        default=None,
        description="What opens sealed parameters. With it only a sealed artifact is served, without it only a plain "
        "one.",
    )
    secret_ref: CredentialsRef | None = Field(default=None, description="Credentials of a remote source.")
    egress: tuple[EgressPeer, ...] = Field(
        default=(), max_length=16, description="Where a remote source is; nothing else can be reached from the pods."
    )

    model_config = {
        "json_schema_extra": validations(
            cel(
                "self.uri.startsWith('pvc://') || size(self.egress) > 0",
                "a remote source needs egress: a network policy knows addresses, not hosts",
                fieldPath=".egress",
            ),
            cel(
                "!self.uri.startsWith('pvc://') || (size(self.egress) == 0 && !has(self.secretRef))",
                "a claim needs neither egress nor secretRef",
                fieldPath=".uri",
            ),
        )
    }
