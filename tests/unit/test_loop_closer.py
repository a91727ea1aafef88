"""The loop closer: what we render is what the judge accepts, and nothing less is.

For each clause with a measure: (a) the sample's render, dressed as a cluster would run it and as honest measurers would
see it, is True, but for 31, which nothing rendered keeps yet; (b) each recorded mutation of the render or of the world
is False or Unknown by that very clause; (c) without evidence it is Unknown. The judge imports neither plan nor render,
so only this test ties the two together.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from unit.builders import (
    DIGEST,
    SERVICE_UID,
    UID,
    Draft,
    World,
    about,
    canary_draft,
    container,
    framework_draft,
    gpu,
    gpu_drafts,
    loading_draft,
    pod,
    sandbox_draft,
    service,
    stranger_drafts,
    system_draft,
    tenants_draft,
    transport_draft,
)
from unit.clause_fixtures import FIXTURES, Change
from verticalmodel.api import names
from verticalmodel.api.modelruntime import ModelRuntime
from verticalmodel.api.operatingstandard import OperatingStandard
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import Facts, ObservedContainer, ObservedPod, Platform
from verticalmodel.judge.judge import judge
from verticalmodel.judge.ready import ready
from verticalmodel.judge.verdict import Verdict
from verticalmodel.plan import Plan, plan
from verticalmodel.render.children import children
from verticalmodel.render.pin import pin

MANIFESTS = Path(__file__).parents[2] / "manifests"
Children = dict[str, dict[str, Any]]
"""The rendered children by kind."""

_HOST_FLAGS = ("hostPID", "hostIPC", "hostNetwork", "shareProcessNamespace")
_TOKENS = "envoy.filters.http.jwt_authn"
_WRONG_WAYS = ("noToken", "wrongToken", "expiredToken", "otherTenant")
_MEMORY, _CAPABILITY = re.compile(r"quantity\('(\d+)'\)"), re.compile(r"semver\('(\d+\.\d+)\.0'\)")
_VERSIONS = {"TLSv1_0": 1.0, "TLSv1_1": 1.1, "TLSv1_2": 1.2, "TLSv1_3": 1.3}


def read(path: str) -> dict[str, Any]:
    """A manifest of the repository."""
    document: dict[str, Any] = yaml.safe_load((MANIFESTS / path).read_text(encoding="utf-8"))
    return document


@cache
def sample() -> VerticalModel:
    """The sample, as the API server would show it, scaled to two pods and with a GPU for each."""
    manifest = read("samples/breast-screening.yaml")
    manifest["metadata"] |= {"namespace": "radiology", "uid": UID}
    manifest["spec"]["replicas"] = 2
    manifest["spec"].setdefault("resources", {})["gpu"] = {}
    return VerticalModel.model_validate(manifest)


@cache
def edition() -> OperatingStandard:
    """The standard that the sample is judged by."""
    return OperatingStandard.model_validate(read("standards/vlm-2026.yaml"))


@cache
def rendered() -> Children:
    """The sample's children, shared by all tests: copy before changing. Nothing else of a plan reaches the judge."""
    runtime = ModelRuntime.model_validate(read("runtimes/oip-onnx.yaml"))
    platform = Platform(
        guard_image="guard:1", unseal_image="unseal:1", version="0.1.0", prober_authority="of the prober"
    )
    planned = plan(sample(), Facts(platform, runtime, edition(), device_classes=frozenset({names.GPU_DEVICE_CLASS})))
    assert isinstance(planned, Plan), planned
    return {child["kind"]: child for child in children(planned, pin(planned, None))}


