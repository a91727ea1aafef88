"""When pods get users of their own: where every node and the volume are known to take it, and never by facts alone."""

from __future__ import annotations

from typing import Any

import pytest

from unit.test_plan import facts, model, planned
from unit.test_render import pod_spec
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import Facts, Node
from verticalmodel.plan import asks_for_volume, pin_key
from verticalmodel.render.pin import pin
from verticalmodel.shell import inventory
from verticalmodel.user_namespaces import id_mapped, supported

REMOTE = {"uri": "s3://models/a", "egress": [{"cidr": "192.0.2.0/24"}]}
ABLE = {"": True, "runc": True}


def node(name: str = "a", **changes: Any) -> Node:
    given = {"name": name, "ready": True, "cordoned": False, "handlers": ABLE, "labels": {"kubernetes.io/os": "linux"}}
    return Node(**{**given, **changes})


def labelled(**labels: str) -> dict[str, str]:
    return {"kubernetes.io/os": "linux", **labels}


@pytest.mark.parametrize(
    ("nodes", "selector", "runtime_class", "expected"),
    [
        ([node()], {}, False, True),
        ([], {}, False, False),
        ([node(), node("b", handlers={"": False})], {}, False, False),
        ([node(), node("b", handlers={})], {}, False, False),
        ([node(), node("b", handlers={}, labels={"kubernetes.io/os": "windows"})], {}, False, True),
        ([node(labels=labelled(zone="x")), node("b", handlers={})], {"zone": "x"}, False, True),
        ([node(), node("b", handlers={})], {"zone": "x"}, False, False),
        ([node(handlers={"": True, "runsc": False})], {}, False, True),
        ([node(handlers={"": True, "runsc": False})], {}, True, False),
        ([node(handlers={})], {}, True, False),
        ([node()], {}, True, True),
        ([node(ready=False, handlers={}), node("b")], {}, False, False),
    ],
    ids=[
        "one that can", "none", "one that cannot", "one that does not say", "Windows aside", "selected",
        "none selected", "another handler cannot", "the class may mean that one", "a class and no word", "a class",
        "down is not gone",
    ],
)  # fmt: skip
def test_every_node_that_may_run_the_pod_has_to_support_it(
    nodes: list[Node],
    selector: dict[str, str],
    runtime_class: bool,  # noqa: FBT001 - a column of the table
    expected: bool,  # noqa: FBT001
) -> None:
    assert supported(nodes, selector, runtime_class=runtime_class) is expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"local": {"path": "/data"}}, True),
        ({"hostPath": {"path": "/data"}}, True),
        ({"csi": {"driver": "ebs.csi.aws.com", "fsType": "ext4"}}, True),
        ({"csi": {"driver": "nfs.csi.k8s.io"}}, False),
        ({"csi": {"driver": "file.csi.azure.com", "fsType": "nfs"}}, False),
        ({"nfs": {"server": "192.0.2.1", "path": "/"}}, False),
    ],
)
def test_a_volume_has_to_be_known_to_take_id_mapped_mounts(spec: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    assert id_mapped({"spec": {"capacity": {"storage": "1Gi"}, **spec}}) is expected


def test_a_node_tells_its_handlers() -> None:
    features = {"recursiveReadOnlyMounts": True}
    obj = {
        "metadata": {"name": "a", "labels": labelled()},
        "status": {
            "runtimeHandlers": [
                {"name": "", "features": {**features, "userNamespaces": True}},
                {"name": "runsc", "features": features},
                {"name": "old"},
            ]
        },
    }
    assert inventory.node(obj) == node(ready=False, handlers={"": True, "runsc": False, "old": False})


def own_users(subject: VerticalModel, known: Facts) -> bool:
    spec = pod_spec(planned(subject, known))
    assert spec.get("hostUsers", False) is False
    return "hostUsers" in spec


@pytest.mark.parametrize(
    ("subject", "known", "expected"),
    [
        (model(source=REMOTE), facts(nodes=(node(),)), True),
        (model(source=REMOTE), facts(), False),
        (model(), facts(nodes=(node(),)), False),
        (model(), facts(nodes=(node(),), claim_id_mapped=True), True),
        (model(pod={"hostUsers": False}), facts(), True),
        (model(pod={"hostUsers": True}), facts(nodes=(node(),), claim_id_mapped=True), False),
    ],
    ids=["remote", "no node says so", "unknown volume", "known volume", "insisted on", "opted out"],
)
def test_pods_have_users_of_their_own_where_it_is_known_to_work(
    subject: VerticalModel,
    known: Facts,
    expected: bool,  # noqa: FBT001
) -> None:
    assert own_users(subject, known) is expected


def test_the_volume_is_asked_for_only_while_the_decision_hangs_on_it() -> None:
    able = facts(nodes=(node(),), claim_id_mapped=True)
    pinned = pin(planned(model(), able), None).pin
    undecided = facts(nodes=(node(),))
    assert asks_for_volume(model(), undecided)
    assert asks_for_volume(model(update="now"), facts(nodes=(node(),), pin=pinned)), "another template is asked for"
    assert not asks_for_volume(model(), facts(nodes=(node(),), pin=pinned)), "the template in force has decided"
    assert not asks_for_volume(model(), facts())
    assert not asks_for_volume(model(source=REMOTE), undecided)
    assert not asks_for_volume(model(pod={"hostUsers": True}), undecided)


def test_a_decision_that_stands_is_kept_without_asking_again() -> None:
    known = pin(planned(model(), facts(nodes=(node(),), claim_id_mapped=True)), None).pin
    again = pin(planned(model(), facts(nodes=(node(),), pin=known)), known)
    assert (again.pin, again.update_pending) == (known, False)


def test_what_nodes_can_do_by_now_is_offered_and_changes_no_template() -> None:
    before = pin(planned(model(source=REMOTE), facts()), None)
    later = pin(planned(model(source=REMOTE), facts(nodes=(node(),), pin=before.pin)), before.pin)
    assert later.update_pending
    assert later.template == before.template


def test_the_wish_is_part_of_what_pods_are_made_of_and_its_default_is_not() -> None:
    assert pin_key(model(pod={"hostUsers": True})) != pin_key(model()) == pin_key(model(pod={"hostUsers": None}))
