# The init container that fetches, verifies and decrypts a model's parameters, alone with their key:
#   python -m verticalmodel.seal --source URI --target FOLDER
# An image of its own: model nodes need not pull the operator, and no Kubernetes client is beside a key.
# Context: the repository root.
ARG BASE=docker.io/library/python:3.11-slim
FROM ${BASE}

COPY requirements/unseal.txt /opt/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip-conf --mount=type=secret,id=ca-bundle \
    python3 -m venv --without-pip /opt/venv \
 && python3 -m venv /tmp/installer \
 && PIP_CONFIG_FILE=/run/secrets/pip-conf /tmp/installer/bin/python -m pip --python /opt/venv/bin/python install \
      --disable-pip-version-check --root-user-action ignore --no-compile \
      --require-hashes --only-binary :all: -r /opt/requirements.txt \
 # A read-only root cannot cache bytecode, and hashes instead of times keep the layer the same for the same sources.
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/venv \
 && rm -rf /tmp/installer

COPY operator/verticalmodel/__init__.py /opt/operator/verticalmodel/__init__.py
COPY operator/verticalmodel/seal /opt/operator/verticalmodel/seal
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/operator

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/operator \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
USER 65532:65532
ENTRYPOINT ["/opt/venv/bin/python", "-m", "verticalmodel.seal"]