def dressed(made: Children, *, pod_pids_limit: str = "1024") -> World:
    """The children as a cluster runs them: live pods, kernels that enforce what they are told, honest measurers."""
    pods = [_live(made["Deployment"], name) for name in ("breast-screening-a", "breast-screening-b")]
    drafts = [look for one in pods for box in one.containers if (look := _kernel(one, box, pod_pids_limit))]
    tls = _socket(made["ConfigMap"])
    drafts += [
        _handshakes(f"pod/{one.name}:8443", {"podUid": one.uid}, tls, **about(one, names.CONTAINER_GUARD))
        for one in pods
    ]
    drafts += [draft(one) for one in pods for draft in (canary_draft, system_draft, framework_draft)]
    drafts += [look(one, made["ConfigMap"]) for one in pods for look in (_ways_in, _loads)]
    drafts += [look for one in pods for look in (*_strangers(one, made), *_gpus(one, made))]
    endpoint = made.get("Service")
    if endpoint is not None:
        drafts.append(_handshakes(f"service/{endpoint['metadata']['name']}:443", {"serviceUid": SERVICE_UID}, tls))
    return World(
        model=sample(),
        standard=edition(),
        pods=tuple(pods),
        service=service(name=endpoint["metadata"]["name"]) if endpoint is not None else None,
        drafts=tuple(drafts),
    )


