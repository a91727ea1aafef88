"""Claims about the pre-flight: when a new template waits, what lets it through, and what Progressing says meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import kubernetes.client
import pytest

from unit.builders import NOW, container, pod
from unit.test_plan import facts, model, planned
from unit.test_render import GPU
from verticalmodel.api import names
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.facts import Observed, ObservedPod, Pin
from verticalmodel.plan import Plan, selector
from verticalmodel.preflight import Held, Trials, hold
from verticalmodel.render.network_policy import preflight_policy
from verticalmodel.render.pin import pin
from verticalmodel.render.preflight import preflight
from verticalmodel.seal.reasons import Reason
from verticalmodel.seal.report import Report
from verticalmodel.serving_certificate import Issued

STORED = Pin("old", "another-key", 1, {"metadata": {}, "spec": {}})
FOUND = Report(reason=Reason.FOUND)
NEVER_RAN = container(container_id="", running=False, waiting_reason="PodInitializing")
CRASHES = container(container_id="", running=False, exit_code=1, restarts=99, waiting_reason="CrashLoopBackOff")
NO_COMMAND = container(container_id="", running=False, waiting_reason="CreateContainerError")
PULLED = tuple(container(name, image_id="sha256:1", running=False, exit_code=128) for name in ("server", "guard"))


def plan(**rollout: Any) -> Plan:
    return planned(model(rollout={"surge": False, **rollout}))


def digest(plan: Plan) -> str:
    found: str = preflight(plan)["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_DIGEST]
    return found


def trial(plan: Plan, **changes: Any) -> ObservedPod:
    """A pod of the plan's pre-flight that has seen everything."""
    good = {"ready": False, "template_digest": digest(plan), "delivery": FOUND, "containers": PULLED}
    return pod("trial", **{**good, **changes})


def held(
    plan: Plan,
    *pods: ObservedPod,
    stored: Pin | None = STORED,
    serving: tuple[ObservedPod, ...] = (pod(),),
    subject: VerticalModel | None = None,
    **trials: Any,
) -> Held | None:
    seen = Observed(model=subject or model(), standard=None, pods=serving, service=None, evidence=(), now=NOW)
    return hold(plan, pin(plan, stored).pin, stored, seen, Trials(pods, **trials))


def test_a_new_template_waits_before_a_pod_that_serves_is_stopped_for_it() -> None:
    waits = held(plan())
    assert waits is not None
    assert (waits.progressing.status, waits.progressing.reason) == ("True", "Preflight")
    assert waits.children == (preflight_policy(plan()), preflight(plan()))


@pytest.mark.parametrize(
    "let_through",
    [
        lambda: held(plan(surge=True)),
        lambda: held(plan(preflight="Skip")),
        lambda: held(planned(model(rollout={"surge": False}, suspend=True))),
        lambda: held(plan(), stored=None),
        lambda: held(plan(), stored=pin(plan(), None).pin),
        lambda: held(plan(), serving=()),
        lambda: held(plan(), serving=(pod(ready=False, containers=(NEVER_RAN,)),)),
        lambda: held(plan(), serving=(pod(ready=False, containers=(CRASHES,)),)),
        lambda: held(replace(planned(model(**GPU), facts()), surge=True), subject=model(rollout={"surge": True})),
        lambda: held(plan(), serving=(pod(owned=False),)),
        lambda: held(plan(), trial(plan())),
        lambda: held(plan(), trial(plan(), containers=(NO_COMMAND, PULLED[1]))),
        lambda: held(plan(), trial(plan()), issued=Issued(ready=False, not_after=NOW + timedelta(days=1))),
    ],
    ids=[
        "surge stops nothing before its time",
        "not wanted",
        "nothing is to be started",
        "a first start",
        "let through before",
        "no pod",
        "no pod that ever served",
        "the way out of a crash loop",
        "GPUs, and the user will have both at once",
        "a stranger's pod",
        "tried and good",
        "tried and good, where a command is looked for first",
        "tried and good, and a certificate is there",
    ],
)
def test_nothing_is_held_back_without_need(let_through: Any) -> None:
    assert let_through() is None


@pytest.mark.parametrize(
    "serving",
    [
        (pod(ready=False, containers=(container(started=True),)),),
        (pod(deleting=True),),
        (pod(ready=False, containers=(NEVER_RAN,)),),
        (pod(phase="Failed", ready=False),),
        (),
    ],
    ids=["its probe missed", "it is drained", "another takes its place", "it was evicted", "none is there"],
)
def test_what_becomes_of_the_pod_that_serves_lets_no_template_through_that_would_fail(
    serving: tuple[ObservedPod, ...],
) -> None:
    name = preflight(plan())["metadata"]["name"]
    waits = held(plan(), trial(plan(), delivery=REFUSED, containers=()), serving=serving, begun=frozenset({name}))
    assert waits is not None
    assert waits.progressing.reason == "PreflightFailed"


@pytest.mark.parametrize("serving", [pod(ready=False, containers=(container(started=True),)), pod(deleting=True)])
def test_a_pod_that_served_a_moment_ago_has_a_new_template_tried(serving: ObservedPod) -> None:
    assert held(plan(), serving=(serving,)) is not None


