"""A build context frozen at one moment: the files are copied first and then hashed, so the name is what was built.

Others may be editing the checkout while a build runs.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from imagebuild.catalogue import Image

_TAG_LENGTH = 12


def freeze(image: Image, root: Path, into: Path) -> None:
    """Copy the image's inputs from the checkout at `root` to the empty folder `into`, with modes of our own."""
    for name in image.files(root):
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target)
        target.chmod(0o644)


def content_tag(context: Path, base: str) -> str:
    """Twelve hex digits over every path and byte in `context`, and what the image is built on."""
    digest = hashlib.sha256(base.encode())
    for file in sorted(path for path in context.rglob("*") if path.is_file()):
        name = str(file.relative_to(context)).encode()
        content = file.read_bytes()
        digest.update(b"%d %s %d\n" % (len(name), name, len(content)))
        digest.update(content)
    return digest.hexdigest()[:_TAG_LENGTH]
