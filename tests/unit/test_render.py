"""What is rendered: known to the official client field by field, and open to the user's wishes where it may be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import kubernetes.client
import pytest
import yaml

from installation import ROOT
from unit.test_plan import facts, model, planned
from verticalmodel.api.modelruntime import ModelRuntime
from verticalmodel.facts import Facts, Node, NodeGpu
from verticalmodel.plan import Plan
from verticalmodel.render.children import children
from verticalmodel.render.guard_drain import SERVER_STOPS_SECONDS
from verticalmodel.render.pin import pin

TMP, SHM = "/tmp", "/dev/shm"  # noqa: S108 - memory volumes of a pod
GPU = {"resources": {"gpu": {}}}
DRA = facts(device_classes=frozenset({"gpu.nvidia.com"}))
WISHES = {
    "labels": {"team": "radiology"},
    "annotations": {"example.com/owner": "a"},
    "nodeSelector": {"zone": "a"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "rack", "operator": "In", "values": ["1"]}]},
                    {"matchExpressions": [{"key": "rack", "operator": "DoesNotExist"}]},
                ]
            }
        },
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": {"matchLabels": {"team": "other"}}, "topologyKey": "kubernetes.io/hostname"}
            ]
        },
    },
    "priorityClassName": "high",
    "runtimeClassName": "kata",
    "imagePullSecrets": [{"name": "registry"}],
    "env": [{"name": "OMP_NUM_THREADS", "value": "2"}],
    "extraArgs": ["--max-batch-size=8"],
}


WEIGHTS = {"uri": "pvc://models/weights", "format": "safetensors"}


def preset(path: str, seen: Facts | None = None) -> Facts:
    """A cluster with this runtime of `manifests/`, whatever its name."""
    runtime = ModelRuntime.model_validate(yaml.safe_load((ROOT / "manifests" / path).read_text()))
    return replace(seen or facts(), runtime=runtime)


def rendered(plan: Plan) -> dict[str, dict[str, Any]]:
    """Every child by kind."""
    return {child["kind"]: child for child in children(plan, pin(plan, None))}


def pod_spec(plan: Plan) -> dict[str, Any]:
    spec: dict[str, Any] = rendered(plan)["Deployment"]["spec"]["template"]["spec"]
    return spec


def server(plan: Plan) -> dict[str, Any]:
    [container] = pod_spec(plan)["containers"]
    found: dict[str, Any] = container
    return found


@pytest.mark.parametrize(
    "plan",
    [
        planned(model()),
        planned(model(**GPU), DRA),
        planned(model(**GPU)),
        planned(model(pod=WISHES)),
        planned(model(pod=WISHES, replicas=2, **GPU)),
        planned(model(source=WEIGHTS, **GPU), preset("runtimes/vllm.yaml", DRA)),
        planned(model(source=WEIGHTS | {"format": "my-format"}), preset("samples/custom-runtime.yaml")),
        planned(model(source={"uri": "s3://models/a", "key": {"name": "k"}, "egress": [{"cidr": "192.0.2.0/24"}]})),
    ],
    ids=["cpu", "claim", "device plugin", "wishes", "wishes and device plugin", "vllm", "custom", "sealed in a bucket"],
)
def test_the_official_client_knows_every_field(plan: Plan) -> None:
    for kind, child in rendered(plan).items():
        name = f"V1{kind}" if hasattr(kubernetes.client, f"V1{kind}") else kind
        getattr(kubernetes.client, name).model_validate(child)


def test_a_servers_memory_volumes_are_what_its_runtime_asks_for() -> None:
    """One for /tmp always; /dev/shm where workers of one pod share memory."""
    plan = planned(model(source=WEIGHTS, **GPU), preset("runtimes/vllm.yaml", DRA))
    mounts = {one["mountPath"]: one["name"] for one in server(plan)["volumeMounts"]}
    sizes = {one["name"]: one["emptyDir"]["sizeLimit"] for one in pod_spec(plan)["volumes"] if "emptyDir" in one}
    assert {path: sizes[mounts[path]] for path in (TMP, SHM)} == {TMP: "4Gi", SHM: "2Gi"}
    assert SHM not in {one["mountPath"] for one in server(planned(model()))["volumeMounts"]}


def test_a_pod_that_ends_waits_for_the_longest_inference_and_its_drain() -> None:
    plan = planned(model(source=WEIGHTS, **GPU), preset("runtimes/vllm.yaml", DRA))
    assert pod_spec(plan)["terminationGracePeriodSeconds"] == 600 + SERVER_STOPS_SECONDS


def test_a_model_without_gpus_asks_for_none() -> None:
    plan = planned(model())
    assert "ResourceClaimTemplate" not in rendered(plan)
    assert server(plan)["resources"] == {
        "requests": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "512Mi"},
        "limits": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "512Mi"},
    }
    assert "tolerations" not in pod_spec(plan)


def test_where_the_device_class_exists_gpus_are_claimed_with_guarded_selectors() -> None:
    plan = planned(model(resources={"gpu": {"count": 2, "memory": "80G"}}), DRA)
    template = rendered(plan)["ResourceClaimTemplate"]
    assert template["spec"] == {
        "spec": {
            "devices": {
                "requests": [
                    {
                        "name": "gpu",
                        "exactly": {
                            "deviceClassName": "gpu.nvidia.com",
                            "allocationMode": "ExactCount",
                            "count": 2,
                            "selectors": [
                                {
                                    "cel": {
                                        "expression": "device.driver == 'gpu.nvidia.com' && 'memory' in "
                                        "device.capacity['gpu.nvidia.com'] && device.capacity['gpu.nvidia.com'].memory"
                                        ".compareTo(quantity('80000000000')) >= 0"
                                    }
                                },
                                {
                                    "cel": {
                                        "expression": "device.driver == 'gpu.nvidia.com' && 'cudaComputeCapability' in "
                                        "device.attributes['gpu.nvidia.com'] && device.attributes['gpu.nvidia.com']"
                                        ".cudaComputeCapability.compareTo(semver('7.0.0')) >= 0"
                                    }
                                },
                            ],
                        },
                    }
                ],
                "constraints": [{"requests": ["gpu"], "matchAttribute": "gpu.nvidia.com/productName"}],
            }
        }
    }
    assert pod_spec(plan)["resourceClaims"] == [
        {"name": "gpus", "resourceClaimTemplateName": template["metadata"]["name"]}
    ]
    assert server(plan)["resources"]["claims"] == [{"name": "gpus"}]
    assert "nvidia.com/gpu" not in server(plan)["resources"]["limits"]


def test_another_request_is_another_claim_template_because_its_spec_is_immutable() -> None:
    def name(**gpu: Any) -> str:
        found: str = rendered(planned(model(resources={"gpu": gpu}), DRA))["ResourceClaimTemplate"]["metadata"]["name"]
        return found

    assert len({name(), name(count=2), name(memory="80G"), name(mixedPrecision=False)}) == 4
    assert name() == name(allocation="DRA")


def test_elsewhere_the_device_plugins_resource_is_asked_for_on_nodes_whose_labels_fit() -> None:
    plan = planned(model(**GPU))
    assert server(plan)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert server(plan)["resources"]["requests"] == server(plan)["resources"]["limits"]
    assert pod_spec(plan)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] == {
        "nodeSelectorTerms": [
            {
                "matchExpressions": [
                    {"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["22888"]},
                    {"key": "nvidia.com/gpu.compute.major", "operator": "Gt", "values": ["6"]},
                ]
            }
        ]
    }
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod_spec(plan)["tolerations"]


def test_a_rollout_of_gpus_stops_one_pod_before_it_starts_another_unless_surge_is_asked_for() -> None:
    somewhere = Node("n", ready=True, cordoned=False, plugin_devices=(NodeGpu("L4", 24 * 10**9, (8, 9)),))

    def strategy(known: Facts | None = None, **spec: Any) -> tuple[int, int]:
        rolling = rendered(planned(model(**spec), known or facts(nodes=(somewhere,))))["Deployment"]["spec"][
            "strategy"
        ]["rollingUpdate"]
        return rolling["maxSurge"], rolling["maxUnavailable"]

    assert strategy() == (1, 0)
    assert strategy(**GPU) == (0, 1)
    assert strategy(known=facts(), **GPU) == (1, 0), "what runs is not stopped for what no node can start"
    assert strategy(rollout={"surge": True}, **GPU) == (1, 0)
    assert strategy(rollout={"surge": False}) == (0, 1)


def test_the_users_wishes_reach_the_pods_and_change_nothing_that_confines_them() -> None:
    plain, wished = pod_spec(planned(model())), pod_spec(planned(model(pod=WISHES)))
    template = rendered(planned(model(pod=WISHES)))["Deployment"]["spec"]["template"]["metadata"]
    assert template["labels"]["team"] == "radiology"
    assert template["annotations"]["example.com/owner"] == "a"
    changed = {field for field in wished if wished[field] != plain.get(field)}
    assert changed == {
        "nodeSelector", "tolerations", "affinity", "priorityClassName", "runtimeClassName", "imagePullSecrets",
        "containers",
    }  # fmt: skip
    assert wished["nodeSelector"] == {"kubernetes.io/os": "linux", "zone": "a"}
    assert wished["tolerations"] == [{"key": "dedicated", "operator": "Exists"}]
    [before], [after] = plain["containers"], wished["containers"]
    assert {field for field in after if after[field] != before.get(field)} == {"env", "args"}
    assert {"name": "OMP_NUM_THREADS", "value": "2"} in after["env"]
    assert after["args"] == ["--max-batch-size=8"]


def test_what_gpus_need_of_a_node_is_added_to_every_alternative_that_the_user_names() -> None:
    affinity = pod_spec(planned(model(pod=WISHES, **GPU)))["affinity"]
    terms = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [[one["key"] for one in term["matchExpressions"]] for term in terms] == [
        ["rack", "nvidia.com/gpu.memory", "nvidia.com/gpu.compute.major"],
        ["rack", "nvidia.com/gpu.memory", "nvidia.com/gpu.compute.major"],
    ]
    assert "podAntiAffinity" in affinity


def test_the_runtimes_labels_of_ours_win_over_the_users() -> None:
    plan = planned(model(pod={"labels": {"verticalmodel.io/model": "other"}}))
    labels = rendered(plan)["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert labels["verticalmodel.io/model"] == "m"


SEALED = {
    "uri": "s3://models/breast",
    "digest": "sha256:" + "a" * 64,
    "key": {"name": "model-key"},
    "secretRef": {"name": "bucket"},
    "egress": [
        {"cidr": "169.0.0.0/8"},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "minio"}}, "port": 9000},
    ],
}


def mounts(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["mountPath"] for one in container["volumeMounts"]}


def test_parameters_are_unsealed_into_memory_that_the_server_reads() -> None:
    unseal, guard = pod_spec(planned(model(source=SEALED)))["initContainers"]
    assert unseal["args"] == [
        "--source=s3://models/breast",
        "--target=/mnt/models/parameters",
        f"--memory-limit={2**30}",
        f"--size-limit={2**30 - 128 * 2**20}",
        "--cpus=1",
        "--digest=sha256:" + "a" * 64,
        "--key=/etc/unseal/key/key",
        "--credentials=/etc/unseal/credentials",
    ]
    assert unseal["terminationMessagePolicy"] == "File"
    assert unseal["resources"]["limits"] == {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "64Mi"}
    served = server(planned(model(source=SEALED)))
    assert {"name": "parameters", "mountPath": "/mnt/models", "readOnly": True} in served["volumeMounts"]
    assert {"name": "MODEL_PATH", "value": "/mnt/models/parameters"} in served["env"]
    assert guard["name"] == "guard"


def test_key_and_credentials_are_mounted_in_the_init_container_only_and_may_be_missing() -> None:
    spec = pod_spec(planned(model(source=SEALED)))
    secrets = {one["name"]: one["secret"] for one in spec["volumes"] if "secret" in one}
    assert (secrets["key"]["optional"], secrets["credentials"]["optional"]) == (True, True)
    assert secrets["key"]["items"] == [{"key": "key", "path": "key"}]
    [unseal, *others] = [*spec["initContainers"], *spec["containers"]]
    assert {"key", "credentials"} <= mounts(unseal).keys()
    assert not any({"key", "credentials", "source"} & mounts(one).keys() for one in others)


def test_a_claim_is_mounted_read_only_where_it_is_unsealed_and_nowhere_else() -> None:
    spec = pod_spec(planned(model()))
    unseal = spec["initContainers"][0]
    assert "--mount=/mnt/source" in unseal["args"]
    assert {"name": "source", "mountPath": "/mnt/source", "readOnly": True} in unseal["volumeMounts"]
    [memory] = [one["emptyDir"] for one in spec["volumes"] if one["name"] == "parameters"]
    assert memory == {"medium": "Memory", "sizeLimit": str(2**30 - 128 * 2**20)}
    assert not any(argument.startswith("--key") for argument in unseal["args"])


def test_the_way_out_is_the_source_and_the_resolver_and_never_the_metadata_service() -> None:
    spec = rendered(planned(model(source=SEALED)))["NetworkPolicy"]["spec"]
    dns, addresses, pods = spec["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert addresses == {
        "to": [{"ipBlock": {"cidr": "169.0.0.0/8", "except": ["169.254.0.0/16"]}}],
        "ports": [{"port": 443, "protocol": "TCP"}],
    }
    assert pods == {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "minio"}}}],
        "ports": [{"port": 9000, "protocol": "TCP"}],
    }
    assert "egress" not in rendered(planned(model()))["NetworkPolicy"]["spec"], "a claim needs none (decision 2)"


def test_two_pods_or_more_have_a_disruption_budget_and_fewer_none() -> None:
    plan = planned(model(replicas=2))
    budget = rendered(plan)["PodDisruptionBudget"]
    assert budget["spec"] == {
        "maxUnavailable": 1,
        "selector": rendered(plan)["Deployment"]["spec"]["selector"],
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    for fewer in (model(replicas=1), model(replicas=0), model(replicas=2, suspend=True)):
        assert "PodDisruptionBudget" not in rendered(planned(fewer))


def test_nothing_in_a_pod_can_fill_its_nodes_disk() -> None:
    """What it writes is memory or counted; the one file that is neither is out of the server's reach."""
    spec = pod_spec(planned(model(source=SEALED)))
    containers = [*spec["initContainers"], *spec["containers"]]
    for container in containers:
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert "ephemeral-storage" in container["resources"]["limits"]
    memory = {one["name"]: one["emptyDir"] for one in spec["volumes"] if "emptyDir" in one}
    assert all(one["medium"] == "Memory" and one["sizeLimit"] for one in memory.values())
    writable = {
        mount["name"] for container in containers for mount in container["volumeMounts"] if not mount.get("readOnly")
    }
    assert writable == memory.keys()
    assert server(planned(model(source=SEALED)))["terminationMessagePath"].startswith("/root/")