def _live(deployment: Mapping[str, Any], name: str) -> ObservedPod:
    template = deployment["spec"]["template"]
    spec = template["spec"]
    beside = [one for one in spec.get("initContainers", ()) if one.get("restartPolicy") == "Always"]
    return pod(
        name,
        template_digest=template["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_DIGEST],
        shares_host=tuple(flag for flag in _HOST_FLAGS if spec.get(flag)),
        claims=tuple(f"{name}-{one['name']}-x" for one in spec.get("resourceClaims", ())),
        containers=tuple(
            container(one["name"], pod=name, limits=one.get("resources", {}).get("limits", {}))
            for one in (*beside, *spec["containers"])
        ),
    )


def _kernel(owner: ObservedPod, box: ObservedContainer, pod_pids_limit: str) -> Draft:
    """What a cgroup shows: the limits that the container asked for and none that it did not."""
    missing = sum(limit not in box.limits for limit in ("cpu", "memory")) + (pod_pids_limit == "0")
    return sandbox_draft(owner, box, value=missing + bool(owner.shares_host), pidsMax=pod_pids_limit)


def _chain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The filter chain of the guard's listener."""
    found: dict[str, Any] = json.loads(config["data"]["bootstrap.json"])["static_resources"]["listeners"][0]
    chain: dict[str, Any] = found["filter_chains"][0]
    return chain


def _socket(config: Mapping[str, Any]) -> tuple[float, float] | None:
    """The lowest and highest TLS version of the guard's listener; None where it speaks plain text."""
    chain = _chain(config)
    if "transport_socket" not in chain:
        return None
    parameters = chain["transport_socket"]["typed_config"]["common_tls_context"]["tls_params"]
    lowest, highest = (parameters[f"tls_{end}_protocol_version"] for end in ("minimum", "maximum"))
    return _VERSIONS[lowest], _VERSIONS[highest]


def _handshakes(instance: str, binding: Mapping[str, str], tls: tuple[float, float] | None, **seen: str) -> Draft:
    """What an honest prober notes of a listener with these versions."""
    if tls is None:
        seen |= {"plain": "accepted HTTP 200", "tls13": "inconclusive reset"}
        return transport_draft(instance, binding, value=0, **seen)
    lowest, highest = tls
    old = {f"tls{version}".replace(".", ""): version for version in (1.2, 1.1, 1.0) if lowest <= version <= highest}
    seen |= {name: f"accepted TLS {version} ECDHE-ECDSA-AES256-GCM-SHA384" for name, version in old.items()}
    if highest < 1.3:
        seen |= dict.fromkeys(("tls13", "control_before", "control_after"), "inconclusive alert protocol_version")
    return transport_draft(instance, binding, value=min(old.values(), default=1.3), **seen)


def _gpus(owner: ObservedPod, made: Children) -> tuple[Draft, ...]:
    """What an honest prober reads where the scheduler gives the least device that the claim's selectors allow."""
    template = made.get("ResourceClaimTemplate")
    if not owner.claims or template is None:
        return ()
    request = template["spec"]["spec"]["devices"]["requests"][0]["exactly"]
    asked = " ".join(one["cel"]["expression"] for one in request["selectors"])
    memory, capability = _MEMORY.search(asked), _CAPABILITY.search(asked)
    least = gpu(memory=int(memory[1]) if memory else 4 * 10**9, capability=capability[1] if capability else "3.5")
    return gpu_drafts(owner, *[least.replace("gpu-0", f"gpu-{place}") for place in range(request["count"])])


def _strangers(owner: ObservedPod, made: Children) -> tuple[Draft, ...]:
    """What honest strangers come back with where the cluster enforces the rendered NetworkPolicy, or none is there."""
    policy = made.get("NetworkPolicy", {"spec": {"podSelector": {"matchLabels": {"no": "pod"}}}})["spec"]
    labels = made["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selected = policy["podSelector"]["matchLabels"].items() <= labels.items()
    rules = policy.get("ingress", []) if selected else [{}]
    is_open = {port: any(_lets_in(rule, port) for rule in rules) for port in (names.GUARD_PORT, names.DRAIN_PORT)}
    through = {f"net_{port}": "connected" for port, found in is_open.items() if found}
    through |= {"net_service": "connected"} if is_open[names.GUARD_PORT] and "Service" in made else {}
    return stranger_drafts(owner, value=len(through), **through)


def _lets_in(rule: Mapping[str, Any], port: int) -> bool:
    """Whether a rule of a NetworkPolicy lets pods of the stranger's namespace connect to a port."""
    if rule.get("ports") and port not in [one["port"] for one in rule["ports"]]:
        return False
    return not rule.get("from") or {"namespaceSelector": {}} in rule["from"]


def _ways_in(owner: ObservedPod, config: Mapping[str, Any]) -> Draft:
    """What an honest prober notes of a guard that asks for a token, or of one that asks for none."""
    if _TOKENS in json.dumps(_chain(config)):
        return tenants_draft(owner)
    return tenants_draft(owner, value=4, **dict.fromkeys(_WRONG_WAYS, "answered"))


def _loads(owner: ObservedPod, config: Mapping[str, Any]) -> Draft:
    """What an honest prober notes of a guard that leads him to the server for these steps, and refuses the others."""
    open_to_him = {step for step in ("load", "infer", "unload") if any(_leads_to(step, one) for one in _routes(config))}
    if not _knows_the_prober(config) or "load" not in open_to_him:
        return loading_draft(
            owner, value=3, load="refused 403", infer="nothing was loaded", unload="nothing was loaded"
        )
    refused = {step: "refused 403" for step in ("infer", "unload") if step not in open_to_him}
    return loading_draft(owner, value=len(refused), **refused)


def _knows_the_prober(config: Mapping[str, Any]) -> bool:
    if "transport_socket" not in _chain(config):  # left to clause 13
        return True
    tls = _chain(config)["transport_socket"]["typed_config"]["common_tls_context"]
    names_known = tls.get("validation_context", {}).get("match_typed_subject_alt_names", [])
    return any(one["matcher"].get("exact") == names.PROBER_IDENTITY for one in names_known)


def _leads_to(step: str, route: Mapping[str, Any]) -> bool:
    path = route["match"].get("safe_regex", {}).get("regex", "")
    return "canary-" in path and path.endswith(f"/{step}") and "route" in route


def _routes(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The routes of the guard's listener."""
    found: list[dict[str, Any]] = _chain(config)["filters"][-1]["typed_config"]["route_config"]["virtual_hosts"][0][
        "routes"
    ]
    return found


def verdicts(world: World) -> dict[int, Verdict]:
    """Verdicts of the clauses that have a measure."""
    return {one.clause: one for one in judge(world.observed()) if one.clause in FIXTURES}


# Mutations of the render, each with the clause that must notice and what it must say.

Mutation = Callable[[Children], object]


def _asks_for_tokens(made: Children) -> Children:
    """The render as it will be once there are tenants: without it nothing of clause 31 could be told apart."""
    made = copy.deepcopy(made)
    _guard(lambda chain: _http(chain).insert(0, {"name": _TOKENS}))(made)
    return made


def _http(chain: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The filters of requests in a listener's chain."""
    filters: list[dict[str, Any]] = chain["filters"][-1]["typed_config"]["http_filters"]
    return filters


def _pod_spec(made: Children) -> dict[str, Any]:
    spec: dict[str, Any] = made["Deployment"]["spec"]["template"]["spec"]
    return spec


def _sets(flag: str) -> Mutation:
    return lambda made: _pod_spec(made).update({flag: True})


def _drops(group: str, *limits: str) -> Mutation:
    def mutate(made: Children) -> None:
        for limit in limits:
            # The last of its group: the guard runs beside the server, an init container is gone by then.
            del _pod_spec(made)[group][-1]["resources"]["limits"][limit]

    return mutate


def _adds_a_container(made: Children) -> None:
    _pod_spec(made)["containers"].append({"name": "miner", "image": "miner:1"})


def _guard(change: Callable[[dict[str, Any]], None]) -> Mutation:
    """The guard's listener changed."""

    def mutate(made: Children) -> None:
        data = made["ConfigMap"]["data"]
        bootstrap = json.loads(data["bootstrap.json"])
        change(bootstrap["static_resources"]["listeners"][0]["filter_chains"][0])
        data["bootstrap.json"] = json.dumps(bootstrap)

    return mutate


def _leaves_out(step: str) -> Mutation:
    """The prober's way to a step is not rendered."""

    def mutate(chain: dict[str, Any]) -> None:
        host = chain["filters"][-1]["typed_config"]["route_config"]["virtual_hosts"][0]
        host["routes"] = [one for one in host["routes"] if not _leads_to(step, one)]

    return _guard(mutate)


def _speaks(lowest: str, highest: str) -> Mutation:
    versions = {"tls_minimum_protocol_version": lowest, "tls_maximum_protocol_version": highest}
    return _guard(
        lambda chain: chain["transport_socket"]["typed_config"]["common_tls_context"]["tls_params"].update(versions)
    )


def _selector(old: str, new: str) -> Mutation:
    """The claim's selectors changed."""

    def mutate(made: Children) -> None:
        request = made["ResourceClaimTemplate"]["spec"]["spec"]["devices"]["requests"][0]["exactly"]
        for one in request["selectors"]:
            one["cel"]["expression"] = re.sub(old, new, one["cel"]["expression"])

    return mutate


MUTATIONS: dict[str, tuple[int, str, Mutation]] = {
    "the claim asks for any memory": (1, "False", _selector(r"quantity\('\d+'\)", "anything")),
    "the claim asks for 16 GB": (1, "False", _selector(r"quantity\('\d+'\)", "quantity('16000000000')")),
    "the pods ask for no GPU": (1, "Unknown", lambda made: _pod_spec(made).pop("resourceClaims")),
    "the claim's template is not rendered": (1, "Unknown", lambda made: made.pop("ResourceClaimTemplate")),
    "the guard still speaks TLS 1.2": (13, "False", _speaks("TLSv1_2", "TLSv1_3")),
    "the guard still speaks TLS 1.0": (13, "False", _speaks("TLSv1_0", "TLSv1_3")),
    "the guard does not speak TLS 1.3": (13, "False", _speaks("TLSv1_2", "TLSv1_2")),
    "the guard speaks plain text": (13, "False", _guard(lambda chain: chain.pop("transport_socket"))),
    "the Service is not rendered": (13, "Unknown", lambda made: made.pop("Service")),
    "the server has no memory limit": (30, "False", _drops("containers", "memory")),
    "the server has no CPU limit": (30, "False", _drops("containers", "cpu")),
    "the guard has no limit": (30, "False", _drops("initContainers", "cpu", "memory")),
    "the pod shares the host's processes": (30, "False", _sets("hostPID")),
    "the pod shares the host's network": (30, "False", _sets("hostNetwork")),
    "the pod shares the host's IPC": (30, "False", _sets("hostIPC")),
    "the containers share their processes": (30, "False", _sets("shareProcessNamespace")),
    "a container without limits is added": (30, "False", _adds_a_container),
    "the NetworkPolicy is not rendered": (34, "False", lambda made: made.pop("NetworkPolicy")),
    "the NetworkPolicy selects no pod of the model": (
        34,
        "False",
        lambda made: made["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].update(app="another"),
    ),
    "the NetworkPolicy lets every namespace in": (
        34,
        "False",
        lambda made: made["NetworkPolicy"]["spec"]["ingress"][0]["from"].append({"namespaceSelector": {}}),
    ),
    "the NetworkPolicy lets anybody in": (
        34,
        "False",
        lambda made: made["NetworkPolicy"]["spec"]["ingress"].append({}),
    ),
    "the guard does not know the prober": (
        33,
        "False",
        _guard(lambda chain: chain["transport_socket"]["typed_config"]["common_tls_context"].pop("validation_context")),
    ),
    "the guard lets nobody load": (33, "False", _leaves_out("load")),
    "the guard lets nobody unload": (33, "False", _leaves_out("unload")),
    "the guard lets nobody ask the canary": (33, "False", _leaves_out("infer")),
    "the guard asks for no token": (31, "False", _guard(lambda chain: _http(chain).pop(0))),
}


def test_the_samples_render_dressed_as_observed_holds_every_measured_clause_but_the_one_of_tenants() -> None:
    found = verdicts(dressed(rendered()))
    expected = {**dict.fromkeys(FIXTURES, "True"), 31: "False"}
    assert {number: one.status for number, one in found.items()} == expected, found


def test_a_render_that_asks_for_tokens_would_hold_every_measured_clause() -> None:
    found = verdicts(dressed(_asks_for_tokens(rendered())))
    assert {number: one.status for number, one in found.items()} == dict.fromkeys(FIXTURES, "True"), found


def test_the_samples_render_dressed_as_observed_serves() -> None:
    world = dressed(rendered())
    assert ready(world.observed(), world.pods[0].template_digest).reason == "Serving"
    assert ready(world.observed(), DIGEST).reason == "NoPods"


@pytest.mark.parametrize(("number", "status", "mutate"), MUTATIONS.values(), ids=MUTATIONS)
def test_a_mutated_render_is_noticed_by_its_clause_and_by_no_other(number: int, status: str, mutate: Mutation) -> None:
    made = _asks_for_tokens(rendered())
    mutate(made)
    found = verdicts(dressed(made))
    expected = {**dict.fromkeys(FIXTURES, "True"), number: status}
    assert {clause: one.status for clause, one in found.items()} == expected, found


def test_a_node_that_limits_no_processes_is_noticed() -> None:
    found = verdicts(dressed(_asks_for_tokens(rendered()), pod_pids_limit="0"))
    assert {clause: one.status for clause, one in found.items()} == {**dict.fromkeys(FIXTURES, "True"), 30: "False"}


def mutations(kind: str) -> list[Any]:
    """The recorded mutations of the world, by clause and name."""
    return [
        pytest.param(number, change[1] if isinstance(change, tuple) else change, id=f"{number}: {name}")
        for number, fixtures in FIXTURES.items()
        for name, change in getattr(fixtures, kind).items()
    ]


@pytest.mark.parametrize(("number", "change"), mutations("failing"))
def test_what_breaks_a_built_world_breaks_the_dressed_render(number: int, change: Change) -> None:
    assert verdicts(change(dressed(_asks_for_tokens(rendered()))))[number].status == "False"


@pytest.mark.parametrize(("number", "change"), mutations("unknown"))
def test_what_leaves_a_built_world_unknown_leaves_the_dressed_render_unknown(number: int, change: Change) -> None:
    assert verdicts(change(dressed(_asks_for_tokens(rendered()))))[number].status == "Unknown"


def test_without_evidence_nothing_holds_whatever_was_rendered() -> None:
    found = judge(replace(dressed(rendered()), drafts=()).observed())
    assert {one.status for one in found} == {"Unknown"}


def test_every_measured_clause_has_at_least_three_mutations_that_break_it() -> None:
    for number, fixtures in FIXTURES.items():
        assert sum(clause == number for clause, _, _ in MUTATIONS.values()) + len(fixtures.failing) >= 3
