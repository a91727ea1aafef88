"""Flags of the prober and their environment twins."""

from __future__ import annotations

from pathlib import Path

import pytest

from verticalmodel.probe.settings import parse


def test_defaults_are_those_of_a_pod_in_the_system_namespace() -> None:
    found = parse([], {"POD_NAME": "prober-1", "NODE_NAME": "node-1"})

    assert found.source == "pod prober-1 on node node-1"
    assert (found.kubeconfig, found.system_namespace, found.ca_configmap) == (
        None,
        "verticalmodel-system",
        "verticalmodel-ca",
    )
    assert (found.health_address, found.health_port, found.log_level) == (None, 8082, "INFO")
    assert (found.canary_interval, found.default_lifetime, found.retention) == (15.0, 600.0, 90 * 86400.0)


def test_the_environment_sets_what_no_flag_does() -> None:
    environment = {"CANARY_INTERVAL": "5", "SYSTEM_NAMESPACE": "elsewhere", "HEALTH_PORT": ""}

    found = parse(["--canary-interval", "7"], environment)

    assert (found.canary_interval, found.system_namespace, found.health_port) == (7.0, "elsewhere", 8082)


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--canary-interval", "0", "must be a number from 1 to 300"),
        ("--canary-interval", "nan", "must be a number from 1 to 300"),
        ("--models-at-once", "1.5", "must be a whole number from 1 to 256"),
        ("--health-port", "70000", "must be a whole number from 0 to 65535"),
        ("--health-address", "localhost", "must be an IP address"),
        ("--log-level", "loud", "must be one of DEBUG, INFO, WARNING, ERROR"),
        ("--kubelet-ca", "/nowhere/ca.crt", "is not a file"),
        ("--retention-days", "-1", "must be a number from 1 to 3650"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(
    flag: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([f"{flag}={value}"], {})

    assert ended.value.code == 2
    assert f"argument {flag}: {value!r} {message}" in capsys.readouterr().err


def test_a_wrong_environment_is_refused_as_a_flag_would_be(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([], {"SPACING": "soon"})

    assert "argument --spacing: 'soon' must be a number from 0.1 to 60" in capsys.readouterr().err


def test_help_names_every_flag_its_twin_and_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"], {})

    text = " ".join(capsys.readouterr().out.split())
    assert "seconds between two canary requests to one pod (default: 15) [CANARY_INTERVAL]" in text
    assert "nodes/metrics" in text


def test_files_are_paths(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.touch()

    assert parse(["--kubeconfig", str(file)], {}).kubeconfig == file
