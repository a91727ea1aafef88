"""The Debian packages that a machine needs for the provider `local`. `hack/cluster packages` prints them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from testcluster.errors import UsageError

PACKAGES: Final = (
    "busybox-static",  # the test image, and the helper of the volume provisioner
    "conntrack",  # kube-proxy
    "containernetworking-plugins",  # ptp, host-local, portmap
    "gcc",  # runc is linked against libseccomp
    "iproute2",
    "ipset",  # kube-router
    "iptables",
    "libc6-dev",
    "libseccomp-dev",
    "mount",
    "pkg-config",
    "util-linux",  # unshare, nsenter
)

# Path of a file that proves a package's presence, for those that a run (not a build) cannot do without.
_PROOFS: Final = {
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "busybox": "busybox-static",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "ipset": "ipset",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}


def check_installed() -> None:
    """Raises UsageError naming every missing package and the command that installs them."""
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    missing = sorted(
        {
            package
            for proof, package in _PROOFS.items()
            if not (Path(proof).exists() if proof.startswith("/") else shutil.which(proof, path=path))
        },
    )
    if missing:
        raise UsageError(
            f"Debian packages are missing: run `apt-get install --no-install-recommends {' '.join(missing)}`"
        )
