"""What a server must not reach, put up around it: a cloud's metadata service, and an outside that answers."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socket import AF_INET, SOCK_DGRAM, create_server, socket

from e2e.installed import Cluster
from testcluster import cluster as clusters

METADATA = "169.254.169.254"
_METADATA_SERVICE = f"""
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"instance-credentials")
    def log_message(self, *_): pass
server = http.server.HTTPServer(("{METADATA}", 80), Answer)
print("listening", flush=True)
server.serve_forever()
"""


@contextmanager
def listeners(cluster: Cluster, node: str) -> Iterator[dict[str, str]]:
    """A metadata service on the node, and a resolver outside the cluster; both on addresses of our own namespaces."""
    local = clusters.Cluster.find(cluster.name)

    def ip(*words: str) -> None:
        subprocess.run(local.enter(node, ["ip", *words], mounts=False), check=True)

    ip("addr", "add", f"{METADATA}/32", "dev", "lo")
    service = subprocess.Popen(
        local.enter(node, [sys.executable, "-I", "-c", _METADATA_SERVICE], mounts=False),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    outside = str(local.layout.gateway)
    resolver = socket(AF_INET, SOCK_DGRAM)
    listening = create_server((outside, 0))
    answering = threading.Thread(target=_echo, args=(resolver,))
    try:
        assert service.stdout is not None
        assert service.stdout.readline() == "listening\n"
        resolver.bind((outside, 53))
        answering.start()
        yield {"outside": outside, "outside-port": str(listening.getsockname()[1])}
    finally:
        service.terminate()
        service.wait()
        assert service.stdout is not None
        service.stdout.close()
        if answering.ident is not None:
            resolver.sendto(b"", (outside, 53))
            answering.join()
        resolver.close()
        listening.close()
        ip("addr", "del", f"{METADATA}/32", "dev", "lo")


def _echo(resolver: socket) -> None:
    """Answers every question with itself, until an empty one."""
    while True:
        question, peer = resolver.recvfrom(512)
        if not question:
            return
        resolver.sendto(question, peer)
