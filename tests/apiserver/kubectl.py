"""kubectl of this virtual environment, for what users and installers do with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = Path(sys.executable).with_name("kubectl")


def kubectl(kubeconfig: Path, *arguments: str | Path, stdin: str | None = None) -> str:
    """What it prints. Raises AssertionError with its words where it fails."""
    finished = subprocess.run(
        [KUBECTL, "--kubeconfig", kubeconfig, *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def apply(kubeconfig: Path, *folders: str) -> None:
    """Server-side apply of folders below the repository's root, in file order; repeatable, from any earlier state."""
    files = [argument for folder in folders for argument in ("-f", ROOT / folder)]
    kubectl(kubeconfig, "apply", "--server-side", "--force-conflicts", *files)


def apply_crds(kubeconfig: Path) -> None:
    """The CRDs of this checkout, applied and Established."""
    apply(kubeconfig, "crds")
    kubectl(kubeconfig, "wait", "--for=condition=Established", "--timeout=30s", "-f", ROOT / "crds")
