"""Who signs a model's serving certificate, where it is not the built-in authority."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from verticalmodel.api.schema import DnsSubdomain, Object, cel, validations

CERT_MANAGER = "cert-manager.io"
Kind = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=63)]
Bundle = Annotated[str, StringConstraints(max_length=65536)]


class IssuerRef(Object):
    """An issuer of cert-manager."""

    name: DnsSubdomain = Field(description="Name of the issuer; an Issuer is one of the model's namespace.")
    kind: Kind = Field(
        default="Issuer", description="Issuer or ClusterIssuer; another kind where the group is not cert-manager's own."
    )
    group: DnsSubdomain = Field(default=CERT_MANAGER, description="API group of an external issuer's kind.")

    model_config = {
        "json_schema_extra": validations(
            cel(
                f"self.group != '{CERT_MANAGER}' || self.kind in ['Issuer', 'ClusterIssuer']",
                f"kind must be Issuer or ClusterIssuer in group {CERT_MANAGER}",
                fieldPath=".kind",
                messageExpression=f"self.kind + ' is no kind of issuer in group {CERT_MANAGER}: write Issuer or "
                "ClusterIssuer'",
            )
        )
    }


class ServingCertificate(Object):
    """The serving certificate is cert-manager's to issue, renew and store."""

    issuer_ref: IssuerRef = Field(description="The issuer of cert-manager that signs.")
    ca_bundle: Bundle | None = Field(
        default=None,
        description="Certificates of the authorities behind that issuer, in PEM form: public, and what the prober "
        "verifies the model's endpoints by. Default: the built-in authority's bundle.",
    )

    model_config = {
        "json_schema_extra": validations(
            cel(
                "!has(self.caBundle) || self.caBundle.contains('-----BEGIN CERTIFICATE-----')",
                "must hold one or more certificates in PEM form, -----BEGIN CERTIFICATE----- and so on",
                fieldPath=".caBundle",
            ),
            cel(
                "!has(self.caBundle) || !self.caBundle.contains('PRIVATE KEY-----')",
                "must hold no private key: everybody who may read the model reads this field",
                fieldPath=".caBundle",
            ),
        )
    }
