# The fake GPU driver of test clusters; no user ever gets it.
#   python -m fakegpu.driver
# Context: the repository root.
ARG BASE=docker.io/library/python:3.11-slim
FROM ${BASE}

COPY requirements/fake-gpu.txt /opt/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip-conf --mount=type=secret,id=ca-bundle \
    python3 -m venv --without-pip /opt/venv \
 && python3 -m venv /tmp/installer \
 && PIP_CONFIG_FILE=/run/secrets/pip-conf /tmp/installer/bin/python -m pip --python /opt/venv/bin/python install \
      --disable-pip-version-check --root-user-action ignore --no-compile \
      --require-hashes --only-binary :all: -r /opt/requirements.txt \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/venv \
 && rm -rf /tmp/installer

COPY hack/fakegpu/__init__.py /opt/hack/fakegpu/__init__.py
COPY hack/fakegpu/driver /opt/hack/fakegpu/driver
COPY operator/verticalmodel/__init__.py /opt/operator/verticalmodel/__init__.py
COPY operator/verticalmodel/api/__init__.py /opt/operator/verticalmodel/api/__init__.py
COPY operator/verticalmodel/api/names.py /opt/operator/verticalmodel/api/names.py
COPY operator/verticalmodel/kube /opt/operator/verticalmodel/kube
RUN cd /opt/hack/fakegpu/driver \
 && mkdir wire \
 && /opt/venv/bin/python -m grpc_tools.protoc -I protos --python_out=wire protos/*.proto \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/hack /opt/operator

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/hack:/opt/operator \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
# Its DaemonSet runs it as root, because the kubelet's folders are root's; nothing else should.
USER 65532:65532
ENTRYPOINT ["/opt/venv/bin/python"]
CMD ["-m", "fakegpu.driver"]
