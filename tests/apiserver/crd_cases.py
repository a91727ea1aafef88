"""What each rule of the CRDs accepts and refuses, one value beside its neighbour, and what the refusal says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apiserver.objects import OBJECT_MISSING, Path, Wire


def field_of(path: Path) -> str:
    """A path as the API server writes it: `spec.items[0].name`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


@dataclass(frozen=True)
class Case:
    """A value that is refused at `path`, its twin that is accepted, and what the refusal must say."""

    kind: str
    path: tuple[str | int, ...]
    good: Any
    bad: Any
    says: tuple[str, ...]
    field: str | None = None
    """Where the server puts it, if not at `path`."""

    @property
    def where(self) -> str:
        return field_of(self.path) if self.field is None else self.field


NAME = ("metadata", "name")
SELECTOR = ("spec", "access", "namespaceSelector")
ENV = ("spec", "env", 0, "name")
NO_NAME = ("is no name for a model", "at most 63 lower-case letters, digits and dashes, starting with a letter")
SOURCE = "should match '^(pvc://"
URI = ("spec", "source", "uri")
EGRESS = ("spec", "source", "egress", 0)
PEM = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
QUANTITY = "is not a quantity; write for example 2, 500m or 4Gi"

CASES = {
    "a name of 63 characters is a name, one of 64 is not": Case(
        "VerticalModel", NAME, "m" * 63, "m" * 64, ("m" * 64, *NO_NAME)
    ),
    "a name never starts with a digit": Case("VerticalModel", NAME, "m3d", "3dm", ("3dm", *NO_NAME)),
    "a name holds no dot": Case("VerticalModel", NAME, "a-b", "a.b", ("a.b", *NO_NAME)),
    "a name does not end with a dash": Case("VerticalModel", NAME, "a", "a--0.", ("a--0.",)),
    "cpu may be an integer, never a word": Case(
        "VerticalModel", ("spec", "resources", "cpu"), 2, "two", ("two", QUANTITY)
    ),
    "memory is a quantity": Case(
        "VerticalModel", ("spec", "resources", "memory"), "1.5Gi", "1.5GiB", ("1.5GiB", QUANTITY)
    ),
    "memory is enough to start": Case(
        "VerticalModel",
        ("spec", "resources", "memory"),
        "256Mi",
        "262143Ki",
        ("memory is 262143Ki, it must be at least 256Mi",),
    ),
    "memory is less than any machine's": Case(
        "VerticalModel", ("spec", "resources", "memory"), "64Ti", "65Ti", ("memory is 65Ti, it must be at most 64Ti",)
    ),
    "cpu is more than nothing": Case(
        "VerticalModel", ("spec", "resources", "cpu"), "10m", -1, ("cpu is -1, it must be at least 10m",)
    ),
    "a suffix without a number is zero to the server, so it is too small": Case(
        "VerticalModel", ("spec", "resources", "cpu"), "1k", "k", ("cpu is k, it must be at least 10m",)
    ),
    "a path stays inside its bucket": Case(
        "VerticalModel", URI, "s3://models/a..b", "s3://models/../b", ("s3://models/../b", SOURCE)
    ),
    "a path has no empty step": Case(
        "VerticalModel", URI, "s3://models/a", "s3://models//b", ("s3://models//b", SOURCE)
    ),
    "plain HTTP is no source": Case(
        "VerticalModel", URI, "https://host/f.onnx", "http://host/f.onnx", ("http://host/f.onnx", SOURCE)
    ),
    "an address holds no password": Case(
        "VerticalModel", URI, "https://host:8443/f", "https://user:secret@host/f", (SOURCE,)
    ),
    "a claim needs no way out": Case(
        "VerticalModel", URI, "s3://models/a", "pvc://models/a", ("a claim needs neither egress nor secretRef",)
    ),
    "a remote source needs a way out": Case(
        "VerticalModel",
        ("spec", "source", "egress"),
        [{"cidr": "192.0.2.0/24"}],
        [],
        ("a remote source needs egress: a network policy knows addresses, not hosts",),
    ),
    "a way out is addresses or pods": Case(
        "VerticalModel",
        EGRESS,
        {"cidr": "192.0.2.0/24"},
        {"port": 1},
        ("name either a cidr or a namespaceSelector",),
    ),
    "addresses are a CIDR": Case(
        "VerticalModel",
        EGRESS,
        {"cidr": "2001:db8::/32"},
        {"cidr": "192.0.2.0/33"},
        ("must be a CIDR",),
        "spec.source.egress[0].cidr",
    ),
    "the metadata service is never opened": Case(
        "VerticalModel",
        EGRESS,
        {"cidr": "169.0.0.0/8"},
        {"cidr": "169.254.169.254/32"},
        ("link-local addresses are never opened",),
        "spec.source.egress[0].cidr",
    ),
    "a digest is a SHA-256 in lower case": Case(
        "VerticalModel",
        ("spec", "source", "digest"),
        "sha256:" + "a" * 64,
        "sha256:" + "A" * 64,
        ("sha256:" + "A" * 64, "should match '^sha256:[a-f0-9]{64}$'"),
    ),
    "replicas have an end": Case(
        "VerticalModel", ("spec", "replicas"), 1000, 1001, ("1001", "less than or equal to 1000")
    ),
    "replicas are not negative": Case(
        "VerticalModel", ("spec", "replicas"), 0, -1, ("-1", "greater than or equal to 0")
    ),
    "a start budget is at least a second": Case(
        "VerticalModel", ("spec", "startup", "budgetSeconds"), 1, 0, ("0", "greater than or equal to 1")
    ),
    "an overrun is enforced or reported": Case(
        "VerticalModel", ("spec", "startup", "enforcement"), "Enforce", "Ignore", ('"Ignore"', '"Enforce", "Report"')
    ),
    "a selector's operator fits its values": Case(
        "VerticalModel",
        (*SELECTOR, "matchExpressions", 0, "operator"),
        "NotIn",
        "Exists",
        ("In and NotIn need values, Exists and DoesNotExist have none",),
        "spec.access.namespaceSelector.matchExpressions[0].values",
    ),
    "a selector's key is a label key": Case(
        "VerticalModel", (*SELECTOR, "matchExpressions", 0, "key"), "team", "a/b/c", ("a/b/c", "should match")
    ),
    "a selector's label has a key that can be": Case(
        "VerticalModel",
        (*SELECTOR, "matchLabels"),
        {"example.com/team": ""},
        {"no key": "a"},
        ("the keys of matchLabels must be label keys, for example team or example.com/team",),
    ),
    "a gpu has the memory of clause 1": Case(
        "VerticalModel",
        ("spec", "resources", "gpu", "memory"),
        "24G",
        "23.9G",
        ("memory is 23.9G, it must be at least 24G",),
    ),
    "a gpu is allocated in one of three ways": Case(
        "VerticalModel",
        ("spec", "resources", "gpu", "allocation"),
        "DRA",
        "dra",
        ('"dra"', '"Auto", "DRA", "DevicePlugin"'),
    ),
    **{
        f"{field} of the pods leave the operator's alone": Case(
            "VerticalModel",
            ("spec", "pod", field),
            {"example.com/model": "a"},
            {"verticalmodel.io/model": "a"},
            (f"{field} must not hold verticalmodel.io/",),
        )
        for field in ("labels", "annotations")
    },
    "a node is selected by label keys": Case(
        "VerticalModel",
        ("spec", "pod", "nodeSelector"),
        {"kubernetes.io/arch": "amd64"},
        {"no key": "a"},
        ("the keys of nodeSelector must be label keys",),
    ),
    "a model's variables are not the operator's": Case(
        "VerticalModel",
        ("spec", "pod", "env", 0, "name"),
        "MY_PORT",
        "SERVER_PORT",
        ("env must not set any of", "the operator sets them"),
        "spec.pod.env",
    ),
    "a host is in lower case": Case(
        "VerticalModel",
        ("spec", "exposure", "host"),
        "breast.example.org",
        "Breast.example.org",
        ("Breast.example.org", "should match"),
    ),
    "a host is no address": Case(
        "VerticalModel", ("spec", "exposure", "host"), "192.0.2.1.nip.io", "192.0.2.1", ("192.0.2.1", "should match")
    ),
    "a host has a domain": Case(
        "VerticalModel", ("spec", "exposure", "host"), "breast.example", "breast", ("breast", "should match")
    ),
    "a host's labels are of at most 63": Case(
        "VerticalModel",
        ("spec", "exposure", "host"),
        f"{'a' * 63}.example",
        f"{'a' * 64}.example",
        ("a" * 64, "should match"),
    ),
    "an issuer of cert-manager is an Issuer or a ClusterIssuer": Case(
        "VerticalModel",
        ("spec", "certificate"),
        {"issuerRef": {"name": "a", "kind": "ClusterIssuer"}},
        {"issuerRef": {"name": "a", "kind": "VaultIssuer"}},
        ("VaultIssuer is no kind of issuer in group cert-manager.io: write Issuer or ClusterIssuer",),
        "spec.certificate.issuerRef.kind",
    ),
    "a bundle holds certificates": Case(
        "VerticalModel",
        ("spec", "certificate"),
        {"issuerRef": {"name": "a"}, "caBundle": PEM},
        {"issuerRef": {"name": "a"}, "caBundle": "a.crt"},
        ("one or more certificates in PEM form",),
        "spec.certificate.caBundle",
    ),
    "a bundle holds no private key": Case(
        "VerticalModel",
        ("spec", "certificate"),
        {"issuerRef": {"name": "a"}, "caBundle": PEM},
        {"issuerRef": {"name": "a"}, "caBundle": PEM + PEM.replace("CERTIFICATE", "EC PRIVATE KEY")},
        ("must hold no private key",),
        "spec.certificate.caBundle",
    ),
    "a port is above 1023 and not the guard's": Case(
        "ModelRuntime", ("spec", "port"), 8445, 8444, ("ports 8443 and 8444 belong to the guard; choose another",)
    ),
    "a privileged port is refused": Case(
        "ModelRuntime", ("spec", "port"), 1024, 1023, ("1023", "greater than or equal to 1024")
    ),
    **{
        f"{name} is set by the operator": Case(
            "ModelRuntime",
            ENV,
            f"MY_{name}",
            name,
            ("env must not set any of", name, "the operator sets them"),
            "spec.env",
        )
        for name in ("MODEL_NAME", "MODEL_PATH", "SERVER_PORT", "CPU_LIMIT")
    },
    "a custom protocol lists its routes": Case(
        "ModelRuntime", ("spec", "routes"), [{"path": "/a"}], [], ("protocol Custom needs routes",)
    ),
    "another protocol knows its own routes": Case(
        "ModelRuntime", ("spec", "protocol"), "Custom", "openai", ("leave them out there",), "spec.routes"
    ),
    "a route is none of the guard's": Case(
        "ModelRuntime",
        ("spec", "routes"),
        [{"path": "/healthy"}],
        [{"path": "/healthz/live"}],
        ("/healthz/ and /guard/ belong to the guard",),
        "spec.routes[0].path",
    ),
    **{
        f"a path of segments like {bad} never matches": Case(
            "ModelRuntime", ("spec", "probes", "livePath"), good, bad, ("should match", bad), "spec.probes.livePath"
        )
        for good, bad in (("/a/b", "/a//b"), ("/.a/", "/a/./b"), ("/..a", "/a/.."), ("/...", "a"), ("/", "//"))
    },
    "shared memory has a size that can be": Case(
        "ModelRuntime",
        ("spec", "scratch", "sharedMemory"),
        "1Gi",
        "1Ki",
        ("sharedMemory is 1Ki, it must be at least 1Mi",),
    ),
    "a command is explicit": Case("ModelRuntime", ("spec", "command"), ["serve"], [], ("at least 1 items",)),
    "formats are distinct": Case(
        "ModelRuntime", ("spec", "formats"), ["onnx", "pmml"], ["onnx", "onnx"], ('"onnx"',), "spec.formats[1]"
    ),
    **{
        f"the guard's {name} is a quantity": Case(
            "ModelRuntime", ("spec", "guard", name), good, "much", ("much", QUANTITY)
        )
        for name, good in (("cpu", "250m"), ("memory", "1Gi"))
    },
    "the guard has memory to run in": Case(
        "ModelRuntime", ("spec", "guard", "memory"), "32Mi", "1Mi", ("memory is 1Mi, it must be at least 32Mi",)
    ),
    "the guard has a share of a core": Case(
        "ModelRuntime", ("spec", "guard", "cpu"), 1, "1m", ("cpu is 1m, it must be at least 10m",)
    ),
    "an edition is a year": Case(
        "OperatingStandard", ("spec", "edition"), "2027", "next", ('"next"', "should match '^[0-9]{4}")
    ),
    "evidence is measured or inconclusive": Case(
        "Evidence",
        ("spec", "entries", 0, "outcome"),
        "Inconclusive",
        "Fine",
        ('"Fine"', '"Inconclusive"', '"Measured"'),
    ),
}


