"""Steady load on a model from a client pod: a fixed number of requests a second, each on a connection of its own.

The rate does not wait for answers, and nothing is tried twice: what fails once counts as failed.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.installed import KUBECTL, Cluster

RATE = 50
ROW = json.loads((Path(__file__).parent / "data/breast_screening_heldout.json").read_text())["rows"][0]

# Each line on its standard input is a trust bundle, the end of the input its end.
_CLIENT = """
import asyncio, hashlib, json, os, re, ssl, sys, time
rate, host, row = int(os.environ["RATE"]), os.environ["HOST"], json.loads(os.environ["ROW"])
body = json.dumps({"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, len(row)], "data": row}]})
request = (f"POST /v2/models/{os.environ['MODEL']}/infer HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n"
           f"Content-Type: application/json\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n{body}").encode()
sent, failed, shown, slowest, stage = 0, [], {}, 0.0, {}
async def ask(number, context):
    global slowest
    stage[number], started = "connect", time.monotonic()
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(host, 443, ssl=context)
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            certificate = "sha256:" + hashlib.sha256(der).hexdigest()
            if certificate not in shown:
                print(certificate, flush=True)
            shown[certificate] = time.time()
            stage[number] = "answer"
            writer.write(request)
            answer = await reader.readuntil(b"\\r\\n\\r\\n")
            answer += await reader.readexactly(int(re.search(rb"(?i)content-length: (\\d+)", answer)[1]))
            writer.close()
        if not answer.startswith(b"HTTP/1.1 200 ") or b'"outputs"' not in answer:
            raise ValueError(answer[:800].decode(errors="replace"))
        slowest = max(slowest, time.monotonic() - started)
    except Exception as error:
        failed.append({"at": time.time(), "after": time.monotonic() - started, "stage": stage[number],
                       "error": f"{type(error).__name__}: {error}"})
    finally:
        del stage[number]
async def main():
    global sent
    lines = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    trusted = lambda line: ssl.create_default_context(cadata=json.loads(line))
    context, under_way = trusted(await lines.readline()), set()
    for _ in range(50):
        # The node of a new client pod hears of it, and of a new endpoint, a moment after the API server.
        failed.clear()
        await ask(0, context)
        if not failed:
            break
        await asyncio.sleep(0.2)
    sent = 1
    print(failed[0]["error"] if failed else "answered", flush=True)
    next_line, begun = asyncio.create_task(lines.readline()), time.monotonic()
    while True:
        if next_line.done():
            if not next_line.result():
                break
            context, next_line = trusted(next_line.result()), asyncio.create_task(lines.readline())
        under_way.add(task := asyncio.create_task(ask(sent, context)))
        task.add_done_callback(under_way.discard)
        sent += 1
        await asyncio.sleep(max(0.0, begun + sent / rate - time.monotonic()))
    await asyncio.gather(*under_way)
    print(json.dumps({"sent": sent, "failed": failed, "shown": shown, "slowest": slowest,
                      "seconds": time.monotonic() - begun}))
asyncio.run(main())
"""


@dataclass
class Load:
    """Load under way; what came of it stands here once the block has ended."""

    _process: subprocess.Popen[str]
    sent: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)
    """Each with `at` (Unix time), `after` (seconds), `stage` (connect or answer) and `error`."""
    shown: dict[str, float] = field(default_factory=dict)
    """Fingerprints of the certificates seen, each with the Unix time of its last sight."""
    slowest: float = 0.0
    """Seconds of the slowest request that was answered."""
    seconds: float = 0.0

    def trust(self, bundle: str) -> None:
        """From now on connections are made with this trust bundle."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(bundle) + "\n")
        self._process.stdin.flush()

    def await_certificate(self, fingerprint: str) -> None:
        """Wait until a guard has shown this certificate for the first time. The test's own time-out bounds it."""
        assert self._process.stdout is not None
        while (line := self._process.stdout.readline()) != f"{fingerprint}\n":
            assert line

    def _finish(self) -> None:
        said, _ = self._process.communicate(timeout=30)
        vars(self).update(json.loads(said.splitlines()[-1]))


@contextmanager
def load(cluster: Cluster, namespace: str, model: str, bundle: str, rate: int = RATE) -> Iterator[Load]:
    """RATE requests a second from pod `client` on `model`, from the first answer on until the block ends."""
    host = f"{model}.{namespace}.svc"
    variables = [f"HOST={host}", f"MODEL={model}", f"RATE={rate}", f"ROW={json.dumps(ROW)}"]
    command = [KUBECTL, "--kubeconfig", cluster.kubeconfig, "exec", "-i", "client", "-n", namespace, "--"]
    with subprocess.Popen(
        [*command, "env", *variables, "python", "-c", _CLIENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            running = Load(process)
            running.trust(bundle)
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)][1] == "answered\n"
            yield running
            running._finish()  # noqa: SLF001 - its own module
        finally:
            process.kill()


def bundle(cluster: Cluster) -> str:
    """The authorities that the installation publishes, in PEM form."""
    pem: str = cluster.get("configmap", "verticalmodel-ca", "-n", "verticalmodel-system")["data"]["ca.crt"]
    return pem


def model_pods(cluster: Cluster, namespace: str, model: str) -> list[dict[str, Any]]:
    """The model's pods."""
    selector = cluster.get("vmodel", model, "-n", namespace)["status"]["selector"]
    found: list[dict[str, Any]] = cluster.get("pod", "-n", namespace, "-l", selector)["items"]
    return found


def lives(pod: dict[str, Any]) -> str:
    """Which pod it is and how often its containers were started again."""
    status = pod["status"]
    counts = {one["name"]: one["restartCount"] for one in status["containerStatuses"] + status["initContainerStatuses"]}
    return json.dumps([pod["metadata"]["uid"], counts], sort_keys=True)
