"""Claims about drift: what is ours and gone, and what others added."""

from __future__ import annotations

from typing import Any

import pytest

from verticalmodel.ownership import body_of, has_additions, ownership, owns_all, removal_patch

OURS = {
    "f:metadata": {"f:labels": {"f:app": {}}},
    "f:spec": {
        "f:replicas": {},
        "f:template": {
            "f:spec": {
                "f:containers": {
                    'k:{"name":"server"}': {
                        ".": {},
                        "f:name": {},
                        "f:image": {},
                        "f:ports": {'k:{"containerPort":8443,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                    }
                },
                "f:volumes": {'k:{"name":"tmp"}': {".": {}, "f:name": {}, "f:emptyDir": {}}},
            }
        },
    },
}
DESIRED = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "namespace": "n", "labels": {"app": "x"}},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "containers": [{"name": "server", "image": "i", "ports": [{"containerPort": 8443}]}],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            }
        },
    },
}


def managed(manager: str, fields: dict[str, Any], operation: str = "Apply", subresource: str = "") -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": operation,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **({"subresource": subresource} if subresource else {}),
    }


def template(**pod_spec: Any) -> dict[str, Any]:
    return {"f:spec": {"f:template": {"f:spec": {f"f:{key}": value for key, value in pod_spec.items()}}}}


def test_a_manager_that_owns_every_desired_field_has_no_drift() -> None:
    assert owns_all(OURS, body_of(DESIRED))


@pytest.mark.parametrize(
    "lost",
    [
        ("f:spec", "f:replicas"),
        ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"server"}', "f:image"),
        ("f:spec", "f:template", "f:spec", "f:volumes", 'k:{"name":"tmp"}'),
        ("f:metadata", "f:labels", "f:app"),
    ],
)
def test_a_field_that_somebody_changed_or_removed_is_missed(lost: tuple[str, ...]) -> None:
    def without(node: Any, path: tuple[str, ...]) -> Any:
        if len(path) == 1:
            return {key: value for key, value in node.items() if key != path[0]}
        rest = without(node[path[0]], path[1:])
        # The API server keeps no empty node: an empty one would be an atomic field that is owned.
        return {**node, path[0]: rest} if rest else {key: value for key, value in node.items() if key != path[0]}

    assert not owns_all(without(OURS, lost), body_of(DESIRED))


def test_status_writers_and_the_revision_annotation_are_no_additions() -> None:
    fields = ownership(
        [
            managed("verticalmodel", OURS),
            managed(
                "kube-controller-manager",
                {
                    "f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}},
                    "f:status": {"f:replicas": {}},
                },
                "Update",
                "status",
            ),
        ],
        "verticalmodel",
    )
    assert fields.own == OURS
    assert not has_additions(fields, body_of(DESIRED))


def test_a_rollout_restart_is_allowed_but_its_neighbour_is_not() -> None:
    restart = {
        "f:spec": {
            "f:template": {"f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/restartedAt": {}}}}
        }
    }
    other = {"f:spec": {"f:template": {"f:metadata": {"f:annotations": {"f:inject/sidecar": {}}}}}}
    assert not has_additions(
        ownership([managed("verticalmodel", OURS), managed("kubectl", restart, "Update")], "verticalmodel"),
        body_of(DESIRED),
    )
    assert has_additions(
        ownership([managed("verticalmodel", OURS), managed("kubectl", other, "Update")], "verticalmodel"),
        body_of(DESIRED),
    )


def test_a_foreign_sidecar_environment_and_host_flag_are_removed_highest_index_first() -> None:
    foreign = template(
        containers={
            'k:{"name":"miner"}': {".": {}, "f:image": {}, "f:name": {}},
            'k:{"name":"spy"}': {".": {}, "f:image": {}, "f:name": {}},
            'k:{"name":"server"}': {"f:env": {".": {}, 'k:{"name":"X"}': {".": {}, "f:name": {}}}},
        },
        hostPID={},
    )
    live = {
        "metadata": {"resourceVersion": "7"},
        "spec": {
            "template": {
                "spec": {
                    "hostPID": True,
                    "containers": [
                        {"name": "miner", "image": "m"},
                        {"name": "server", "image": "i", "env": [{"name": "X"}]},
                        {"name": "spy", "image": "s"},
                    ],
                }
            }
        },
    }
    patch = removal_patch(
        live,
        ownership([managed("verticalmodel", OURS), managed("eve", foreign, "Update")], "verticalmodel"),
        body_of(DESIRED),
    )
    assert patch == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "remove", "path": "/spec/template/spec/hostPID"},
        {"op": "remove", "path": "/spec/template/spec/containers/2"},
        {"op": "remove", "path": "/spec/template/spec/containers/1/env"},
        {"op": "remove", "path": "/spec/template/spec/containers/0"},
    ]


def test_co_owning_the_same_value_is_no_addition() -> None:
    assert not has_additions(
        ownership([managed("verticalmodel", OURS), managed("other", {"f:spec": {"f:replicas": {}}})], "verticalmodel"),
        body_of(DESIRED),
    )


def test_what_is_gone_already_needs_no_patch() -> None:
    fields = ownership(
        [managed("verticalmodel", OURS), managed("eve", template(hostPID={}), "Update")], "verticalmodel"
    )
    assert (
        removal_patch(
            {"metadata": {"resourceVersion": "1"}, "spec": {"template": {"spec": {}}}}, fields, body_of(DESIRED)
        )
        == []
    )


def test_a_field_of_ours_that_somebody_took_over_is_no_addition_and_is_not_removed() -> None:
    """Removing it would break the object (an image is required); the next apply takes it back."""
    took = template(containers={'k:{"name":"server"}': {".": {}, "f:name": {}, "f:image": {}, "f:tty": {}}})
    spec = {"containers": [{"name": "server", "image": "evil", "tty": True}]}
    live = {"metadata": {"resourceVersion": "7"}, "spec": {"template": {"spec": spec}}}
    fields = ownership([managed("eve", took, "Update")], "verticalmodel")
    assert removal_patch(live, fields, body_of(DESIRED)) == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "remove", "path": "/spec/template/spec/containers/0/tty"},
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"manager": "verticalmodel", "operation": "Update"},
        {"manager": "verticalmodel", "operation": "Apply", "subresource": "scale"},
        {"manager": "eve", "operation": "Apply"},
    ],
    ids=["an update under our name", "an apply to a subresource", "somebody else"],
)
def test_what_is_not_our_apply_to_the_object_itself_is_somebody_elses(entry: dict[str, str]) -> None:
    spy = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"spy"}': {".": {}}}}}}}
    ours = {"manager": "verticalmodel", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": OURS}
    found = ownership([ours, {**entry, "fieldsType": "FieldsV1", "fieldsV1": spy}], "verticalmodel")
    assert has_additions(found, body_of(DESIRED))