# Keyword of a schema -> a value that crosses its limit, from the limit and a good value, and the server's reason.
CROSSED = {
    "enum": (lambda _limit, _good: "Nonsense", "FieldValueNotSupported"),
    "maxLength": (lambda limit, _good: "x" * (limit + 1), "FieldValueTooLong"),
    "minLength": (lambda limit, _good: "x" * (limit - 1), "FieldValueInvalid"),
    "pattern": (lambda _limit, _good: "?", "FieldValueInvalid"),
    "minimum": (lambda limit, _good: limit - 1, "FieldValueInvalid"),
    "maximum": (lambda limit, _good: limit + 1, "FieldValueInvalid"),
    "type": (lambda limit, _good: "yes" if limit == "boolean" else True, "FieldValueTypeInvalid"),
    "maxItems": (lambda limit, good: good * (limit + 1), "FieldValueTooMany"),
    "maxProperties": (lambda limit, _good: {f"k{number}": "v" for number in range(limit + 1)}, "FieldValueTooMany"),
}


def breaches(schema: Wire, value: Any, path: Path) -> Iterator[tuple[Path, Any, str]]:
    """Every limit of `schema` crossed once in the good `value`: the path, the bad value, and the server's reason."""
    for keyword, (crossing, reason) in CROSSED.items():
        if keyword in schema:
            yield path, crossing(schema[keyword], value), reason
    for name in schema.get("required", ()):
        yield (*path, name), OBJECT_MISSING, "FieldValueRequired"
    for name, field in schema.get("properties", {}).items():
        if name in value:  # of fields that exclude each other, each item of a list has one
            yield from breaches(field, value[name], (*path, name))
    if schema.get("type") == "array":
        for index, item in enumerate(value):
            yield from breaches(schema["items"], item, (*path, index))