def test_a_node_with_gpus_that_is_away_for_a_moment_lets_nothing_through_untried() -> None:
    """Without one that fits, a rollout would surge; once it is back, it stops what serves."""
    assert held(replace(planned(model(**GPU), facts()), surge=True)) is not None


def test_while_nobody_can_be_asked_the_template_waits() -> None:
    waits = held(plan(), trial(plan()), unread="no answer from the API server")
    assert waits is not None
    assert (waits.progressing.status, waits.progressing.reason) == ("True", "Preflight")
    assert "no answer from the API server" in waits.progressing.message


def test_a_template_waits_for_the_certificate_that_its_pods_mount() -> None:
    assert held(plan(), trial(plan()), issued=Issued(ready=False, not_after=NOW)) is not None, "it has expired"
    waits = held(plan(), trial(plan()), issued=Issued(ready=False, message='Issuing: issuer "no" not found'))
    assert waits is not None
    assert (waits.progressing.status, waits.progressing.reason) == ("True", "Preflight")
    assert 'issuer "no" not found' in waits.progressing.message


def test_a_quota_that_refuses_the_pod_of_the_trial_is_told() -> None:
    name = preflight(plan())["metadata"]["name"]
    waits = held(plan(), refused={name: "exceeded quota: pods", "another": "of an older trial"})
    assert waits is not None
    assert (waits.progressing.status, waits.progressing.reason) == ("True", "Preflight")
    assert "it cannot be tried" in waits.progressing.message
    assert "exceeded quota: pods" in waits.progressing.message


REFUSED = Report(reason=Reason.SOURCE_NOT_FOUND, message="models/absent.onnx: No such file or directory")


@pytest.mark.parametrize(
    ("changes", "status", "reason", "mentions"),
    [
        ({"delivery": REFUSED, "containers": ()}, "False", "PreflightFailed", "SourceNotFound: models/absent.onnx: No"),
        (
            {"containers": (PULLED[1], container(running=False, waiting_reason="ErrImagePull", image="x:1"))},
            "False",
            "PreflightFailed",
            "ImageNotPulled: image 'x:1' of container server",
        ),
        (
            {"containers": (PULLED[0], container("guard", running=False, waiting_reason="ContainerCreating"))},
            "True",
            "Preflight",
            "container guard waits (ContainerCreating)",
        ),
        ({"delivery": None, "containers": PULLED}, "True", "Preflight", "node-1"),
        (
            {"node": "", "delivery": None, "containers": (), "unscheduled": "0/1 nodes"},
            "True",
            "Preflight",
            "no node: 0/1",
        ),
        ({"deleting": True}, "True", "Preflight", "not there yet"),
        ({"owned": False}, "True", "Preflight", "not there yet"),
        ({"template_digest": "sha256:" + "0" * 64}, "True", "Preflight", "not there yet"),
    ],
)
def test_until_all_is_seen_the_template_waits_and_progressing_says_for_what(
    changes: dict[str, Any], status: str, reason: str, mentions: str
) -> None:
    waits = held(plan(), trial(plan(), **changes))
    assert waits is not None
    assert (waits.progressing.status, waits.progressing.reason) == (status, reason)
    assert mentions in waits.progressing.message


def test_without_a_wish_a_template_with_gpus_waits_as_its_rollout_has_no_surge() -> None:
    assert held(replace(planned(model(**GPU), facts()), surge=False)) is not None


def test_its_pod_checks_as_unseal_would_and_holds_no_gpu_no_certificate_and_no_label_of_a_serving_pod() -> None:
    source = {
        "uri": "s3://models/a",
        "key": {"name": "k"},
        "secretRef": {"name": "c"},
        "egress": [{"cidr": "192.0.2.0/24"}],
    }
    tried = planned(model(source=source, rollout={"surge": False}))
    deployment = preflight(tried)
    kubernetes.client.V1Deployment.model_validate(deployment)
    template = deployment["spec"]["template"]
    assert not selector(tried.owner).items() & template["metadata"]["labels"].items()
    assert names.LABEL_MODEL not in template["metadata"]["labels"]
    pod_spec = template["spec"]
    assert pod_spec["initContainers"][0]["args"][-1] == "--check"
    assert {one["image"] for one in pod_spec["containers"]} == {tried.runtime.image, tried.platform.guard_image}
    assert "resourceClaims" not in pod_spec
    assert {one["name"] for one in pod_spec["volumes"]} == {"parameters", "key", "credentials", "tmp"}
    policy = preflight_policy(tried)["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert (policy["policyTypes"], policy.get("ingress")) == (["Ingress", "Egress"], None)
    assert {"ipBlock": {"cidr": "192.0.2.0/24"}} in policy["egress"][1]["to"]


def test_another_source_or_image_is_another_pre_flight() -> None:
    def name(**spec: Any) -> str:
        found: str = preflight(planned(model(**spec)))["metadata"]["name"]
        return found

    other = {"uri": "pvc://claim/other.onnx"}
    assert name() == name(replicas=3)
    assert len({name(), name(source=other)}) == 2
