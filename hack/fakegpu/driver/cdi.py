"""CDI specs: what the container runtime adds to a container that uses a claim. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fakegpu.driver.names import DRIVER, SIMULATED_VARIABLE, VISIBLE_DEVICES

_KIND: Final = f"k8s.{DRIVER}/claim"
_VERSION: Final = "0.6.0"


def file_name(claim_uid: str) -> str:
    """The claim's file in the CDI directory; its name alone says which claim it belongs to."""
    return f"{_KIND.replace('/', '-')}_{claim_uid}.json"


def device_id(claim_uid: str, request: str) -> str:
    """The qualified CDI name by which the runtime finds what a request of a claim brings."""
    return f"{_KIND}={_device(claim_uid, request)}"


def spec(claim_uid: str, uuids: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The CDI spec of a claim: one CDI device per request, with all GPUs of the request (`uuids`) in one variable."""
    devices = [
        {
            "name": _device(claim_uid, request),
            "containerEdits": {"env": [f"{name}={value}" for name, value in environment(found).items()]},
        }
        for request, found in uuids.items()
    ]
    return {"cdiVersion": _VERSION, "kind": _KIND, "devices": devices}


def environment(uuids: Sequence[str]) -> dict[str, str]:
    """What a container with these GPUs sees."""
    return {VISIBLE_DEVICES: ",".join(uuids), SIMULATED_VARIABLE: "true"}


def _device(claim_uid: str, request: str) -> str:
    # A subrequest is called `request/subrequest`, and a CDI device name has no slash.
    return f"{claim_uid}-{request.replace('/', '.')}"
