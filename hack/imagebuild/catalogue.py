"""The images: which Dockerfile, and which files of the checkout go in. Nothing else can reach a build."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("buildah", "mmdebstrap", "debian-archive-keyring")
"""Debian packages that a build without Docker or podman needs."""

REPOSITORY = "localhost/verticalmodel"

_SKIPPED = frozenset({"__pycache__"})


@dataclass(frozen=True)
class Image:
    """One image. `inputs` are files and folders relative to the repository root."""

    name: str
    inputs: tuple[str, ...]

    @property
    def dockerfile(self) -> str:
        return f"operator/images/{self.name}.Dockerfile"

    def files(self, root: Path) -> Iterator[str]:
        """Every file that goes into the build, relative to `root`, sorted. Raises FileNotFoundError for one missing."""
        found = {self.dockerfile}
        for name in self.inputs:
            path = root / name
            if path.is_dir():
                found.update(str(file.relative_to(root)) for file in _walk(path))
            elif path.is_file():
                found.add(name)
            else:
                raise FileNotFoundError(f"image {self.name} needs {name}, which is not in {root}")
        return iter(sorted(found))


def _walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name not in _SKIPPED:
                yield from _walk(entry)
        elif entry.suffix != ".pyc":
            yield entry


IMAGES: dict[str, Image] = {
    image.name: image
    for image in (
        Image("operator", ("requirements/operator.txt", "operator/verticalmodel")),
        Image(
            "serving",
            ("requirements/serving.txt", "operator/verticalmodel/__init__.py", "operator/verticalmodel/serving"),
        ),
        # Simulated GPUs for test clusters; never published.
        Image(
            "fake-gpu",
            (
                "requirements/fake-gpu.txt",
                "hack/fakegpu/__init__.py",
                "hack/fakegpu/driver",
                "operator/verticalmodel/__init__.py",
                "operator/verticalmodel/api/__init__.py",
                "operator/verticalmodel/api/names.py",
                "operator/verticalmodel/kube",
            ),
        ),
        Image("guard", ("requirements/guard.txt",)),
        # The e2e tier's ingress controller; never published.
        Image("traefik", ("requirements/traefik.txt",)),
        Image(
            "unseal",
            ("requirements/unseal.txt", "operator/verticalmodel/__init__.py", "operator/verticalmodel/seal"),
        ),
        Image(
            "sample-model",
            ("requirements/sample-model.txt", "hack/sample_model", "tests/e2e/data/breast_screening_heldout.json"),
        ),
    )
}
