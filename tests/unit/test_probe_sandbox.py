"""Clause 30, as the prober measures it: live cgroups from what a kubelet's cAdvisor shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticalmodel.api.evidence import Binding
from verticalmodel.probe.cadvisor import Cgroup, Cgroups, parse_cadvisor
from verticalmodel.probe.measurement import Measurement
from verticalmodel.probe.sandbox import Scrape, sandbox_measurements
from verticalmodel.probe.world import Container, Pod

RECORDED = (Path(__file__).parent / "probe_data/cadvisor_cgroupv1.txt").read_text()
"""From a kubelet 1.37.2 of our test cluster: cgroup v1, cgroupfs driver, podPidsLimit 512. `loose` has no limits."""

POD = "b67375eb-2159-4728-bda0-c4c05916d5cc"
GUARD = "fb667a7724d8ae8845a1019a374c3c7a6fb94fb38da49f5a7f18e169495f1e21"
SERVER = "0e0b9e2151a524fc4d99169ec3e5a48513d4d46c695e7093064d4ae69adc56ba"
LOOSE = "132d2ac101d892baccb6b66028b9a093a6e1b82550c525b6e5879fd6750c72dc"
FOLDER = f"/verticalmodel-test-h4/node1/kubepods/burstable/pod{POD}"
STARTED = datetime(2026, 11, 23, 9, 22, 55, tzinfo=UTC)
LONG_AGO = STARTED - timedelta(seconds=60)
NODE_TIME = STARTED.timestamp() + 4
NOW = STARTED + timedelta(seconds=5)


def pod(**changes: Any) -> Pod:
    """The pod that was recorded."""
    containers = (Container("guard", GUARD, True, STARTED), Container("server", SERVER, True, STARTED))  # noqa: FBT003
    made = Pod("breast-screening-0", POD, "breast-screening", "node1", "10.128.1.6", True, containers)  # noqa: FBT003
    return replace(made, **changes)


def scrape(cgroups: Cgroups | None = None, **changes: Any) -> Scrape:
    return replace(Scrape(NOW, NODE_TIME, cgroups or parse_cadvisor(RECORDED)), **changes)


def only(measured: tuple[Measurement, ...]) -> Measurement:
    [one] = measured
    return one


def with_cgroup(identity: str, **changes: Any) -> Cgroups:
    recorded = parse_cadvisor(RECORDED)
    changed = replace(recorded.containers[identity], **changes)
    return replace(recorded, containers={**recorded.containers, identity: changed})


def test_a_recorded_scrape_is_read() -> None:
    found = parse_cadvisor(RECORDED)

    assert found.pods[POD] == Cgroup(FOLDER, 0.0, None, 100000.0, 512.0, 0.0, 0.0, 0.0, 1795425774.0, 1795425774.339)
    assert found.containers[SERVER] == Cgroup(
        path=f"{FOLDER}/{SERVER}",
        memory_limit=2.0**30,
        cpu_quota=100000.0,
        cpu_period=100000.0,
        pids_max=0.0,
        threads=1.0,
        processes=1.0,
        working_set=634880.0,
        started=1795425775.0,
        sampled=1795425775.342,
    )
    assert (found.containers[LOOSE].memory_limit, found.containers[LOOSE].cpu_quota) == (0.0, None)


def test_a_pod_whose_cgroups_hold_every_limit_misses_none() -> None:
    found = sandbox_measurements([pod()], {"node1": scrape()}, NOW)

    assert [(one.instance, one.value) for one in found] == [
        ("pod/breast-screening-0/guard", 0.0),
        ("pod/breast-screening-0/server", 0.0),
    ]
    assert found[1].observations == {
        "cgroup": f"{FOLDER}/{SERVER}",
        "cgroup.pod": FOLDER,
        "container": SERVER[:12],
        "memoryLimitBytes": "1073741824",
        "cpuQuotaMicroseconds": "100000",
        "cpuPeriodMicroseconds": "100000",
        "pidsMax": "512",
        "processes": "1",
        "memoryWorkingSetBytes": "634880",
        "sampleAgeSeconds": "4",
    }
    assert (found[1].unit, found[1].samples, found[1].binding) == ("missing limits", 1, Binding(pod_uid=POD))
    assert found[1].measured_at == NOW


def test_a_container_without_limits_misses_two_and_has_the_pods_limit_on_processes() -> None:
    loose = pod(containers=(Container("loose", LOOSE, True, LONG_AGO),))  # noqa: FBT003

    found = only(sandbox_measurements([loose], {"node1": scrape()}, NOW))

    assert (found.value, found.observations["memoryLimitBytes"], found.observations["pidsMax"]) == (2.0, "0", "512")


def server(cgroups: Cgroups, **changes: Any) -> Measurement:
    alone = pod(containers=(Container("server", SERVER, True, LONG_AGO),), **changes)  # noqa: FBT003
    return only(sandbox_measurements([alone], {"node1": scrape(cgroups)}, NOW))


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ({}, 0.0),
        ({"memory_limit": 0.0}, 1.0),
        ({"cpu_quota": None}, 1.0),
        ({"cpu_quota": 0.0}, 1.0),
        ({"memory_limit": 0.0, "cpu_quota": None}, 2.0),
        ({"memory_limit": None}, None),
        ({"cpu_quota": None, "cpu_period": None}, None),
        ({"sampled": None}, None),
    ],
    ids=["all", "no memory limit", "no quota", "quota 0", "neither", "memory not shown", "cpu not shown", "no sample"],
)
def test_a_limit_that_is_absent_is_missing_and_one_that_was_not_shown_is_unknown(
    change: dict[str, float | None], value: float | None
) -> None:
    assert server(with_cgroup(SERVER, **change)).value == value


@pytest.mark.parametrize(
    ("own", "around", "value", "shown"),
    [
        (0.0, 512.0, 0.0, "512"),
        (64.0, 512.0, 0.0, "64"),
        (64.0, 0.0, 0.0, "64"),
        (64.0, None, 0.0, "64"),
        (None, 512.0, 0.0, "512"),
        (0.0, 0.0, 1.0, "0"),
        (0.0, None, None, "0"),
        (None, 0.0, None, "0"),
        (None, None, None, "0"),
    ],
)
def test_the_tightest_limit_on_processes_counts(
    own: float | None, around: float | None, value: float | None, shown: str
) -> None:
    cgroups = with_cgroup(SERVER, pids_max=own)
    cgroups = replace(cgroups, pods={POD: replace(cgroups.pods[POD], pids_max=around)})

    found = server(cgroups)

    assert (found.value, found.observations["pidsMax"]) == (value, shown)


@pytest.mark.parametrize(
    ("own", "around", "node", "value"),
    [(10, 10, 10, 1.0), (9.9, 10, 10, None), (10, 9.9, 10, None), (20, -5, 20, None), (10, 10, 9, None)],
    ids=["all old enough", "young sample", "young sample of the pod", "sample of the pod from before", "young scrape"],
)
@pytest.mark.parametrize("missing", [{"pids_max": 0.0}, {"memory_limit": 0.0}, {"cpu_quota": None}])
def test_a_limit_can_only_be_missed_well_after_the_start(
    own: float, around: float, node: float, value: float | None, missing: dict[str, float | None]
) -> None:
    """Seen on a real node: a cgroup is sampled as soon as it appears, and its limits are written a moment later."""
    start = STARTED.timestamp()
    cgroups = with_cgroup(SERVER, sampled=start + own, **missing)
    pod_cgroup = replace(cgroups.pods[POD], sampled=start + around, pids_max=0.0 if "pids_max" in missing else 512.0)
    shown = replace(scrape(replace(cgroups, pods={POD: pod_cgroup})), node_time=start + node)
    alone = pod(containers=(Container("server", SERVER, True, STARTED),))  # noqa: FBT003

    found = only(sandbox_measurements([alone], {"node1": shown}, NOW))

    assert found.value == value
    assert found.observations.get("failure") == (None if value else "limits-not-settled")


def test_limits_that_are_there_are_believed_at_once() -> None:
    assert [one.value for one in sandbox_measurements([pod()], {"node1": scrape()}, NOW)] == [0.0, 0.0]


def test_the_pods_limit_on_processes_counts_only_while_its_sample_is_fresh() -> None:
    cgroups = parse_cadvisor(RECORDED)
    cgroups = replace(cgroups, pods={POD: replace(cgroups.pods[POD], sampled=NODE_TIME - 61)})

    assert server(cgroups).observations["failure"] == "not-shown pids"


@pytest.mark.parametrize("shared", ["hostPID", "hostIPC", "hostNetwork", "shareProcessNamespace"])
def test_a_shared_process_space_counts_as_one_more(shared: str) -> None:
    found = server(parse_cadvisor(RECORDED), shares_host=(shared,))

    assert (found.value, found.observations["sharesHost"]) == (1.0, shared)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (scrape(failure="scrape-timeout"), "scrape-timeout"),
        (scrape(Cgroups()), "no-cgroup"),
        (scrape(node_time=NODE_TIME + 60), "stale-sample"),
        (scrape(node_time=NODE_TIME - 10), "stale-sample"),
        (None, "not-scraped"),
    ],
    ids=["not reached", "not there yet", "too old", "from the future", "unknown node"],
)
def test_what_could_not_be_seen_is_inconclusive(answer: Scrape | None, failure: str) -> None:
    found = sandbox_measurements([pod()], {"node1": answer} if answer else {}, NOW)

    assert [(one.value, one.observations["failure"]) for one in found] == [(None, failure)] * 2


def test_a_sample_from_before_the_container_started_is_inconclusive() -> None:
    later = Container("server", SERVER, True, STARTED + timedelta(seconds=1))  # noqa: FBT003

    found = only(sandbox_measurements([pod(containers=(later,))], {"node1": scrape()}, NOW))

    assert (found.value, found.observations["failure"]) == (None, "sampled-before-start")


def test_a_container_that_does_not_run_has_no_cgroup_to_measure() -> None:
    waiting = pod(containers=(Container("server", "", running=False),))

    assert sandbox_measurements([waiting], {"node1": scrape()}, NOW) == ()


UID, CID = "0a1b2c3d-0000-4000-8000-00000000000f", "ab" * 32
# Written by hand after the kubelet's and the runtimes' naming code; no such node was at hand to record from.
SLICE = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice"
SHAPES = {
    "cgroupfs, v1 and v2": (f"/kubepods/besteffort/pod{UID}", f"/kubepods/besteffort/pod{UID}/{CID}"),
    "cgroupfs, guaranteed": (f"/kubepods/pod{UID}", f"/kubepods/pod{UID}/{CID}"),
    "systemd, containerd": (SLICE, f"{SLICE}/cri-containerd-{CID}.scope"),
    "systemd, CRI-O": (SLICE, f"{SLICE}/crio-{CID}.scope"),
    "kind": (f"/kubelet/kubepods/pod{UID}", f"/kubelet/kubepods/pod{UID}/{CID}"),
}


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_pods_and_containers_are_found_in_every_shape_of_path(shape: str) -> None:
    of_pod, of_container = SHAPES[shape]
    text = f'container_threads_max{{id="{of_pod}"}} 512 1000\ncontainer_threads_max{{id="{of_container}"}} 64 2000\n'

    found = parse_cadvisor(text)

    assert (set(found.pods), set(found.containers)) == ({UID}, {CID})
    assert (found.pods[UID].pids_max, found.containers[CID].sampled) == (512.0, 2.0)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/kubepods",
        "/system.slice/containerd.service",
        f"/kubepods/pod{UID}/{CID}/init.scope",
        f"{SLICE}/crio-conmon-{CID}.scope",
        f"/docker/{CID}",
        f"/kubepods/pod{UID}x",
    ],
)
def test_other_cgroups_are_taken_for_neither(path: str) -> None:
    assert parse_cadvisor(f'container_threads_max{{id="{path}"}} 512 1000\n') == Cgroups()


@pytest.mark.parametrize(
    "figure", ["9.223372036854772e+18", "9223372036854771712", "1.8446744073709552e+19", "0", "-1", "+Inf"]
)
def test_figures_beyond_any_machine_are_no_limit(figure: str) -> None:
    found = parse_cadvisor(f'container_spec_memory_limit_bytes{{id="/kubepods/pod{UID}/{CID}"}} {figure}\n')

    assert found.containers[CID].memory_limit == 0.0


def test_what_is_not_a_number_is_not_seen() -> None:
    series = f'container_threads_max{{id="/kubepods/pod{UID}"}}'
    text = f"{series} NaN 1\n{series} x 1\n"

    assert parse_cadvisor(text) == Cgroups()


label_values = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=60)
@given(label_values, label_values, st.integers(0, 2**40), st.booleans())
def test_labels_with_any_characters_do_not_hide_a_series(one: str, other: str, number: int, last: bool) -> None:  # noqa: FBT001
    def quoted(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"')

    identity = f'id="/kubepods/pod{UID}"'
    around = [f'image="{quoted(one)}"', f'name="{quoted(other)}"']
    labels = ",".join([*around, identity] if last else [identity, *around])

    found = parse_cadvisor(f"# HELP x y\ncontainer_threads_max{{{labels}}} {number} 5\ncontainer_threads_max_total 1\n")

    assert found.pods[UID].pids_max == float(number)


@settings(max_examples=60)
@given(st.text(st.sampled_from('container_threads_max{}id="/kubepods/pod0-9abcdef, 1\n\\'), max_size=200))
def test_no_text_crashes_the_reading(text: str) -> None:
    assert isinstance(parse_cadvisor(text), Cgroups)


def test_a_node_with_five_hundred_containers_is_read_in_a_moment() -> None:
    """No assertion on time: what would fail is a pattern that backtracks, and that would take minutes."""
    lines = [
        line.replace(SERVER, f"{number:064x}")
        for number in range(500)
        for line in RECORDED.splitlines()
        if SERVER in line
    ]

    assert len(parse_cadvisor("\n".join(lines)).containers) == 500
