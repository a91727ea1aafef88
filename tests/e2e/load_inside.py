"""Requests to a model, one after the other, with a new TLS connection each. Runs in a pod: standard library only.

Usage: python - ADDRESS MODEL SECONDS < this file. Prints one JSON object: requests, failures, milliseconds.
"""

from __future__ import annotations

import http.client
import json
import ssl
import statistics
import sys
import time

PAUSE_SECONDS = 0.05
# One measured in a test is a failure by any standard.
PATIENCE_SECONDS = 5.0


def request(address: str, model: str, context: ssl.SSLContext) -> None:
    """One inference. Raises OSError or HTTPException where there is no good answer."""
    connection = http.client.HTTPSConnection(address, 8443, timeout=PATIENCE_SECONDS, context=context)
    try:
        tensor = {"name": "features", "datatype": "FP32", "shape": [1, 30], "data": [1.0] * 30}
        body = json.dumps({"inputs": [tensor]})
        connection.request("POST", f"/v2/models/{model}/infer", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"status {answer.status}: {said[:100]!r}")
    finally:
        connection.close()


def main() -> None:
    address, model, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    times, failures = [], []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        begun = time.monotonic()
        try:
            request(address, model, context)
        except (OSError, http.client.HTTPException) as failure:
            failures.append(f"{type(failure).__name__}: {failure}")
        times.append((time.monotonic() - begun) * 1000)
        time.sleep(PAUSE_SECONDS)
    found = {"requests": len(times), "failures": failures[:5], "failed": len(failures)}
    found |= {"median": statistics.median(times), "worst": max(times)}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
