# Traefik, the ingress controller of the e2e tier, and nothing else; for test clusters, never published.
#   traefik --entryPoints.websecure.address=:8443 --providers.kubernetesCRD
# Context: the repository root.
ARG BASE=docker.io/library/python:3.11-slim
FROM ${BASE} AS build

COPY requirements/traefik.txt /opt/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip-conf --mount=type=secret,id=ca-bundle \
    python3 -m venv /tmp/installer \
 && PIP_CONFIG_FILE=/run/secrets/pip-conf /tmp/installer/bin/python -m pip install \
      --disable-pip-version-check --root-user-action ignore --no-compile --target /tmp/wheel \
      --require-hashes --only-binary :all: -r /opt/requirements.txt
# The binary is static: it needs no library.
RUN install -D -m 0755 /tmp/wheel/bin/traefik /rootfs/usr/local/bin/traefik

FROM scratch
COPY --from=build /rootfs /
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/traefik"]
