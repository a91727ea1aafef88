"""The fake GPU driver's pure parts: a profile becomes a slice, labels, a CDI spec and readings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
import yaml
from kubernetes.utils import parse_quantity

from fakegpu.driver import cdi, claims
from fakegpu.driver.feature_labels import LABELS, feature_labels
from fakegpu.driver.latest import Latest
from fakegpu.driver.profile import Device, Profile, ProfileError, parse
from fakegpu.driver.readings import readings
from fakegpu.driver.resource_slice import published, quantity, resource_slice, taints_dropped
from fakegpu.installation import UnknownDeviceError, with_state
from installation import ROOT

MANIFESTS = ROOT / "hack/fakegpu/manifests"
Document = dict[str, Any]


def documents() -> list[Document]:
    return [found for path in sorted(MANIFESTS.glob("*.yaml")) for found in yaml.safe_load_all(path.read_text())]


@pytest.fixture(scope="module")
def data() -> dict[str, str]:
    """The profile that the manifests install."""
    return next(found["data"] for found in documents() if found["kind"] == "ConfigMap")


def label_of(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


@pytest.mark.parametrize("document", documents(), ids=label_of)
def test_the_official_client_knows_every_field(document: Document) -> None:
    getattr(kubernetes.client, f"V1{document['kind']}").model_validate(document)


def test_no_rule_has_a_wildcard_or_a_secret() -> None:
    rules = [rule for found in documents() for rule in found.get("rules", ())]
    words = {word for rule in rules for word in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])}
    assert len(rules) == 4
    assert words & {"*", "secrets", "update", "deletecollection"} == set()


def test_a_slice_is_what_nvidias_driver_publishes_and_says_that_it_is_simulated(data: dict[str, str]) -> None:
    profile = parse(data, "node1")
    found = resource_slice("node1", "uid-1", profile, taints=True)
    kubernetes.client.V1ResourceSlice.model_validate(found)
    assert found["metadata"]["ownerReferences"][0] | {"controller": True} == found["metadata"]["ownerReferences"][0]
    assert found["spec"] | {"devices": []} == {
        "driver": "gpu.nvidia.com",
        "nodeName": "node1",
        "pool": {"name": "node1", "generation": 1, "resourceSliceCount": 1},
        "devices": [],
    }
    first = found["spec"]["devices"][0]
    assert first == {
        "name": "gpu-0",
        "attributes": {
            "type": {"string": "gpu"},
            "uuid": {"string": profile.devices[0].uuid},
            "productName": {"string": "NVIDIA L4"},
            "brand": {"string": "Nvidia"},
            "architecture": {"string": "Ada Lovelace"},
            "cudaComputeCapability": {"version": "8.9.0"},
            "driverVersion": {"version": "580.126.20"},
            "cudaDriverVersion": {"version": "13.0.0"},
            "resource.kubernetes.io/pcieRoot": {"string": "pci0000:00"},
            "verticalmodel.io/simulated": {"bool": True},
        },
        "capacity": {"memory": {"value": "23034Mi"}},
    }


@pytest.mark.parametrize(
    ("node", "enough"),
    [("node1", [True, False]), ("node2", [True]), ("node3", [False])],
)
def test_24_gb_is_decimal_so_an_l4_has_it_and_an_a10_with_ecc_has_not(
    data: dict[str, str], node: str, enough: list[bool]
) -> None:
    """23034 MiB are 24.15e9 bytes; as 24Gi the clause would refuse every card that is sold as 24 GB."""
    slice_ = resource_slice(node, "uid", parse(data, node), taints=True)
    memory = [parse_quantity(device["capacity"]["memory"]["value"]) for device in slice_["spec"]["devices"]]
    assert [amount >= parse_quantity("24G") for amount in memory] == enough
    assert [amount >= parse_quantity("24Gi") for amount in memory] == [amount > 80e9 for amount in memory]


@pytest.mark.parametrize(
    ("mebibytes", "text"), [(23034, "23034Mi"), (15360, "15Gi"), (81920, "80Gi"), (1024 * 1024, "1Ti"), (1, "1Mi")]
)
def test_memory_is_written_as_the_api_server_answers_it(mebibytes: int, text: str) -> None:
    assert quantity(mebibytes) == text


def broken(profile: Profile, xid: int = 79) -> Profile:
    first, *others = profile.devices
    state = first.state.model_copy(update={"health": "Unhealthy", "xid": xid})
    return profile.model_copy(update={"devices": (first.model_copy(update={"state": state}), *others)})


@pytest.mark.parametrize(
    ("xid", "taint"),
    [
        (79, {"key": "gpu.nvidia.com/xid", "value": "79", "effect": "NoSchedule"}),
        (0, {"key": "gpu.nvidia.com/gpu-lost", "effect": "NoSchedule"}),
    ],
)
def test_a_broken_device_is_tainted_or_left_out(data: dict[str, str], xid: int, taint: dict[str, str]) -> None:
    profile = broken(parse(data, "node1"), xid)
    tainted = resource_slice("node1", "uid", profile, taints=True)["spec"]
    assert [device.get("taints") for device in tainted["devices"]] == [[taint], None]
    without = resource_slice("node1", "uid", profile, taints=False)["spec"]
    assert [device["name"] for device in without["devices"]] == ["gpu-1"]


def test_a_published_slice_compares_equal_and_dropped_taints_are_noticed(data: dict[str, str]) -> None:
    """The API server adds a time to a taint, and one without the feature drops it."""
    wanted = resource_slice("node1", "uid", broken(parse(data, "node1")), taints=True)["spec"]
    answer = json.loads(json.dumps(wanted))
    answer["devices"][0]["taints"][0]["timeAdded"] = "2026-01-01T00:00:00Z"
    assert published(answer) == wanted
    assert not taints_dropped(wanted, answer)
    del answer["devices"][0]["taints"]
    assert taints_dropped(wanted, answer)
    nothing = {"driver": "gpu.nvidia.com"}
    assert published(nothing) == {"driver": "gpu.nvidia.com", "devices": []}


def test_labels_are_those_of_gpu_feature_discovery_and_only_without_dra(data: dict[str, str]) -> None:
    assert feature_labels(parse(data, "node3")) == {
        "nvidia.com/gpu.product": "NVIDIA-A10",
        "nvidia.com/gpu.memory": "22731",
        "nvidia.com/gpu.count": "1",
        "nvidia.com/gpu.replicas": "1",
        "nvidia.com/gpu.family": "ampere",
        "nvidia.com/gpu.compute.major": "8",
        "nvidia.com/gpu.compute.minor": "6",
        "verticalmodel.io/simulated": "true",
    }
    assert set(feature_labels(parse(data, "node3"))) == set(LABELS)
    assert feature_labels(parse(data, "node1")) == feature_labels(Profile(mode="devicePlugin")) == {}


@pytest.mark.parametrize(
    ("capability", "family"),
    [
        ("7.0", "volta"),
        ("7.5", "turing"),
        ("8.0", "ampere"),
        ("8.9", "ada-lovelace"),
        ("9.0", "hopper"),
        ("4.2", "undefined"),
    ],
)
def test_the_family_follows_from_the_compute_capability(capability: str, family: str) -> None:
    device = Device(product="x", memoryMiB=1, cudaComputeCapability=capability, architecture="x")
    labels = feature_labels(Profile(mode="devicePlugin", devices=(device,)))
    assert labels["nvidia.com/gpu.family"] == family


def test_a_node_without_a_key_gets_the_default_with_devices_of_its_own(data: dict[str, str]) -> None:
    one, other = parse(data, "worker-a"), parse(data, "worker-b")
    assert [device.product for device in one.devices] == [device.product for device in parse(data, "node1").devices]
    uuids = {device.uuid for profile in (one, other) for device in profile.devices}
    assert len(uuids) == 4
    assert parse(data, "worker-a") == one
    assert parse({}, "worker-a").devices == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("devices: [", "node1: not YAML"),
        ("mode: both", r"node1: mode: Input should be 'dra' or 'devicePlugin'"),
        ("memory: 1", "node1: memory: Extra inputs are not permitted"),
        ("devices: [{product: x, memoryMiB: 0, cudaComputeCapability: '8.9', architecture: x}]", "memoryMiB: Input"),
        ("devices: [{product: x, memoryMiB: 1, cudaComputeCapability: 8.9, architecture: x}]", "valid string"),
    ],
)
def test_a_profile_that_says_something_else_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        parse({"node1": text}, "node1")


def claim(*devices: str, uid: str = "claim-1", driver: str = "gpu.nvidia.com") -> Document:
    results = [{"request": "gpu", "driver": driver, "pool": "node1", "device": device} for device in devices]
    return {"metadata": {"uid": uid}, "status": {"allocation": {"devices": {"results": results}}}}


UUIDS = {"gpu-0": "GPU-a", "gpu-1": "GPU-b"}


def test_a_claim_is_prepared_once_and_again_and_taken_back(tmp_path: Path) -> None:
    """One CDI device per request names all of its GPUs; a second time changes nothing; nothing is left afterwards."""
    first = claims.prepare(claim("gpu-0", "gpu-1"), "claim-1", UUIDS, tmp_path)
    assert first == claims.prepare(claim("gpu-0", "gpu-1"), "claim-1", UUIDS, tmp_path)
    assert [(one.device, one.cdi_ids) for one in first] == [
        ("gpu-0", ("k8s.gpu.nvidia.com/claim=claim-1-gpu",)),
        ("gpu-1", ()),
    ]
    (file,) = tmp_path.iterdir()
    assert file.name == "k8s.gpu.nvidia.com-claim_claim-1.json"
    assert json.loads(file.read_text()) == {
        "cdiVersion": "0.6.0",
        "kind": "k8s.gpu.nvidia.com/claim",
        "devices": [
            {
                "name": "claim-1-gpu",
                "containerEdits": {"env": ["NVIDIA_VISIBLE_DEVICES=GPU-a,GPU-b", "VERTICALMODEL_SIMULATED=true"]},
            }
        ],
    }
    for _ in range(2):
        claims.unprepare("claim-1", tmp_path)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (claim("gpu-0", uid="another"), "the claim was replaced"),
        (claim("gpu-7"), "no device gpu-7; it has: gpu-0, gpu-1"),
        (claim("gpu-0", driver="other.example"), "nothing of gpu.nvidia.com is allocated"),
        ({"metadata": {"uid": "claim-1"}}, "nothing of gpu.nvidia.com is allocated"),
    ],
)
def test_a_claim_that_is_not_for_this_node_leaves_no_file(found: Document, message: str, tmp_path: Path) -> None:
    with pytest.raises(claims.ClaimError, match=message):
        claims.prepare(found, "claim-1", UUIDS, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_claim_of_a_device_that_refuses_claims_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(claims.ClaimError, match="gpu-1 refuses claims"):
        claims.prepare(claim("gpu-0", "gpu-1"), "claim-1", UUIDS, tmp_path, {"gpu-1"})
    assert list(tmp_path.iterdir()) == []


def test_a_subrequest_has_a_name_that_cdi_takes() -> None:
    assert cdi.device_id("u", "gpu/large") == "k8s.gpu.nvidia.com/claim=u-gpu.large"


def test_readings_hold_what_an_agent_would_ask_nvml_for(data: dict[str, str]) -> None:
    found = readings("node1", broken(parse(data, "node1")))
    assert (found["schemaVersion"], found["simulated"], found["node"], found["mode"]) == (1, True, "node1", "dra")
    assert found["devices"][0] == {
        "index": 0,
        "uuid": parse(data, "node1").devices[0].uuid,
        "product": "NVIDIA L4",
        "architecture": "Ada Lovelace",
        "cudaComputeCapability": "8.9",
        "memoryMiB": 23034,
        "health": "Unhealthy",
        "xid": 79,
        "utilizationPercent": 0,
        "memoryUsedMiB": 0,
        "temperatureCelsius": 38,
        "powerWatts": 17,
        "claims": "Prepared",
    }


def test_a_state_is_changed_in_the_nodes_own_key(data: dict[str, str]) -> None:
    """A node on the default gets a copy, so that its neighbours stay as they are."""
    text = with_state(data, "worker-a", 1, {"health": "Unhealthy", "xid": 48})
    changed = parse({**data, "worker-a": text}, "worker-a")
    assert [device.state.health for device in changed.devices] == ["Healthy", "Unhealthy"]
    assert [device.uuid for device in changed.devices] == [device.uuid for device in parse(data, "worker-a").devices]
    kept = parse({**data, "node1": with_state(data, "node1", 0, {"powerWatts": 70})}, "node1").devices[0].state
    assert (kept.power_watts, kept.temperature_celsius) == (70, 38)
    with pytest.raises(UnknownDeviceError, match="node2 has no device 1; it has 1"):
        with_state(data, "node2", 1, {})
    with pytest.raises(ProfileError, match=r"node2: devices\.0\.state\.utilizationPercent"):
        with_state(data, "node2", 0, {"utilizationPercent": 101})


async def test_a_follower_sees_the_newest_value_and_none_twice() -> None:
    latest = Latest(1)
    stream = latest.follow()
    assert await anext(stream) == 1
    latest.put(2)
    latest.put(3)
    latest.put(3)
    assert await anext(stream) == 3
    repeated = latest.follow(every=0)
    assert [await anext(repeated), await anext(repeated)] == [3, 3]
    await stream.aclose()
    await repeated.aclose()
