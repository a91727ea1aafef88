"""The base image where no registry is: Debian with Python, assembled from the distribution's own signed packages."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from imagebuild import client_config

SUITE = "bookworm"
_INCLUDED = ("ca-certificates", "python3", "python3-venv")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Documentation, translations and what only an installation on a disk needs.
_EXCLUDED_PATHS = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*")
# Traces of this machine and of the way its packages came; a base is for everyone.
_CLEANUP = (
    'rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/apt/apt.conf.d/99mmdebstrap'
    ' "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/* "$1"/var/cache/ldconfig/aux-cache'
    ' "$1"/etc/machine-id "$1"/etc/hostname "$1"/etc/resolv.conf'
    # No container of ours may gain rights, so nothing in it needs to offer them.
    '; find "$1" -xdev -type f -perm /6000 -exec chmod a-s {} +'
)


def recipe() -> str:
    """What the base is made of, as text: another recipe is another base."""
    return repr((SUITE, _INCLUDED, _EXCLUDED_PATHS, _CLEANUP))


def tag() -> str:
    return hashlib.sha256(recipe().encode()).hexdigest()[:12]


def command(into: Path, sources: Sequence[str], apt_options: Sequence[str]) -> list[str]:
    """The mmdebstrap call that writes the base's root file system to the tar file `into`."""
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(_INCLUDED)}",
        *([f"--keyring={_KEYRING}"] if _KEYRING.is_file() else []),
        *(f"--dpkgopt=path-exclude={path}" for path in _EXCLUDED_PATHS),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        *(f"--aptopt={option}" for option in apt_options),
        f"--customize-hook={_CLEANUP}",
        SUITE,
        str(into),
        *sources,
    ]


def assemble(into: Path, scratch: Path) -> None:
    """Write the base's root file system to the tar file `into`. Raises CalledProcessError."""
    call = command(into, client_config.apt_sources(SUITE), client_config.apt_options())
    subprocess.run(call, check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(scratch)})
