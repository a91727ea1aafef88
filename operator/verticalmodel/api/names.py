"""Names that other programs see: API group, labels, annotations, field managers, accounts.

Renaming any of these breaks running clusters, so they have one home.
"""

from __future__ import annotations

import hashlib

GROUP = "verticalmodel.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "vmodels"

SYSTEM_NAMESPACE = "verticalmodel-system"

# Field managers: one per writer (DESIGN section 2).
MANAGER_CHILDREN = "verticalmodel"
MANAGER_STATUS = "verticalmodel-status"
MANAGER_PROBER = "verticalmodel-prober"

# Accounts (ServiceAccounts in the system namespace).
ACCOUNT_OPERATOR = "verticalmodel-operator"
ACCOUNT_PROBER = "verticalmodel-prober"

# Labels on every child.
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "verticalmodel"
LABEL_NAME = "app.kubernetes.io/name"
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_MODEL = f"{GROUP}/model"
LABEL_MODEL_UID = f"{GROUP}/model-uid"
# On the pods of a pre-flight, in the place of the model's label: nothing that looks for serving pods may find them.
LABEL_PREFLIGHT = f"{GROUP}/preflight"
LABEL_PREFLIGHT_OF = f"{GROUP}/preflight-of"
# On Evidence: who measured, so that retention and policies can select.
LABEL_MEASURER = f"{GROUP}/measurer"
# On nodes and devices that are not real hardware.
LABEL_SIMULATED = f"{GROUP}/simulated"

ANNOTATION_APPLIED_HASH = f"{GROUP}/applied-hash"
ANNOTATION_TEMPLATE_DIGEST = f"{GROUP}/template-digest"
ANNOTATION_PIN = f"{GROUP}/pin"
ANNOTATION_INGRESS_CLASS = f"{GROUP}/ingress-class"
"""On a route: the IngressClass that it was made for."""
ANNOTATION_CLAIM_RETRY = f"{GROUP}/claim-retry"
ANNOTATION_MEASURE = f"{GROUP}/measure"
"""On a VerticalModel: a moment (RFC 3339); evidence from before it is renewed at once. `vmodel measure` sets it."""
ANNOTATION_CA_ROTATE = f"{GROUP}/rotate"
"""On the authority's Secret, with any value: a successor is wanted. Taken off once there is one."""
ANNOTATION_CA_PUBLISHED = f"{GROUP}/successor-published"
ANNOTATION_CA_UNNAMED = f"{GROUP}/retired-unnamed-since"

DEFAULT_STANDARD = "vlm-2026"
GUARD_PORT = 8443
DRAIN_PORT = 8444
"""Where the kubelet tells the guard that the pod is ending; open to nobody else."""
SERVICE_PORT = 443
STRANGER_NAMESPACE = "verticalmodel-stranger"
"""Of pods without any grant, one on each node: what they reach, anybody reaches (clause 34)."""
STRANGER_PORT = 8091
CONTAINER_GUARD = "guard"
CONTAINER_SERVER = "server"
CONTAINER_UNSEAL = "unseal"
GPU_DEVICE_CLASS = "gpu.nvidia.com"
GPU_PLUGIN_RESOURCE = "nvidia.com/gpu"
CA_NAME = "verticalmodel-ca"
PROBER_CLIENT = "verticalmodel-prober-client"
"""Secret of the system namespace with the certificate by which guards know the prober."""
PROBER_IDENTITY = f"spiffe://{GROUP}/prober"

_HASH_LENGTH = 10
_LABEL_LIMIT = 63


def child_name(model: str, role: str) -> str:
    """Name of a child object: `model-<hash>`, a DNS label of at most 63 characters, stable for (model, role)."""
    digest = hashlib.sha256(f"{model}/{role}".encode()).hexdigest()[:_HASH_LENGTH]
    return f"{model[: _LABEL_LIMIT - _HASH_LENGTH - 1].rstrip('-')}-{digest}"


def evidence_name(model: str, model_uid: str, measurer: str) -> str:
    """Name of the one Evidence object of (subject, measurer): the uid keeps a re-created model's evidence apart."""
    return child_name(model, f"evidence/{model_uid}/{measurer}")
