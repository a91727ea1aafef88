"""What must pass, fail and stay unknown for the clauses that are judged pod by pod: 5, 6, 31 and 33."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unit.builders import FRAMEWORK, LOADING, OPERATING_SYSTEM, TENANTS, World
from unit.fixture_changes import Change, Fixtures, at, passing_for, unknown_for
from verticalmodel.api.conditions import ClauseReason


def _pod(world: World) -> str:
    return f"pod/{world.pods[0].name}"


def _says(measure: str, **changes: Any) -> Change:
    """What was seen of the first pod; None leaves an observation out, and `value` is the claimed number."""
    value = {"value": changes.pop("value")} if "value" in changes else {}
    return at(measure, _pod, seen=changes, **value)


def _restarted(world: World) -> World:
    """The evidence names the server that ran before."""
    return world.changed(FRAMEWORK, _pod(world), seen={"container": "f" * 12}).changed(
        TENANTS, _pod(world), seen={"container": "f" * 12}
    )


SYSTEM_FIXTURES = Fixtures(
    passing={
        **passing_for(OPERATING_SYSTEM),
        "the node runs Windows Server 2022": _says(
            OPERATING_SYSTEM, operatingSystem="windows", kernel="10.0.20348.2762", osImage="Windows Server 2022"
        ),
        "its name is not known": _says(OPERATING_SYSTEM, osImage=None),
    },
    failing={
        "the node runs Windows Server 2019": _says(
            OPERATING_SYSTEM, operatingSystem="windows", kernel="10.0.17763.5329", osImage="Windows Server 2019"
        ),
        "the node runs a Windows whose build only begins alike": _says(
            OPERATING_SYSTEM, operatingSystem="windows", kernel="10.0.203480"
        ),
        "the node runs a Windows of unknown build": _says(OPERATING_SYSTEM, operatingSystem="windows", kernel=None),
        "the node runs something else": _says(OPERATING_SYSTEM, operatingSystem="plan9"),
        "something else calls itself Linux": _says(OPERATING_SYSTEM, operatingSystem="freebsd", osImage="linux"),
    },
    unknown={
        **unknown_for(OPERATING_SYSTEM, _pod, 3600),
        "another node was looked at": (ClauseReason.INCONSISTENT, _says(OPERATING_SYSTEM, node="another")),
        "no node was looked at": (ClauseReason.INCONSISTENT, _says(OPERATING_SYSTEM, node=None)),
        "the system is not named": (ClauseReason.INCONSISTENT, _says(OPERATING_SYSTEM, operatingSystem=None)),
    },
)

FRAMEWORK_FIXTURES = Fixtures(
    passing={
        **passing_for(FRAMEWORK),
        "PyTorch 1.10 wrote the file": _says(FRAMEWORK, producerVersion="1.10.2+cu113", opset="9"),
        "a pre-release of a newer PyTorch wrote the file": _says(FRAMEWORK, producerVersion="1.13.0a0+936e930"),
        "the server is PyTorch itself": _says(
            FRAMEWORK, platform="pytorch_torchscript", frameworkVersion="1.10.0", producer=None, opset=None
        ),
        "the server is TensorFlow itself": _says(
            FRAMEWORK, platform="tensorflow_savedmodel", frameworkVersion="2.5", producer=None, opset=None
        ),
        "the evidence names the server that runs": lambda world: world.changed(
            FRAMEWORK, _pod(world), seen={"container": world.pods[0].containers[1].container_id[:12]}
        ),
    },
    failing={
        "PyTorch 1.9 wrote the file": _says(FRAMEWORK, producerVersion="1.9.1", opset="14"),
        "a pre-release of PyTorch 1.10 wrote the file": _says(FRAMEWORK, producerVersion="1.10.0rc1"),
        "a nightly build before PyTorch 1.10 wrote the file": _says(FRAMEWORK, producerVersion="1.10.0a0+git36449ea"),
        "the server is a pre-release of TensorFlow 2.5": _says(
            FRAMEWORK, platform="tensorflow_savedmodel", frameworkVersion="2.5.0-rc3"
        ),
        "PyTorch 0.4 wrote the file": _says(FRAMEWORK, producerVersion="0.4"),
        "the server is PyTorch 1.9": _says(FRAMEWORK, platform="pytorch_torchscript", frameworkVersion="1.9.0"),
        "the server is TensorFlow 2.4": _says(FRAMEWORK, platform="tensorflow_savedmodel", frameworkVersion="2.4.4"),
        "the server is TensorFlow 1.15": _says(FRAMEWORK, platform="tensorflow_graphdef", frameworkVersion="1.15"),
    },
    unknown={
        **unknown_for(FRAMEWORK, _pod, 3600),
        "the server has restarted since": (ClauseReason.NOT_MEASURED, _restarted),
        "the evidence names no server": (ClauseReason.NOT_MEASURED, _says(FRAMEWORK, container=None)),
        "the platform is one that is not known": (
            ClauseReason.NOT_MEASURED,
            _says(FRAMEWORK, platform="xgboost", producer=None),
        ),
        "PyTorch tells no version": (ClauseReason.NOT_MEASURED, _says(FRAMEWORK, producerVersion=None)),
        "the version is no number": (ClauseReason.NOT_MEASURED, _says(FRAMEWORK, producerVersion="nightly")),
        "scikit-learn wrote the file": (
            ClauseReason.NOT_MEASURED,
            _says(FRAMEWORK, producer="skl2onnx", producerVersion="1.19.1", opset="21"),
        ),
        "nobody says who wrote it": (ClauseReason.NOT_MEASURED, _says(FRAMEWORK, producer=None, producerVersion=None)),
        "TensorFlow's exporter wrote it, and the edition names no operator set": (
            ClauseReason.NOT_MEASURED,
            _says(FRAMEWORK, producer="tf2onnx", opset="15"),
        ),
        "nothing is reported": (ClauseReason.NOT_MEASURED, _says(FRAMEWORK, platform=None, producer=None, opset=None)),
    },
)

TENANTS_FIXTURES = Fixtures(
    passing={
        **passing_for(TENANTS),
        "what is refused is forbidden": _says(TENANTS, noToken="refused 403", wrongToken="refused 403"),
    },
    failing={
        "who has no token is answered": _says(TENANTS, value=1, noToken="answered"),
        "who has a wrong token is answered": _says(TENANTS, value=1, wrongToken="answered"),
        "who has an expired token is answered": _says(TENANTS, value=1, expiredToken="answered"),
        "who has another tenant's token is answered": _says(TENANTS, value=1, otherTenant="answered"),
        "everybody is answered": _says(
            TENANTS, value=4, noToken="answered", wrongToken="answered", expiredToken="answered", otherTenant="answered"
        ),
    },
    unknown={
        **unknown_for(TENANTS, _pod),
        "the server has restarted since": (ClauseReason.NOT_MEASURED, _restarted),
        "the evidence names no server": (ClauseReason.NOT_MEASURED, _says(TENANTS, container=None)),
        "an answer is called none": (ClauseReason.INCONSISTENT, _says(TENANTS, noToken="answered")),
        "none is called an answer": (ClauseReason.INCONSISTENT, _says(TENANTS, value=1)),
        "the right token was not answered": (ClauseReason.INCONSISTENT, _says(TENANTS, ownToken="refused 401")),
        "the right token was not tried": (ClauseReason.INCONSISTENT, _says(TENANTS, ownToken=None)),
        "another tenant's token was not tried": (ClauseReason.NOT_MEASURED, _says(TENANTS, otherTenant=None)),
        "who has no token was cut off": (ClauseReason.NOT_MEASURED, _says(TENANTS, noToken="inconclusive bad timeout")),
        "the refusal is of another kind": (ClauseReason.NOT_MEASURED, _says(TENANTS, noToken="refused 503")),
    },
)


def _steps(value: float, **seen: str | None) -> Change:
    return _says(LOADING, value=value, **seen)


_NOTHING = {"infer": "nothing was loaded", "unload": "nothing was loaded"}

LOADING_FIXTURES = Fixtures(
    passing={
        **passing_for(LOADING),
        "the evidence names the server that runs": lambda world: world.changed(
            LOADING, _pod(world), seen={"container": world.pods[0].containers[1].container_id[:12]}
        ),
    },
    failing={
        "the guard lets nobody load": _steps(3, load="refused 403", **_NOTHING),
        "the server knows no loading": _steps(3, load="refused 404", **_NOTHING),
        "another model answers under the canary's name": _steps(1, infer="wrong: another model's answer"),
        "the canary answers another number": _steps(1, infer="wrong: another number than the model gives"),
        "the canary stays": _steps(1, unload="refused 405"),
        "the canary may not be asked": _steps(1, infer="refused 403"),
    },
    unknown={
        **unknown_for(LOADING, _pod, 86400),
        "the server has restarted since": (
            ClauseReason.NOT_MEASURED,
            lambda world: world.changed(LOADING, _pod(world), seen={"container": "f" * 12}),
        ),
        "the evidence names no server": (ClauseReason.NOT_MEASURED, _says(LOADING, container=None)),
        "the served model did not answer": (ClauseReason.NOT_MEASURED, _says(LOADING, control="bad 503")),
        "nobody asked the served model": (ClauseReason.NOT_MEASURED, _says(LOADING, control=None)),
        "nothing is served and nothing is loaded": (
            ClauseReason.NOT_MEASURED,
            _steps(3, control="bad 403", load="refused 403", **_NOTHING),
        ),
        "the load came to no end": (ClauseReason.NOT_MEASURED, _steps(3, load="inconclusive 503", **_NOTHING)),
        "the unload was not tried": (ClauseReason.NOT_MEASURED, _steps(1, unload=None)),
        "a step ended in words that nobody knows": (ClauseReason.NOT_MEASURED, _steps(1, infer="as expected")),
        "no failed step is claimed although one was refused": (
            ClauseReason.INCONSISTENT,
            _says(LOADING, load="refused 403"),
        ),
        "a failed step is claimed although all were done": (ClauseReason.INCONSISTENT, _steps(1)),
    },
)

POD_FIXTURES: Mapping[int, Fixtures] = {
    5: SYSTEM_FIXTURES,
    6: FRAMEWORK_FIXTURES,
    31: TENANTS_FIXTURES,
    33: LOADING_FIXTURES,
}
"""By number of the clause."""
