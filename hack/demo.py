"""Brings up a three-node Kubernetes on this machine and lets a real model answer in it over TLS 1.3.

Usage: demo.py [--name NAME] [--down]    (make demo)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from installation import ROOT, built_images, install, kubectl, with_images

NAMESPACE = "radiology"
MODEL = "breast-screening"
JUDGED = (
    *("OperatingSystemSupported", "TransportEncrypted", "SandboxEnforced"),
    "TenantsIsolated=False",
)
"""Conditions as `kubectl wait` takes them; each is True where nothing else is said."""
# What the manifests and `hack/fake-gpu install` name; the e2e tier has more.
IMAGES = ("operator", "guard", "unseal", "serving", "sample-model", "fake-gpu")
STARTED = time.monotonic()


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print what is being done and how long it took."""
    begin = time.monotonic()
    print(f"[{begin - STARTED:6.1f} s] {title} ...", flush=True)
    yield
    print(f"[{time.monotonic() - STARTED:6.1f} s] {title}: done in {time.monotonic() - begin:.1f} s", flush=True)


def run(*command: str | Path) -> None:
    """Run a command, its output shown. Raises CalledProcessError where it fails."""
    subprocess.run(command, check=True)


def shown(kubeconfig: Path, *arguments: str) -> None:
    """Run kubectl the way a user types it, and show both."""
    print("$ kubectl " + " ".join(arguments), flush=True)
    print(kubectl(kubeconfig, *arguments), flush=True)


def bring_up(name: str) -> tuple[Path, dict[str, dict[str, str]]]:
    """A cluster with the images in it: its kubeconfig and the images."""
    with step("cluster binaries (cached after the first time)"):
        run(ROOT / "hack/cluster", "build")
    with step("images (cached after the first time)"):
        run(ROOT / "hack/images", "build", *IMAGES)
    images = built_images(*IMAGES)
    with step("three-node Kubernetes"):
        run(ROOT / "hack/cluster", "up", "--name", name, "--nodes", "3")
    with step("images into the nodes"):
        for image in images.values():
            run(ROOT / "hack/cluster", "load-image", "--name", name, image["archive"])
    printed = subprocess.run(
        [ROOT / "hack/cluster", "kubeconfig", "--name", name], capture_output=True, text=True, check=True
    )
    return Path(printed.stdout.strip()), images


def serve(kubeconfig: Path, references: dict[str, str]) -> None:
    """A namespace under Pod Security restricted, the model's file in a claim, and the VerticalModel."""
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    kubectl(kubeconfig, "apply", "-f", "-", stdin=json.dumps(namespace))
    claim = with_images((ROOT / "manifests/samples/breast-screening-claim.yaml").read_text(), references)
    # A Job's template is immutable, and a newer image makes another one.
    kubectl(kubeconfig, "delete", "job", "breast-screening-model", "-n", NAMESPACE, "--ignore-not-found", "--wait")
    kubectl(kubeconfig, "apply", "-n", NAMESPACE, "-f", "-", stdin=claim)
    # A model that comes first is refused until its file is there, and the kubelet's pauses between tries are long.
    kubectl(
        kubeconfig, "wait", "job/breast-screening-model", "-n", NAMESPACE, "--for=condition=Complete", "--timeout=2m"
    )
    shown(kubeconfig, "apply", "-n", NAMESPACE, "-f", "manifests/samples/breast-screening.yaml")
    shown(kubeconfig, "wait", f"vmodel/{MODEL}", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=5m")


def ask(kubeconfig: Path, references: dict[str, str]) -> None:
    """A client pod of the namespace asks the model for a held-out patient and prints what it saw of the connection."""
    authority = kubectl(
        kubeconfig,
        "get",
        "configmap",
        "verticalmodel-ca",
        "-n",
        "verticalmodel-system",
        "-o",
        r"jsonpath={.data.ca\.crt}",
    )
    trust = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "verticalmodel-ca"},
        "data": {"ca.crt": authority},
    }
    kubectl(kubeconfig, "apply", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(trust))
    client = with_images((ROOT / "manifests/samples/client.yaml").read_text(), references)
    kubectl(kubeconfig, "delete", "job", "client", "-n", NAMESPACE, "--ignore-not-found", "--wait")
    kubectl(kubeconfig, "apply", "-n", NAMESPACE, "-f", "-", stdin=client)
    kubectl(kubeconfig, "wait", "job/client", "-n", NAMESPACE, "--for=condition=Complete", "--timeout=60s")
    print(kubectl(kubeconfig, "logs", "job/client", "-n", NAMESPACE), flush=True)


def explain(name: str) -> None:
    """After a step that failed: what the model's conditions say of it, where there is a model."""
    try:
        printed = subprocess.run(
            [ROOT / "hack/cluster", "kubeconfig", "--name", name], capture_output=True, text=True, check=True
        )
        found = json.loads(kubectl(Path(printed.stdout.strip()), "get", "vmodel", MODEL, "-n", NAMESPACE, "-o", "json"))
    except subprocess.CalledProcessError:
        return
    for condition in found.get("status", {}).get("conditions", []):
        if condition["type"] in ("Accepted", "Progressing", "Ready"):
            print("  {type}={status} {reason}: {message}".format(**condition))
    print(f"The demo applies its sample over what is there; `make demo-down` and again starts from nothing ({name}).")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="demo", help="name of the cluster (default: demo)")
    parser.add_argument("--down", action="store_true", help="take the demo's cluster down and leave")
    arguments = parser.parse_args()
    if arguments.down:
        run(ROOT / "hack/cluster", "down", "--name", arguments.name)
        return 0
    try:
        demonstrate(arguments.name)
    except subprocess.CalledProcessError as failure:
        print(
            f"demo: {' '.join(str(word) for word in failure.cmd)} failed with status {failure.returncode}", flush=True
        )
        explain(arguments.name)
        return 1
    return 0


def demonstrate(name: str) -> None:
    """Everything, step by step."""
    kubeconfig, images = bring_up(name)
    references = {name: image["reference"] for name, image in images.items()}
    with step("operator and prober"):
        install(kubeconfig, references)
    with step("the model"):
        serve(kubeconfig, references)
    with step("a client asks the model"):
        ask(kubeconfig, references)
    with step("clauses 5, 13, 30 and 31 judged from measurements; 31 is broken, for there are no tenants yet"):
        for condition in JUDGED:
            shown(
                kubeconfig, "wait", f"vmodel/{MODEL}", "-n", NAMESPACE, f"--for=condition={condition}", "--timeout=90s"
            )
    shown(kubeconfig, "get", "vmodel", "-n", NAMESPACE, "-o", "wide")
    print(f"The cluster stays up. export KUBECONFIG={kubeconfig} to look around; `make demo-down` ends it.")


if __name__ == "__main__":
    sys.exit(main())
