"""This machine's way to the package registries, handed to a build without leaving a trace in the image.

pip's settings go in as a build secret, which exists only while a RUN line runs; apt's go to mmdebstrap, which works
from outside the image. Nothing here knows an address: it all comes from the clients' own configuration.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CA_BUNDLE_IN_BUILD = "/run/secrets/ca-bundle"

# What says how to reach an index. Anything else (paths, targets, log files) means nothing inside a build.
_NETWORK_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")
# Ordered: pip lets the environment win over its files, and a command's section over the global one.
_SECTIONS = ("global", "install", ":env:")
_CA_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_APT_SETTING = re.compile(r'^(Acquire::(?:https?|ftp)::[^ ]+|Acquire::Retries) "(.+)";$', re.MULTILINE)


def pip_settings() -> dict[str, str]:
    """Network settings of pip on this machine, from its own `config list`; none when there is no pip."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    return parse_pip_settings(listing.stdout if listing.returncode == 0 else "")


def parse_pip_settings(listing: str) -> dict[str, str]:
    """The network settings in the output of `pip config list` (`section.key='value'` lines)."""
    by_section: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in listing.splitlines():
        name, separator, quoted = line.partition("=")
        section, _, key = name.rpartition(".")
        if separator and section in by_section and key in _NETWORK_SETTINGS:
            by_section[section][key.removeprefix("default-")] = str(ast.literal_eval(quoted))
    merged: dict[str, str] = {}
    for section in _SECTIONS:
        merged.update(by_section[section])
    return merged


def pip_conf(settings: Mapping[str, str], *, with_ca_bundle: bool) -> str:
    """A pip configuration file for use inside a build."""
    lines = [f"{key} = {' '.join(value.split())}" for key, value in sorted(settings.items())]
    if with_ca_bundle:
        lines.append(f"cert = {CA_BUNDLE_IN_BUILD}")
    return "\n".join(["[global]", *lines, ""])


def ca_bundle(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The certificate bundle that this machine's clients are told to trust, if any."""
    for name in _CA_VARIABLES:
        path = Path(environ.get(name, ""))
        if path.is_file():
            return path
    return None


def apt_options() -> list[str]:
    """Proxy, certificate and retry settings of apt on this machine, as configuration lines."""
    return parse_apt_options(_output("apt-config", "dump"))


def parse_apt_options(dump: str) -> list[str]:
    """The network settings in the output of `apt-config dump`; only those that have a value."""
    return [f'{name} "{value}";' for name, value in _APT_SETTING.findall(dump)]


def apt_sources(suite: str) -> list[str]:
    """`deb` lines for Debian's `suite`, its updates and its security fixes from where this machine's apt gets them."""
    listing = _output(
        "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)", "Created-By: Packages"
    )
    return parse_apt_sources(listing, suite)


def parse_apt_sources(listing: str, suite: str) -> list[str]:
    """The `deb` lines in a listing of index targets; none when the machine is not of this suite."""
    rows = [line.split() for line in listing.splitlines()]
    lines = {
        f"deb {row[0]} {row[1]} main"
        for row in rows
        if len(row) == 4 and row[3] == "Debian" and row[2] == "main" and row[1].split("-")[0] == suite
    }
    return sorted(lines) if any(f" {suite} " in line for line in lines) else []


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
