"""Simulated GPUs on a test cluster: put them there, break one, mend it, change what one reports."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from fakegpu import installation
from fakegpu.driver.profile import ProfileError
from installation import built_images


def main() -> int:
    """Exit status: 0 done, 1 kubectl failed (it has said why), 2 there is no such device or state."""
    arguments = _parser().parse_args()
    try:
        _run(arguments)
    except subprocess.CalledProcessError:
        return 1
    except (installation.UnknownDeviceError, ProfileError) as error:
        print(f"fake-gpu: {error}", file=sys.stderr)
        return 2
    return 0


def _run(arguments: argparse.Namespace) -> None:
    kubeconfig: Path = arguments.kubeconfig
    match arguments.command:
        case "install":
            references = {name: image["reference"] for name, image in built_images().items()}
            installation.install(kubeconfig, references, arguments.kubelet_root)
        case "uninstall":
            installation.uninstall(kubeconfig)
        case _:
            installation.change_state(kubeconfig, arguments.node, arguments.device, _changes(arguments))


def _changes(arguments: argparse.Namespace) -> dict[str, Any]:
    match arguments.command:
        case "break":
            return {"health": "Unhealthy", "xid": arguments.xid}
        case "mend":
            return {"health": "Healthy", "xid": 0}
        case _:
            pairs = (pair.partition("=") for pair in arguments.values)
            return {name: yaml.safe_load(value) for name, _, value in pairs}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hack/fake-gpu", description=__doc__)
    default = Path(os.environ.get("KUBECONFIG", Path.home() / ".kube/config"))
    parser.add_argument("--kubeconfig", type=Path, default=default)
    commands = parser.add_subparsers(dest="command", required=True)
    install = commands.add_parser("install", help="the driver on every node, with the profile of the manifests")
    install.add_argument("--kubelet-root", default=installation.KUBELET_ROOT, help="--root-dir of the kubelets")
    commands.add_parser("uninstall", help="the driver and all that it published")
    breaking = commands.add_parser("break", help="no new pod gets the device")
    mending = commands.add_parser("mend", help="the device is as good as new")
    setting = commands.add_parser("set", help="change what the device reports, for example temperatureCelsius=91")
    for command in (breaking, mending, setting):
        command.add_argument("node")
        command.add_argument("device", type=int, help="index on the node, from 0")
    breaking.add_argument("--xid", type=int, default=79, help="NVIDIA's error code (default: 79); 0: a lost device")
    setting.add_argument("values", nargs="+", metavar="NAME=VALUE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
