"""The cluster under test with the operator in it, as the tests talk to it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installation import ROOT, with_images

KUBECTL = ROOT / ".venv/bin/kubectl"
VMODEL = ROOT / ".venv/bin/vmodel"


@dataclass(frozen=True)
class Cluster:
    """The cluster under test."""

    name: str
    kubeconfig: Path
    references: dict[str, str]
    """Image references by name."""

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 180) -> str:
        """Output of kubectl; its error text is part of the exception."""
        finished = subprocess.run(
            [KUBECTL, "--kubeconfig", self.kubeconfig, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and finished.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {finished.stderr}{finished.stdout}")
        return finished.stdout if check else finished.stdout + finished.stderr

    def get(self, *arguments: str) -> Any:
        """`kubectl get ARGUMENTS -o json`, parsed."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, manifest: dict[str, Any] | str, *arguments: str) -> None:
        """Apply a manifest."""
        self.kubectl(
            "apply", "-f", "-", *arguments, stdin=manifest if isinstance(manifest, str) else json.dumps(manifest)
        )

    def sample(self, name: str) -> str:
        """A sample manifest with the images built here."""
        return with_images((ROOT / "manifests/samples" / name).read_text(), self.references)

    def change_model(self, namespace: str, name: str, spec: dict[str, Any]) -> None:
        """Merge fields into a model's spec."""
        patch = json.dumps({"spec": spec})
        self.kubectl("patch", "vmodel", name, "-n", namespace, "--type=merge", f"--patch={patch}")

    def restricted_namespace(self, name: str) -> None:
        """A namespace under Pod Security restricted."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})

    def deliver_sample(self, namespace: str) -> None:
        """Put the sample model's file into the namespace's claim `models`."""
        self.apply(self.sample("breast-screening-claim.yaml"), "-n", namespace)
        self.kubectl(
            "wait", "job/breast-screening-model", "-n", namespace, "--for=condition=Complete", "--timeout=120s"
        )

    def condition(self, namespace: str, model: str, kind: str) -> dict[str, Any]:
        """One condition of a model; empty where it has none yet."""
        found = self.get("vmodel", model, "-n", namespace).get("status", {}).get("conditions", [])
        return next((condition for condition in found if condition["type"] == kind), {})

    def await_condition(
        self, namespace: str, model: str, kind: str, status: str, timeout: float = 120
    ) -> dict[str, Any]:
        """Wait until a condition has a status."""
        self.kubectl(
            "wait", f"vmodel/{model}", "-n", namespace, f"--for=condition={kind}={status}", f"--timeout={timeout:.0f}s",
            timeout=timeout + 30,
        )  # fmt: skip
        return self.condition(namespace, model, kind)

    def await_reason(self, namespace: str, model: str, kind: str, reason: str, timeout: float = 150) -> dict[str, Any]:
        """Wait until a condition has a reason, whatever its status."""

        def look() -> dict[str, Any] | None:
            found = self.condition(namespace, model, kind)
            return found if found.get("reason") == reason else None

        said: dict[str, Any] = until(f"{model}: {kind} says {reason}", look, timeout=timeout)
        return said


def vmodel(*words: str | Path) -> str:
    """Output of the command line tool."""
    return subprocess.run([VMODEL, *words], check=True, capture_output=True, text=True).stdout


def until(what: str, look: Callable[[], Any], timeout: float = 60, every: float = 0.25) -> Any:
    """The first truthy answer of `look`; for states that no event announces. Fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout:.0f} s; the last answer was {answer!r}")
        time.sleep(every)  # the pause between two looks, not a guess at how long something takes
