"""From a checkout to archives: freeze, name, build what is missing, drop what is old."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from imagebuild.catalogue import IMAGES, Image
from imagebuild.context import content_tag, freeze
from imagebuild.engines import Engine
from imagebuild.store import Built, Store

Report = Callable[[str], None]


def current(root: Path, store: Store, engine: Engine, names: Iterable[str] = IMAGES) -> dict[str, Built]:
    """What each image is called at the checkout's present content, built or not."""
    found = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            freeze(IMAGES[name], root, Path(folder))
            found[name] = store.built(name, content_tag(Path(folder), engine.base))
    return found


def build(root: Path, store: Store, engine: Engine, names: Iterable[str], report: Report) -> dict[str, Built]:
    """Make every named image's archive exist; one already there costs no more than reading its inputs."""
    wanted = current(root, store, engine, names)
    missing = []
    for name, built in wanted.items():
        if store.use(built):
            report(f"{name}: unchanged, {_size(built)}")
        else:
            missing.append(name)
    if not missing:
        return wanted
    report(f"building {', '.join(missing)}")
    with store.locked() as waited:
        if waited:
            report("waited for another build")
        for name in missing:
            wanted[name] = _build_one(IMAGES[name], root, store, engine, report)
    return wanted


def _build_one(image: Image, root: Path, store: Store, engine: Engine, report: Report) -> Built:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=store.scratch) as folder:
        context = Path(folder)
        freeze(image, root, context)
        built = store.built(image.name, content_tag(context, engine.base))
        if store.use(built):
            report(f"{image.name}: another build made it, {_size(built)}")
            return built
        engine.build(context, image.dockerfile, built)
    report(f"{image.name}: built in {time.monotonic() - started:.1f} s, {_size(built)}")
    for old in store.outdated(image.name):
        old.archive.unlink(missing_ok=True)
        engine.forget(old)
    return built


def _size(built: Built) -> str:
    return f"{built.archive.stat().st_size / 1e6:.0f} MB, {built.reference}"
