"""Installs the operator from the plain manifests, with the images built here, into the cluster of a kubeconfig.

hack/install [--kubeconfig FILE]     what KUBECONFIG names, else ~/.kube/config
hack/install --show MANIFEST         print a manifest of manifests/ that names images `:dev` with those built here
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KUBECTL = ROOT / ".venv/bin/kubectl"
IMAGE_PREFIX = "localhost/verticalmodel/"
# In this order: what an object needs exists before it does.
STAGES = (
    ("CRDs", ("crds",)),
    ("accounts, rights and policies", ("manifests/rbac", "manifests/policies")),
    ("standard and runtimes", ("manifests/standards", "manifests/runtimes")),
    ("operator and prober", ("manifests/operator",)),
)


def kubectl(kubeconfig: Path, *arguments: str, stdin: str | None = None) -> str:
    """Output of kubectl. Raises CalledProcessError, with kubectl's own message shown, where it fails."""
    finished = subprocess.run(
        [KUBECTL, "--kubeconfig", kubeconfig, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        sys.stderr.write(finished.stderr)
    finished.check_returncode()
    return finished.stdout


def built_images(*names: str, quiet: bool = False) -> dict[str, dict[str, str]]:
    """Images of this checkout (those named, else all), built where they are not yet: name -> {reference, archive}.

    What the build says on its way goes to standard error; `quiet` keeps it for the case that it fails.
    """
    command = [str(ROOT / "hack/images"), "build", *names, "-o", "json"]
    said = subprocess.PIPE if quiet else None
    listed = subprocess.run(command, stdout=subprocess.PIPE, stderr=said, text=True, check=False)
    if listed.returncode:
        sys.stderr.write(listed.stderr or "")
    listed.check_returncode()
    images: dict[str, dict[str, str]] = json.loads(listed.stdout)
    return images


def with_images(manifest: str, references: Mapping[str, str]) -> str:
    """The manifest with `localhost/verticalmodel/NAME:dev` replaced by the references that were built."""
    for name, reference in references.items():
        manifest = manifest.replace(f"{IMAGE_PREFIX}{name}:dev", reference)
    return manifest


def manifests(folders: tuple[str, ...], references: Mapping[str, str]) -> str:
    """All manifests of the folders as one YAML stream, in file order."""
    files = [path for folder in folders for path in sorted((ROOT / folder).glob("*.yaml"))]
    return "\n---\n".join(with_images(path.read_text(), references) for path in files)


def install(kubeconfig: Path, references: Mapping[str, str]) -> None:
    """Apply every stage and wait until operator, prober and strangers are available."""
    for title, folders in STAGES:
        sys.stdout.write(f"install: {title}\n")
        sys.stdout.flush()
        stream = manifests(folders, references)
        kubectl(kubeconfig, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=stream)
        if folders == ("crds",):
            kubectl(kubeconfig, "wait", "--for=condition=Established", "--timeout=30s", "-f", str(ROOT / "crds"))
    for workload, namespace in (
        ("deployment/verticalmodel-operator", "verticalmodel-system"),
        ("deployment/verticalmodel-prober", "verticalmodel-system"),
        ("daemonset/verticalmodel-stranger", "verticalmodel-stranger"),
    ):
        kubectl(kubeconfig, "rollout", "status", workload, "-n", namespace, "--timeout=120s")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="hack/install", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kubeconfig", type=Path, default=Path(os.environ.get("KUBECONFIG", Path.home() / ".kube/config"))
    )
    parser.add_argument("--show", type=Path, metavar="MANIFEST", help="print this manifest and install nothing")
    arguments = parser.parse_args()
    references = {name: image["reference"] for name, image in built_images(quiet=arguments.show is not None).items()}
    if arguments.show is not None:
        if not arguments.show.is_file():
            parser.error(f"--show {arguments.show}: there is no such file; manifests are under manifests/")
        sys.stdout.write(with_images(arguments.show.read_text(), references))
        return 0
    install(arguments.kubeconfig, references)
    return 0


if __name__ == "__main__":
    sys.exit(main())
