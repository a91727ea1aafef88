# The sample model, and a command that copies it into a mounted volume:
#   TARGET=/mnt/target/model.onnx python3 /opt/deliver.py
# Context: the repository root.
ARG BASE=docker.io/library/python:3.11-slim
FROM ${BASE} AS train

COPY requirements/sample-model.txt /opt/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip-conf --mount=type=secret,id=ca-bundle \
    python3 -m venv /opt/venv \
 && PIP_CONFIG_FILE=/run/secrets/pip-conf /opt/venv/bin/python -m pip install \
      --disable-pip-version-check --root-user-action ignore \
      --require-hashes --only-binary :all: -r /opt/requirements.txt
COPY hack/sample_model /opt/hack/sample_model
COPY tests/e2e/data/breast_screening_heldout.json /opt/heldout.json
# An image whose model does not answer the held-out cases as the tests expect is never built.
RUN cd /opt/hack \
 && /opt/venv/bin/python -m sample_model heldout --check /opt/heldout.json \
 && /opt/venv/bin/python -m sample_model model /models/breast-screening/model.onnx

FROM ${BASE}
COPY hack/sample_model/deliver.py /opt/deliver.py
COPY --from=train /models /models
ENV PYTHONDONTWRITEBYTECODE=1 \
    SOURCE=/models/breast-screening/model.onnx
USER 65532:65532
ENTRYPOINT ["python3", "/opt/deliver.py"]
