"""`vmodel status` and `vmodel doctor` against a real API server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from apiserver.world import World, kinds, namespace, world

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
