"""Claims about the names and addresses of test clusters."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testcluster.errors import UsageError
from testcluster.layout import SERVICE_RANGE, SLOTS, Layout, Shape, check_name, free_slot, link_name
from testcluster.network import port_name

slots = st.sampled_from(SLOTS)


def test_every_name_and_address_follows_from_name_slot_and_shape() -> None:
    layout = Layout("demo", 7, Shape(nodes=2))
    state = Path("/var/lib/verticalmodel-test/demo")
    assert {
        machine.name: (machine.address, machine.pods, machine.directory, machine.cgroup)
        for machine in (layout.switch, *layout.machines)
    } == {
        "switch": (IPv4Address("10.77.7.1"), None, state / "machines/switch", "/verticalmodel-test-demo/switch"),
        "control-plane": (
            IPv4Address("10.77.7.2"),
            None,
            state / "machines/control-plane",
            "/verticalmodel-test-demo/control-plane",
        ),
        "node1": (
            IPv4Address("10.77.7.11"),
            IPv4Network("10.135.1.0/24"),
            state / "machines/node1",
            "/verticalmodel-test-demo/node1",
        ),
        "node2": (
            IPv4Address("10.77.7.12"),
            IPv4Network("10.135.2.0/24"),
            state / "machines/node2",
            "/verticalmodel-test-demo/node2",
        ),
    }
    assert (layout.api_url, layout.link, layout.gateway) == (
        "https://10.77.7.2:6443",
        "vmtest7",
        IPv4Address("10.77.7.1"),
    )


@settings(max_examples=20)
@given(slots, slots)
def test_two_slots_share_no_address(one: int, other: int) -> None:
    a, b = Layout("a", one, Shape(nodes=20)), Layout("b", other, Shape(nodes=20))
    ranges = [a.subnet, a.pods, SERVICE_RANGE]
    if one != other:
        ranges += [b.subnet, b.pods]
    ordered = sorted(ranges)
    assert not any(left.overlaps(right) for left, right in pairwise(ordered))


@settings(max_examples=20)
@given(slots)
def test_nodes_are_inside_their_cluster_and_apart_from_each_other(slot: int) -> None:
    layout = Layout("a", slot, Shape(nodes=20))
    addresses = {machine.address for machine in (layout.switch, *layout.machines)}
    assert len(addresses) == 22
    assert addresses <= set(layout.subnet.hosts())
    pods = [node.pods for node in layout.nodes if node.pods is not None]
    assert all(own.subnet_of(layout.pods) for own in pods)
    assert not any(left.overlaps(right) for left, right in pairwise(sorted(pods)))


@settings(max_examples=20)
@given(slots)
def test_device_names_fit_the_kernels_fifteen_characters(slot: int) -> None:
    layout = Layout("a", slot, Shape(nodes=20))
    ports = [port_name(machine) for machine in layout.machines]
    assert len(link_name(slot)) <= 15
    assert all(len(port) <= 15 for port in ports)
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize(
    ("taken", "routes", "expected"),
    [
        (set(), [], 0),
        ({0, 1}, [], 2),
        ({1}, ["10.77.0.0/24"], 2),
        (set(), ["10.128.0.0/15"], 2),
        (set(), ["10.77.0.1/32", "192.168.0.0/16"], 1),
    ],
)
def test_a_slot_is_free_if_nobody_holds_it_and_the_machine_does_not_route_it(
    taken: set[int],
    routes: list[str],
    expected: int,
) -> None:
    assert free_slot(taken, [IPv4Network(route) for route in routes]) == expected


def test_a_machine_that_routes_all_of_ten_has_no_free_slot() -> None:
    with pytest.raises(UsageError, match="no free network slot among 100"):
        free_slot(set(), [IPv4Network("10.0.0.0/8")])


@pytest.mark.parametrize("name", ["vm", "e2e-4711", "a", "a" * 20])
def test_a_dns_label_of_at_most_twenty_characters_is_a_name(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "A", "a.b", "a/b", "..", "a" * 21, "a\n"])
def test_what_could_leave_its_folder_or_a_certificate_is_no_name(name: str) -> None:
    with pytest.raises(UsageError, match="use 1 to 20 of a-z"):
        check_name(name)


@pytest.mark.parametrize("nodes", [-1, 21])
def test_a_shape_says_which_numbers_of_nodes_are_allowed(nodes: int) -> None:
    with pytest.raises(UsageError, match=rf"nodes: {nodes} is not in 0\.\.20"):
        Shape(nodes=nodes)


def test_an_unknown_node_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="has no node 'node9'; it has: node1, node2"):
        Layout("demo", 0, Shape(nodes=2)).node("node9")
