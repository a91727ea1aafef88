# The reference runtime: KServe SDK and ONNX Runtime behind a loopback port.
#   python -m verticalmodel.serving --model-name NAME --model-path PATH
# Context: the repository root.
ARG BASE=docker.io/library/python:3.11-slim
FROM ${BASE}

COPY requirements/serving.txt /opt/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip-conf --mount=type=secret,id=ca-bundle \
    python3 -m venv --without-pip /opt/venv \
 && python3 -m venv /tmp/installer \
 && PIP_CONFIG_FILE=/run/secrets/pip-conf /tmp/installer/bin/python -m pip --python /opt/venv/bin/python install \
      --disable-pip-version-check --root-user-action ignore --no-compile \
      --require-hashes --only-binary :all: -r /opt/requirements.txt \
 # Their own test suites and C headers are a tenth of the image and never run in it.
 && find /opt/venv/lib/python3*/site-packages/numpy /opt/venv/lib/python3*/site-packages/pandas \
      -type d -name tests -prune -exec rm -rf {} + \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/venv \
 && rm -rf /tmp/installer

COPY operator/verticalmodel/__init__.py /opt/operator/verticalmodel/__init__.py
COPY operator/verticalmodel/serving /opt/operator/verticalmodel/serving
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/operator

# numpy's own thread pool is not used; one thread keeps it from sizing itself by the machine.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/operator \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 \
    HOME=/tmp
USER 65532:65532
ENTRYPOINT ["/opt/venv/bin/python", "-m", "verticalmodel.serving"]
