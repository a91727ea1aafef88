"""`vmodel status` and `vmodel doctor` against a real API server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from apiserver.world import World, kinds, namespace, world
from verticalmodel.api import names
from verticalmodel.kube import resources
from verticalmodel.kube.errors import NotFound
from verticalmodel.kube.resources import Key
from verticalmodel.standard import manifest

__all__ = ["kinds", "namespace", "world"]  # fixtures

pytestmark = pytest.mark.apiserver


async def status(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a user gets of `vmodel status`."""
    return await vmodel(kubeconfig, "status", *arguments)


async def vmodel(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a user gets."""
    command = [sys.executable, "-m", "verticalmodel.cli", *arguments]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=30, env=environment
    )


async def test_the_status_of_a_model_is_told_for_people_and_for_scripts(kinds: Path, world: World) -> None:
    key = await world.create()
    await world.settle(key)
    told = await status(kinds, "m", "-n", world.namespace)
    assert (told.returncode, told.stderr) == (3, ""), "its pods find no node"
    assert f"{world.namespace}/m  https://m.{world.namespace}.svc" in told.stdout
    assert "  Accepted     True     Planned" in told.stdout
    assert "UNKNOWN (34 of 34 clauses)" in told.stdout
    parsed = json.loads((await status(kinds, "m", "-n", world.namespace, "-o", "json")).stdout)
    assert (parsed["healthy"], parsed["met"], parsed["total"]) == (False, 0, 34)
    assert {clause["id"] for clause in parsed["clauses"]} == set(range(1, 35))
    assert all(clause["title"] for clause in parsed["clauses"])


async def test_a_model_that_is_not_there_is_named_and_so_is_a_server_that_does_not_answer(
    kinds: Path, world: World, tmp_path: Path
) -> None:
    told = await status(kinds, "absent", "-n", world.namespace)
    assert (told.returncode, told.stdout) == (1, "")
    assert f"there is no VerticalModel 'absent' in namespace '{world.namespace}'" in told.stderr
    gone = tmp_path / "gone"
    server = json.dumps({"server": "https://127.0.0.1:9", "insecure-skip-tls-verify": True})
    gone.write_text(
        f"{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: {server}}}], "
        "contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {token: t}}]}"
    )
    told = await status(gone, "m")
    assert (told.returncode, told.stdout, "Traceback" in told.stderr) == (1, "", False)
    assert "the API server does not answer" in told.stderr


async def test_a_rulebook_of_the_cluster_is_explained_as_one_that_comes_with_this_version(
    kinds: Path, world: World
) -> None:
    edition = manifest(names.DEFAULT_STANDARD)
    [tls] = [one for one in edition["spec"]["clauses"] if one["id"] == 13]
    house = {"title": "House rules", "clauses": [{**tls, "id": 1, "title": "As the house wants it"}]}
    body = {**edition, "metadata": {"name": world.namespace}, "spec": {**edition["spec"], **house}}
    await world.user.create(resources.OPERATING_STANDARDS, body)
    told = await vmodel(kinds, "explain", "--standard", world.namespace, "1")
    absent = await vmodel(kinds, "explain", "--standard", "no-such-rules")
    await world.user.delete(resources.OPERATING_STANDARDS, Key("", world.namespace))

    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines()[0] == "1 TransportEncrypted: As the house wants it"
    assert absent.returncode == 1
    assert "there is no OperatingStandard 'no-such-rules'; with this version comes vlm-2026" in absent.stderr


async def test_a_file_is_checked_before_it_is_applied_and_nothing_is_made(
    kinds: Path, world: World, tmp_path: Path
) -> None:
    """Schema and rules of the API server are asked as well: what only they know is told in their words."""
    key = await world.create()
    model = await world.user.get(resources.VERTICAL_MODELS, key)
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "VerticalModel",
        "metadata": {"name": "another", "namespace": world.namespace},
        "spec": {field: model["spec"][field] for field in ("runtime", "source")},
    }
    file = tmp_path / "model.yaml"

    async def check(**spec: Any) -> tuple[int, dict[str, tuple[str, str]]]:
        file.write_text(json.dumps({**body, "spec": {**body["spec"], **spec}}))
        told = await vmodel(kinds, "check", "-f", str(file), "-o", "json")
        assert told.stderr == ""
        [one] = json.loads(told.stdout)
        return told.returncode, {remark["about"]: (remark["verdict"], remark["says"]) for remark in one["remarks"]}

    status, plain = await check()
    assert (status, plain["API server"]) == (3, ("fine", "takes it (dry run)"))
    assert plain["plan"] == ("fine", "the operator would make its children")
    assert plain["clause 14 ParametersEncrypted"][0] == "against"
    status, misspelt = await check(repliacs=2)
    assert (status, misspelt["API server"][0], "spec.repliacs" in misspelt["API server"][1]) == (3, "against", True)
    status, wanting = await check(resources={"gpu": {"memory": "24G"}})
    assert (status, wanting["GPUs by node"]) == (3, ("against", "there is no node"))
    body["metadata"]["name"] = key.name
    for spec, verdict in (({}, "fine"), ({"repliacs": 2}, "against")):
        assert (await check(**spec))[1]["API server"][0] == verdict, "a change to a model that exists"
    with pytest.raises(NotFound):
        await world.user.get(resources.VERTICAL_MODELS, Key(world.namespace, "another"))


async def test_an_installation_of_which_parts_are_missing_is_examined_part_by_part(kinds: Path, world: World) -> None:
    """Here are the kinds and their objects, and neither policies nor the operator's Deployments."""
    assert world.namespace
    told = await vmodel(kinds, "doctor", "--json")
    assert (told.returncode, told.stderr) == (3, "")
    verdicts = {one["subject"]: one["verdict"] for one in json.loads(told.stdout)}
    assert {name for name, verdict in verdicts.items() if verdict == "ok"} >= {"kinds", "standards", "runtimes"}
    broken = {"policies", "verticalmodel-operator", "verticalmodel-prober", "leader"}
    assert {name for name, verdict in verdicts.items() if verdict == "broken"} >= broken
    shown = await vmodel(kinds, "doctor")
    assert [line.split()[0] for line in shown.stdout.splitlines()][:2] == ["ok", "BROKEN"]
