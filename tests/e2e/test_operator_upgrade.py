"""Another operator image, which renders other pods, restarts no model: it says UpdatePending and waits to be asked."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e import client
from e2e.installed import Cluster, until
from e2e.load import bundle, lives, load, model_pods
from installation import ROOT, built_images
from verticalmodel.render.guard_drain import DRAIN_SECONDS, SERVER_STOPS_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LOG = logging.getLogger("load")
MODEL = "breast-screening"
SYSTEM = ("-n", "verticalmodel-system")
OPERATOR = "deployment/verticalmodel-operator"
SOURCE = "opt/operator/verticalmodel/render/guard_drain.py"
NEW_SECONDS = DRAIN_SECONDS + 1
OLD, NEW = (f"\nDRAIN_SECONDS = {seconds}\n".encode() for seconds in (DRAIN_SECONDS, NEW_SECONDS))


@pytest.fixture
def newer(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """An operator image whose pods drain for a second longer, on every node; the old one runs again afterwards."""
    if cluster.name == "given":
        pytest.skip("images are loaded into clusters that this tier brought up")
    reference = f"{cluster.references['operator']}-newer"
    archive = tmp_path / "newer.tar"
    rendering_otherwise(Path(built_images()["operator"]["archive"]), archive, reference)
    subprocess.run([ROOT / "hack/cluster", "load-image", "--name", cluster.name, archive], check=True)
    yield reference
    run_operator(cluster, cluster.references["operator"])


def rendering_otherwise(built: Path, target: Path, reference: str) -> None:
    """The image `built` with one more layer: another rendering of the serving pod."""
    with tarfile.open(built) as old, tarfile.open(target, "w") as new:

        def content(name: str) -> bytes:
            member = old.extractfile(name)
            assert member is not None
            return member.read()

        def add(name: str, data: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            new.addfile(entry, io.BytesIO(data))

        [listed] = json.loads(content("manifest.json"))
        configuration = json.loads(content(listed["Config"]))
        layers = {name: content(name) for name in listed["Layers"]}
        extra = _layer(_source(layers.values()))
        digest = hashlib.sha256(extra).hexdigest()
        configuration["rootfs"]["diff_ids"].append(f"sha256:{digest}")
        configuration.get("history", []).append({"created_by": "tests/e2e"})
        for name, data in {**layers, f"{digest}.tar": extra}.items():
            add(name, data)
        config = json.dumps(configuration).encode()
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        add(config_name, config)
        manifest = [{"Config": config_name, "RepoTags": [reference], "Layers": [*layers, f"{digest}.tar"]}]
        add("manifest.json", json.dumps(manifest).encode())


def _source(layers: Any) -> bytes:
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as files:
            if SOURCE in files.getnames():
                member = files.extractfile(SOURCE)
                assert member is not None
                return member.read()
    raise AssertionError(f"no layer holds {SOURCE}")


def _layer(source: bytes) -> bytes:
    assert source.count(OLD) == 1
    cache = f"{Path(SOURCE).parent}/__pycache__/.wh.{Path(SOURCE).stem}.cpython-311.pyc"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as files:
        # Whited out: the compiled form would be believed over the source.
        for name, data in ((SOURCE, source.replace(OLD, NEW)), (cache, b"")):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            files.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def run_operator(cluster: Cluster, reference: str) -> None:
    cluster.kubectl("set", "image", OPERATOR, *SYSTEM, f"operator={reference}")
    cluster.kubectl("rollout", "status", OPERATOR, *SYSTEM, "--timeout=90s")


def test_an_operator_that_renders_otherwise_restarts_no_pod_and_says_update_pending(
    cluster: Cluster, claim: str, newer: str
) -> None:
    client.start(cluster, claim)
    cluster.apply(cluster.sample("breast-screening.yaml"), "-n", claim)
    cluster.await_condition(claim, MODEL, "Ready", "True", timeout=180)
    client.await_ready(cluster, claim)
    before = [lives(pod) for pod in model_pods(cluster, claim, MODEL)]
    assert cluster.condition(claim, MODEL, "UpdatePending")["status"] == "False"
    with load(cluster, claim, MODEL, bundle(cluster)) as done:
        run_operator(cluster, newer)
        cluster.await_condition(claim, MODEL, "UpdatePending", "True")
        assert [lives(pod) for pod in model_pods(cluster, claim, MODEL)] == before
        # Asked for, the update is taken: what was pending was real.
        cluster.change_model(claim, MODEL, {"update": "now"})
        cluster.await_condition(claim, MODEL, "UpdatePending", "False")
        until(
            "the new pod alone",
            lambda: drained_seconds(cluster, claim) == [SERVER_STOPS_SECONDS + 1],
            timeout=120,
            every=1,
        )
    LOG.info("measured: operator upgrade and update: %d sent in %.1f s, %d failed, slowest answer %.2f s",
             done.sent, done.seconds, len(done.failed), done.slowest)  # fmt: skip
    assert done.failed == []


def drained_seconds(cluster: Cluster, namespace: str) -> list[int]:
    """How long each of the model's pods sleeps before its server stops."""
    containers = [pod["spec"]["containers"][0] for pod in model_pods(cluster, namespace, MODEL)]
    return [container["lifecycle"]["preStop"]["sleep"]["seconds"] for container in containers]
