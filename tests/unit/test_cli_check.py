"""`vmodel check`: what speaks against a model before it is applied, and that nothing is promised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from unit.builders import model, standard
from verticalmodel.api.gpu import Gpu
from verticalmodel.api.labels import LabelSelector
from verticalmodel.api.model_spec import Access, Resources
from verticalmodel.api.modelruntime import ModelRuntime
from verticalmodel.api.source import KeyRef
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.cli.__main__ import cli
from verticalmodel.cli.check_report import Checked, Remark, as_json, as_text, checked
from verticalmodel.facts import Facts, Node, NodeGpu, Platform

ROOT = Path(__file__).resolve().parents[2]
TAKEN = Remark("API server", "fine", "takes it (dry run)")
L4 = NodeGpu("NVIDIA L4", 24_152_899_584, (8, 9))
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "https://127.0.0.1:9"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: t}}]
"""


def facts(**changes: Any) -> Facts:
    runtime = yaml.safe_load((ROOT / "manifests/runtimes/oip-onnx.yaml").read_text())
    known: dict[str, Any] = {
        "platform": Platform("guard:1", "unseal:1", "0"),
        "runtime": ModelRuntime.model_validate(runtime),
        "standard": standard(),
    }
    return Facts(**{**known, **changes})


def remarks(found: Checked) -> dict[str, tuple[str, str]]:
    return {one.about: (one.verdict, one.says) for one in found.remarks}


def test_a_plain_model_breaks_the_clauses_of_parameters_and_of_tenants_and_nothing_is_promised() -> None:
    found = checked(model(), facts(), {}, TAKEN)
    assert remarks(found) == {
        "API server": ("fine", "takes it (dry run)"),
        "plan": ("fine", "the operator would make its children"),
        "clause 14 ParametersEncrypted": (
            "against",
            "spec.source.key: not set, so the parameters come plain; seal them with `vmodel seal`",
        ),
        "clause 31 TenantsIsolated": (
            "always",
            "this version has no authentication: whoever may connect gets an answer",
        ),
    }
    assert (found.refused, found.open) == (True, False)
    assert as_text(found).splitlines()[1].startswith("  NO  clause 14 ParametersEncrypted")
    assert as_text(found).splitlines()[-1] == "  Whether clauses hold is measured once it runs: kubectl vmodel status"
    assert as_json(found)["refused"] is True


def with_gpu(memory: str) -> VerticalModel:
    return model(resources=Resources(gpu=Gpu(memory=memory)))


@pytest.mark.parametrize(
    ("memory", "verdict", "says"),
    [
        ("24G", "fine", "node1: has what is needed"),
        ("80G", "against", "node1: largest GPU NVIDIA L4 has 24.15 GB of 79.20 GB; node2: no GPU"),
    ],
)
def test_gpus_are_looked_for_node_by_node(memory: str, verdict: str, says: str) -> None:
    nodes = (Node("node1", ready=True, cordoned=False, devices=(L4,)), Node("node2", ready=True, cordoned=False))
    known = facts(nodes=nodes, device_classes=frozenset({"gpu.nvidia.com"}))
    found = remarks(checked(with_gpu(memory), known, {}, TAKEN))["GPUs by node"]
    assert found[0] == verdict
    assert found[1].startswith(says)


def test_what_the_operator_would_refuse_is_told_in_its_words() -> None:
    assert remarks(checked(with_gpu("16G"), facts(), {}, TAKEN))["plan"] == (
        "against",
        (
            "LooserThanStandard: spec.resources.gpu.memory: 16G is below the 24G of 'vlm-2026'; "
            "a model may be stricter, never looser"
        ),
    )
    verdict, says = remarks(checked(model(), facts(runtime=None), {}, TAKEN))["plan"]
    assert (verdict, says.partition(":")[0]) == ("against", "RuntimeNotFound")


def test_who_lets_every_namespace_in_isolates_nothing() -> None:
    found = checked(model(access=Access(namespace_selector=LabelSelector())), facts(), {}, TAKEN)
    assert remarks(found)["clause 34 ScenariosIsolated"][0] == "against"


def sealed() -> VerticalModel:
    known = model()
    source = known.spec.source.model_copy(update={"key": KeyRef(name="k")})
    return known.model_copy(update={"spec": known.spec.model_copy(update={"source": source})})


def test_what_every_model_breaks_in_this_version_does_not_count_against_the_file() -> None:
    """Or a pipeline could never let a model through."""
    found = checked(sealed(), facts(), {}, TAKEN)
    assert [one.about for one in found.remarks if one.verdict != "fine"] == ["clause 31 TenantsIsolated"]
    assert (found.refused, found.open) == (False, False)
    assert "  ! no spec can change in this version; it does not count against the file" in as_text(found)


@pytest.mark.parametrize("plural", ["modelruntimes", "operatingstandards", "deviceclasses"])
def test_without_what_a_plan_rests_on_nothing_is_planned_and_the_rest_is_told(plural: str) -> None:
    asked = with_gpu("24G") if plural == "deviceclasses" else model()
    without = {"modelruntimes": "runtime", "operatingstandards": "standard"}
    known = facts(**{without[plural]: None} if plural in without else {})
    found = checked(asked, known, {plural: "may not be read by you"}, TAKEN)
    assert remarks(found)["plan"] == ("unknown", f"{plural}: may not be read by you")
    assert (plural != "operatingstandards") == ("clause 14 ParametersEncrypted" in remarks(found))
    assert (plural == "operatingstandards") == ("clauses" in remarks(found))
    assert found.open


def test_a_model_without_gpus_is_planned_without_a_look_at_devices_and_nodes() -> None:
    unread = dict.fromkeys(("nodes", "resourceslices", "deviceclasses"), "may not be read by you")
    found = checked(model(), facts(), unread, TAKEN)
    assert remarks(found)["plan"][0] == "fine"
    assert not found.open


@pytest.mark.parametrize("plural", ["nodes", "resourceslices"])
def test_where_nodes_may_not_be_seen_it_is_not_known_which_has_the_gpus(plural: str) -> None:
    known = facts(device_classes=frozenset({"gpu.nvidia.com"}))
    found = remarks(checked(with_gpu("24G"), known, {plural: "may not be read by you"}, TAKEN))
    assert found["plan"][0] == "fine"
    assert found["GPUs by node"] == ("unknown", f"{plural}: may not be read by you")


GOOD = (ROOT / "manifests/samples/breast-screening.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no document"),
        ("a: [", "not YAML"),
        ("kind: Pod\napiVersion: v1\n", "document 1 is no VerticalModel of verticalmodel.io/v1alpha1"),
        (f"{GOOD}\n---\n[]\n", "document 2 is no VerticalModel"),
        (GOOD.replace("spec:", "spec:\n  replicas: many"), "document 1: spec.replicas"),
        (GOOD.replace("metadata:", "metadata: []\nother:"), "document 1: metadata"),
    ],
    ids=["nothing", "no YAML", "another kind", "a list", "a wrong value", "metadata that is none"],
)
def test_a_file_that_is_no_model_is_refused_by_document_and_field(text: str, says: str, tmp_path: Path) -> None:
    kubeconfig, file = tmp_path / "kubeconfig", tmp_path / "model.yaml"
    kubeconfig.write_text(KUBECONFIG)
    file.write_text(text)
    told = CliRunner().invoke(cli, ["check", "-f", str(file), "--kubeconfig", str(kubeconfig)])
    assert told.exit_code == 2, told.output
    assert says in " ".join(told.stderr.split())
