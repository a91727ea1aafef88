"""Copy the sample model to $TARGET: the whole file or none of it, and nothing when it is there already.

Stands alone (standard library, no imports of ours): it is the only code in the delivery image.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path


def deliver(source: Path, target: Path) -> bool:
    """Make `target` hold the bytes of `source`; whether anything was written. Raises OSError.

    A reader sees the old file or the new one: the bytes go to a file beside it, to the disk, then to its name.
    """
    content = source.read_bytes()
    if target.is_file() and target.read_bytes() == content:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(partial).replace(target)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def main() -> int:
    source, target = os.environ.get("SOURCE"), os.environ.get("TARGET")
    if not source or not target:
        print("set SOURCE and TARGET to the paths of two files", file=sys.stderr)
        return 2
    try:
        written = deliver(Path(source), Path(target))
    except OSError as error:
        print(f"cannot deliver {source} to {target}: {error.strerror}", file=sys.stderr)
        return 1
    digest = hashlib.sha256(Path(target).read_bytes()).hexdigest()
    print(json.dumps({"target": target, "sha256": digest, "written": written}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
