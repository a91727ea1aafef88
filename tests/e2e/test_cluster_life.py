"""Claims about making and removing test clusters (hack/cluster, provider `local`): alone, at once, killed on the way.

The clusters here are this file's own, named after our pid, so a second run beside this one does not disturb them.
"""

from __future__ import annotations

import http.client
import logging
import random
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from e2e.own_clusters import ROOT, leftovers, name, remove_orphans
from testcluster import Cluster, Shape, machines, processes
from testcluster import cluster as clusters
from testcluster.api import Api, ApiError, path_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LOG = logging.getLogger("test-clusters")


@pytest.fixture(scope="module", autouse=True)
def _no_orphans() -> None:
    remove_orphans()


def up_command(cluster: str, nodes: int = 0) -> list[str]:
    return [str(ROOT / "hack/cluster"), "up", "--name", cluster, "--nodes", str(nodes)]


def test_a_second_cluster_stands_beside_the_first_and_goes_alone() -> None:
    first = Cluster.up(name("-a"), Shape(nodes=0))
    try:
        second = Cluster.up(name("-b"), Shape(nodes=0, etcd="disk"))
        try:
            assert not second.layout.subnet.overlaps(first.layout.subnet)
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "only-here"}}
            Api.from_kubeconfig(second.kubeconfig).apply(namespace)
            with pytest.raises(ApiError) as refused:
                Api.from_kubeconfig(first.kubeconfig).get(path_of(namespace))
            assert refused.value.status == http.client.NOT_FOUND
        finally:
            second.down()
        assert leftovers(second.name) == []
        assert first.health().problems == ()
    finally:
        first.down()
    assert leftovers(first.name) == []


def test_two_ups_at_once_make_one_cluster() -> None:
    own = name("-t")
    try:
        with (
            subprocess.Popen(up_command(own), stderr=subprocess.PIPE, text=True) as one,
            subprocess.Popen(up_command(own), stderr=subprocess.PIPE, text=True) as other,
        ):
            said = sorted((one.communicate()[1], other.communicate()[1]), key=len)
        assert (one.returncode, other.returncode) == (0, 0)
        assert said[0].startswith(f"cluster {own} is up and healthy\n")
        assert "API server ready" in said[1]
    finally:
        clusters.down(own)
    assert leftovers(own) == []


def test_a_half_dead_cluster_is_replaced() -> None:
    own = name("-c")
    try:
        first = Cluster.up(own, Shape(nodes=0))
        certificate = first.ca_certificate.read_bytes()
        processes.end([machines.components(first.layout.control_plane)["etcd"]])
        said: list[str] = []
        second = Cluster.up(own, Shape(nodes=0), report=said.append)
        assert said[0] == f"replacing cluster {own}: control-plane: not running: etcd"
        assert second.ca_certificate.read_bytes() != certificate
        assert second.health().problems == ()
    finally:
        clusters.down(own)
    assert leftovers(own) == []


def test_up_killed_at_any_moment_leaves_nothing_that_down_does_not_remove() -> None:
    own = name("-k")
    argv = up_command(own, nodes=1)
    started = time.monotonic()
    subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)
    whole = time.monotonic() - started
    clusters.down(own)
    assert leftovers(own) == []
    seed = random.SystemRandom().randrange(10**6)
    LOG.info("seed %d", seed)
    moments = random.Random(seed)  # noqa: S311  # not for secrets
    # Most of what can be left half-made is made in the first part of an `up`.
    for share in (*(moments.uniform(0, 0.15) for _ in range(4)), *(moments.uniform(0.15, 1) for _ in range(3))):
        with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as up:
            try:
                up.wait(timeout=share * whole)
            except subprocess.TimeoutExpired:
                up.send_signal(signal.SIGKILL)
        started = time.monotonic()
        clusters.down(own)
        LOG.info("killed after %.2f of %.1f s: down took %.2f s", share * whole, whole, time.monotonic() - started)
        assert leftovers(own) == [], f"killed after {share:.3f} of its time"


def test_down_killed_on_the_way_is_finished_by_the_next() -> None:
    own = name("-d")
    for share in (0.2, 0.5, 0.8):
        Cluster.up(own, Shape(nodes=0))
        with subprocess.Popen([str(ROOT / "hack/cluster"), "down", "--name", own], stderr=subprocess.DEVNULL) as down:
            with suppress(subprocess.TimeoutExpired):
                down.wait(timeout=share)
            down.kill()
        clusters.down(own)
        assert leftovers(own) == []


def test_up_works_at_once_after_a_killed_up() -> None:
    own = name("-u")
    with subprocess.Popen(up_command(own), stderr=subprocess.PIPE) as up:
        assert up.stderr is not None
        assert b"API server started" in up.stderr.readline()
        up.kill()
    try:
        assert Cluster.up(own, Shape(nodes=0)).health().problems == ()
    finally:
        clusters.down(own)
    assert leftovers(own) == []
